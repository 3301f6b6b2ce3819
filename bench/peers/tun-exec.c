/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a program with a TUN device, blocking, as descriptor 3: for languages that have no ioctl().
 *   tun-exec NAME PROGRAM ARGUMENT...
 */
#include "common.h"

int main(int argc, char **argv)
{
	int fd;

	if (argc < 3)
		return 2;
	fd = open_tun(argv[1], 0, 0);
	if (fd != 3 && dup2(fd, 3) < 0)
		return 1;
	execvp(argv[2], argv + 2);
	return 127;
}
