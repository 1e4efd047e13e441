// SPDX-License-Identifier: GPL-2.0
/*
 * multisnap explore: a program of its own beside this one, multisnap-explore, for it is compiled differently
 * (CMakeLists.txt).
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "sim.h"

int cmd_explore(int argc, char **argv)
{
	char path[PATH_MAX + sizeof("-explore")];
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX);

	if (n < 0) {
		sim_message("explore: cannot tell where this program is: %s", strerror(errno));
		return SIM_EXIT_USAGE;
	}
	strcpy(path + n, "-explore");
	execv(path, argv);
	if (errno == ENOENT)
		sim_message("explore: %s is not there: it is a program of its own beside this one, which builds with a sanitizer, with coverage or with threads do not have",
			    path);
	else
		sim_message("explore: %s: %s", path, strerror(errno));
	return SIM_EXIT_USAGE;
}
