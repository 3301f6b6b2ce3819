/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The baseline of the queues bench: one thread a queue, each a blocking read/write loop that answers ICMPv4 echo
 * on a multi-queue TUN device.   tun-echo-queues NAME QUEUES
 */
#include "common.h"

#include <pthread.h>

static const char *name;

static void *run(void *unused)
{
	uint8_t packet[65536];
	int fd = open_tun(name, 0, IFF_MULTI_QUEUE);

	for (;;) {
		ssize_t len = read(fd, packet, sizeof(packet));

		if (len < 0)
			exit(1);
		if (answer(packet, len) && write(fd, packet, (size_t)len) < 0)
			perror("write");
	}
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc < 3)
		return 2;
	name = argv[1];
	for (int i = 1; i < atoi(argv[2]); i++) {
		if (pthread_create(&thread, NULL, run, NULL) != 0)
			return 1;
	}
	run(NULL);
}
