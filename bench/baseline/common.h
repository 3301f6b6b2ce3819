/* SPDX-License-Identifier: Apache-2.0 */
/* What the baselines share: the clocks, opening a device, answering an echo request. */
#ifndef VNIC_BENCH_COMMON_H
#define VNIC_BENCH_COMMON_H

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* Linux 6.2; older headers lack them. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

static inline double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Processor time of this process in seconds. */
static inline double cpu(void)
{
	struct rusage use;

	getrusage(RUSAGE_SELF, &use);
	return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
	       (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

/* A device without packet information; `file` takes O_NONBLOCK, `device` IFF_TUN or IFF_TAP, IFF_VNET_HDR, IFF_MULTI_QUEUE. */
static inline int open_device(const char *name, int file, int device)
{
	struct ifreq request = {.ifr_flags = (short)(IFF_NO_PI | device)};
	int fd = open("/dev/net/tun", O_RDWR | file);
	unsigned offload = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0) {
		perror(name);
		exit(1);
	}
	if ((device & IFF_VNET_HDR) && ioctl(fd, TUNSETOFFLOAD, offload | TUN_F_USO4 | TUN_F_USO6) < 0 &&
	    ioctl(fd, TUNSETOFFLOAD, offload) < 0) {
		perror("TUNSETOFFLOAD");
		exit(1);
	}
	return fd;
}

static inline int open_tun(const char *name, int file, int device)
{
	return open_device(name, file, IFF_TUN | device);
}

/* Turns an ICMPv4 echo request into its reply in place; 0 for anything else. */
static inline int answer(uint8_t *packet, ssize_t len)
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

#endif
