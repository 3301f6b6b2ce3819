/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The baseline of the queues bench: one thread a queue, each a blocking read/write loop that answers ICMPv4 echo
 * on a multi-queue TUN device.   tun-echo-queues NAME QUEUES
 */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char *name;

static int answer(uint8_t *packet, ssize_t len)
{
	int at = (packet[0] & 15) * 4;
	uint8_t source[4];
	uint32_t sum;

	if (len < at + 8 || packet[0] >> 4 != 4 || packet[9] != 1 || packet[at] != 8)
		return 0;
	memcpy(source, packet + 12, 4);
	memmove(packet + 12, packet + 16, 4);
	memcpy(packet + 16, source, 4);
	packet[at] = 0;
	sum = (uint32_t)(packet[at + 2] << 8 | packet[at + 3]) + 0x0800;
	sum = (sum & 0xffff) + (sum >> 16);
	packet[at + 2] = (uint8_t)(sum >> 8);
	packet[at + 3] = (uint8_t)sum;
	return 1;
}

static void *run(void *unused)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_MULTI_QUEUE};
	uint8_t packet[65536];
	int fd = open("/dev/net/tun", O_RDWR);

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0) {
		perror("TUNSETIFF");
		exit(1);
	}
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
