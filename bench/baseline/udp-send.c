/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sender of the UDP bench in C: datagrams of LEN bytes to ADDRESS PORT as fast as it can, until killed.
 *   udp-send ADDRESS PORT LEN SEGMENTS        SEGMENTS datagrams a message by UDP_SEGMENT; 1 is without
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BATCH 64
#define DATAGRAMS 256 /* lie in memory one behind the other */
#define UDP_SEGMENT 103

int main(int argc, char **argv)
{
	static uint8_t bytes[DATAGRAMS * 2048];
	static union {
		char bytes[CMSG_SPACE(sizeof(uint16_t))];
		struct cmsghdr align;
	} control;
	struct mmsghdr messages[BATCH] = {0};
	struct iovec parts[BATCH];
	struct sockaddr_in to = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), size = 1 << 20, segments, batch;
	uint16_t len;

	if (argc < 5 || fd < 0 || !inet_aton(argv[1], &to.sin_addr))
		return 2;
	to.sin_port = htons((uint16_t)atoi(argv[2]));
	len = (uint16_t)atoi(argv[3]);
	segments = atoi(argv[4]);
	batch = segments > 1 ? DATAGRAMS / segments : BATCH;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	if (batch < 1 || len > 2048 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return 1;
	control.align.cmsg_level = IPPROTO_UDP;
	control.align.cmsg_type = UDP_SEGMENT;
	control.align.cmsg_len = CMSG_LEN(sizeof(len));
	memcpy(CMSG_DATA(&control.align), &len, sizeof(len));
	for (int i = 0; i < batch; i++) {
		parts[i] = (struct iovec){bytes + i * len * segments, (size_t)(len * segments)};
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
		if (segments > 1) {
			messages[i].msg_hdr.msg_control = &control;
			messages[i].msg_hdr.msg_controllen = sizeof(control);
		}
	}
	for (;;) {
		struct pollfd ready = {.fd = fd, .events = POLLOUT};

		if (sendmmsg(fd, messages, (unsigned)batch, 0) < 0 && errno == EAGAIN)
			poll(&ready, 1, 100);
	}
}
