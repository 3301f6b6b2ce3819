/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The baseline of the echo bench: a blocking read/write loop in C that answers ICMPv4 echo on a TUN device,
 * the least that a program can do.   tun-echo NAME
 */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

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

int main(int argc, char **argv)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	static uint8_t packet[65536];
	int fd = open("/dev/net/tun", O_RDWR);

	if (argc < 2 || fd < 0)
		return 2;
	strncpy(request.ifr_name, argv[1], IFNAMSIZ - 1);
	if (ioctl(fd, TUNSETIFF, &request) < 0) {
		perror("TUNSETIFF");
		return 1;
	}
	for (;;) {
		ssize_t len = read(fd, packet, sizeof(packet));

		if (len < 0)
			return 1;
		if (answer(packet, len) && write(fd, packet, (size_t)len) < 0)
			perror("write");
	}
}
