// SPDX-License-Identifier: GPL-2.0
/*
 * play [--dmsetup] MODULE-DIR SCRIPT [OPTION...]: `multisnap run` on the kernel that is running, with the
 * modules of MODULE-DIR (as `modprobe -d` wants it). For a machine made for it: all its device-mapper
 * devices go. --dmsetup: by the program of that name, which takes longer.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dm.h"
#include "sim.h"

int main(int argc, char **argv)
{
	static char name[] = "play";

	if (argc > 1 && !strcmp(argv[1], "--dmsetup")) {
		dm_way = &dm_by_dmsetup;
		argv++;
		argc--;
	}
	if (argc < 3) {
		fprintf(stderr, "usage: play [--dmsetup] MODULE-DIR SCRIPT [OPTION-OF-MULTISNAP-RUN...]\n");
		return SIM_EXIT_USAGE;
	}
	if (getuid()) {
		fprintf(stderr, "play: only root may load modules and make devices\n");
		return SIM_EXIT_USAGE;
	}
	/* The current folder changes. */
	play_module_dir = realpath(argv[1], NULL);
	if (!play_module_dir) {
		perror(argv[1]);
		return SIM_EXIT_USAGE;
	}
	argv[1] = name;
	return cmd_run(argc - 1, argv + 1);
}
