/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The script player: `multisnap run` on the kernel that is running.
 *
 * A script acts on a machine through shim/user/control.h and shim/user/disk.h. `multisnap` links
 * them with the simulated kernel; this program links the same executor and the same verbs (sim/script_*.c,
 * sim/world.c) with what is here, which does the same to a real one:
 *
 *   main.c     options
 *   machine.c  threads, time, the power; the beginning and the end
 *   module.c   modules
 *   bdev.c     block devices by name
 *   disk.c     disks: the test module ms-disk
 *   bio.c      I/O: O_DIRECT, fsync(), and bios that no system call makes, by ms-disk
 *   dm*.c      devices: the ioctls of dmsetup, or dmsetup itself
 *   log.c      the kernel's log
 *
 * Threads are real, but one at a time runs in this program: whoever does not wait in the kernel holds
 * the lock below, from sim_start() to sim_stop(). So the executor is as single-threaded as it is with the simulator's fibers.
 */
#ifndef PLAY_H
#define PLAY_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "control.h"
#include "../ms-disk/ms-disk.h"

/* Where modules are: DIR of `modprobe -d DIR`. Set once, by main(). */
extern const char *play_module_dir;

/*
 * Around whatever may take time. After the power went, play_enter() returns to nobody but to who
 * switched it off.
 */
void play_leave(void);
void play_enter(void);

/* ioctl() on the control file of ms-disk, which takes no time; 0 or -errno. */
int play_ms_disk(unsigned long cmd, void *args);

/* ---- devices by name; with the lock ---- */

/* NULL: the name is taken, or not a name. */
struct block_device *bdev_add(const char *name, unsigned int major, unsigned int minor);
void bdev_remove(const char *name);
/* An empty folder to work in, so that names in tables mean these devices. */
void bdev_start(void);
void bdev_stop(void);

/* ---- the kernel's log ---- */

/* From now on; to be given to log_table_error(). Negative: not readable. */
int log_open(void);
/*
 * Why the table of that device was refused, since log_open(), which it ends. Empty: the kernel said
 * nothing in that form.
 */
void log_table_error(int log, unsigned int major, unsigned int minor, char *reason, size_t size);
/* All lines since log_open(), which it ends. */
void log_replay(int log, void (*line)(void *context, int level, const char *line), void *context);

/* ---- without the lock, at the beginning, at the end and when the power goes ---- */

/* Closes what dmctl_open() has opened. */
void dm_close_all(void);
/* Takes all devices of the kernel away, whatever state they are in. False: some stay. */
bool dm_remove_all(void);
/* The module of the disks, fresh. 0 or -errno. */
int module_load_disks(void);
/* Unloads all that are ours; false, with a message, when one stays. */
bool module_unload_all(void);

#endif /* PLAY_H */
