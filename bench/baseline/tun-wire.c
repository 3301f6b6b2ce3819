/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The baseline of the wire and switch benches: what one device is sent, the other hands back to the kernel, both ways,
 * packet by packet.   tun-wire NAME NAME [vnet] [tap]
 * With `vnet` the devices carry super-packets behind a virtio-net header, which pass untouched. With `tap` they are TAP devices, and
 * this is a hub of two ports.
 */
#include "common.h"

#include <errno.h>
#include <poll.h>

/* Packets from one device before the other gets its turn. */
#define TURN 64

static int pass(int from, int to)
{
	static unsigned char packet[65536 + 64];

	for (int i = 0; i < TURN; i++) {
		ssize_t len = read(from, packet, sizeof(packet));

		if (len < 0)
			return errno == EAGAIN ? 0 : -1;
		if (write(to, packet, (size_t)len) < 0 && errno == EBADFD)
			return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	int vnet = 0, kind = IFF_TUN;
	struct pollfd ready[2];

	if (argc < 3)
		return 2;
	for (int i = 3; i < argc; i++) {
		if (strcmp(argv[i], "vnet") == 0)
			vnet = IFF_VNET_HDR;
		if (strcmp(argv[i], "tap") == 0)
			kind = IFF_TAP;
	}
	for (int i = 0; i < 2; i++) {
		ready[i].fd = open_device(argv[i + 1], O_NONBLOCK, kind | vnet);
		ready[i].events = POLLIN;
	}
	for (;;) {
		if (poll(ready, 2, -1) < 0)
			return 1;
		for (int i = 0; i < 2; i++) {
			if (ready[i].revents == 0)
				continue;
			if (pass(ready[i].fd, ready[1 - i].fd) < 0) {
				perror("wire");
				return 1;
			}
		}
	}
}
