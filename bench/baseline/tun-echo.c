/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers ICMPv4 echo on TUN devices.
 *   tun-echo block NAME        a blocking read/write loop: the least that a program can do, and the baseline
 *   tun-echo busy NAME         reads without end and never sleeps
 *   tun-echo epoll NAME...     sleeps in epoll_wait(), then reads until nothing is left; any number of devices
 */
#include "common.h"

#include <errno.h>
#include <sys/epoll.h>

#define EVENTS 64

static uint8_t packet[65536];

/* What read() returned. */
static ssize_t step(int fd)
{
	ssize_t len = read(fd, packet, sizeof(packet));

	if (len > 0 && answer(packet, len) && write(fd, packet, (size_t)len) < 0)
		perror("write");
	return len;
}

static int by_epoll(char **names, int count)
{
	struct epoll_event events[EVENTS];
	int epoll = epoll_create1(0);

	for (int i = 0; i < count; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.fd = open_tun(names[i], O_NONBLOCK, 0)};

		if (epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event) < 0)
			return 1;
	}
	for (;;) {
		int ready = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < ready; i++) {
			while (step(events[i].data.fd) > 0)
				;
			if (errno != EAGAIN)
				return 1;
		}
	}
}

int main(int argc, char **argv)
{
	const char *mode = argc > 2 ? argv[1] : "";
	int busy = strcmp(mode, "busy") == 0, fd;

	if (strcmp(mode, "epoll") == 0)
		return by_epoll(argv + 2, argc - 2);
	if (!busy && strcmp(mode, "block") != 0)
		return 2;
	fd = open_tun(argv[2], busy ? O_NONBLOCK : 0, 0);
	for (;;) {
		if (step(fd) < 0 && (!busy || errno != EAGAIN))
			return 1;
	}
}
