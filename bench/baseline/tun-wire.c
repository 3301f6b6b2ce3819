/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The baseline of the wire bench: what one TUN device is sent, the other hands back to the kernel, both ways,
 * packet by packet.   tun-wire NAME NAME [vnet]
 * With `vnet` the devices carry super-packets behind a virtio-net header, which pass untouched.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Packets from one device before the other gets its turn. */
#define TURN 64

static int open_tun(const char *name, int vnet)
{
	struct ifreq request = {.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | (vnet ? IFF_VNET_HDR : 0))};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0 ||
	    (vnet && ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0)) {
		perror(name);
		return -1;
	}
	return fd;
}

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
	int vnet = argc > 3 && strcmp(argv[3], "vnet") == 0;
	struct pollfd ready[2];

	if (argc < 3)
		return 2;
	for (int i = 0; i < 2; i++) {
		ready[i] = (struct pollfd){.fd = open_tun(argv[i + 1], vnet), .events = POLLIN};
		if (ready[i].fd < 0)
			return 1;
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
