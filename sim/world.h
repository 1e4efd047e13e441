/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A world for a command: the simulated kernel with our modules loaded, disks under their layers,
 * and the dm devices that the command made.
 *
 * A disk is ram or file, under error injection, under delay; the topmost layer counts. One world
 * at a time, as in control.h.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "sim.h"

#define WORLD_NAME_MAX 64

struct world_disk;

struct world_options {
	enum sim_strategy strategy;
	u64 seed;
	const u32 *recorded;
	size_t nr_recorded;
	bool log_to_stderr;	/* the kernel log; else it is dropped, or given to log() */
	void (*log)(void *context, int level, const char *line); /* as in struct sim_options */
	void *log_context;
	bool no_modules;	/* do not load dm-multisnapshot */
	/* The contents of a disk, and what is on top of all its layers; NULL: as usual. */
	struct disk *(*disk_base)(void *context, const char *name, sector_t sectors);
	struct disk *(*disk_top)(void *context, const char *name, struct disk *top);
	void *disk_context;
	void (*disk_added)(struct world_disk *d); /* or NULL */
	const char *save_dir;	/* world_stop() leaves each disk there, NAME and NAME.stat; or NULL */
	void (*fail)(void *context, const char *what); /* as in struct sim_options */
	void *fail_context;
	const char *reproducer;
};

struct world_disk {
	char name[WORLD_NAME_MAX];
	struct disk *base;	/* contents */
	struct disk *error;	/* faults */
	struct disk *delay;	/* service times, holds */
	struct disk *top;	/* counts; registered under the name */
	unsigned int block_size;
	sector_t sectors;
	enum disk_model model;
	char *path;		/* of a file, or NULL */
	struct world_disk *next;	/* in the order of world_disk_add() */
};

/* The errors of world_*() are 0 or -errno unless said otherwise. */
void world_start(const struct world_options *options);
/*
 * Outside of threads: removes the devices left, releases what is held, unloads, saves and destroys the
 * disks. 0, or -errno of an image that could not be written.
 */
int world_stop(void);
/* The end of a world in which a finding was made: nothing more runs, nothing is saved. */
void world_abandon(void);

/* @path NULL: in memory. NULL and a message on failure. */
struct world_disk *world_disk_add(const char *name, sector_t sectors, enum disk_model model,
				  unsigned int block_size, const char *path);
struct world_disk *world_disk_find(const char *name);
struct world_disk *world_disks(void);
/* What the verb stat prints: three lines, the last without its end. */
void world_disk_stat(const struct world_disk *d, char *text, size_t size);

/* In a thread: create, load and resume, as `dmsetup create NAME --table TABLE`; undone on failure. */
int world_device_create(const char *name, const char *table, const char **error);
/* Create without a table. */
int world_device_create_empty(const char *name);
int world_device_remove(const char *name);
/* Remembers the table for world_device_table(). */
int world_device_load(const char *name, const char *table, const char **error);
bool world_device_exists(const char *name);

/* The devices in order of creation, and the last table loaded (NULL: none); index from 0; NULL at the end. */
const char *world_device_name(unsigned int i, const char **table);

/*
 * Copy @text with each word MAJOR:MINOR that is a disk or device of this world replaced by its
 * name. Always terminated.
 */
void world_names(const char *text, char *out, size_t size);

#endif /* SIM_WORLD_H */
