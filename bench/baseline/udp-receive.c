/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receiver of the UDP bench in C: counts datagrams on PORT for SECONDS, from 0.3 s after the first one on.
 *   udp-receive PORT SECONDS GRO              prints {"datagrams":N,"seconds":S,"cpu":S}; GRO is 0 or 1
 */
#include "common.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#define BATCH 16
#define UDP_GRO 104

static long datagrams_of(struct mmsghdr *message)
{
	struct cmsghdr *header = CMSG_FIRSTHDR(&message->msg_hdr);
	int segment;

	if (!header || header->cmsg_level != IPPROTO_UDP || header->cmsg_type != UDP_GRO)
		return 1;
	memcpy(&segment, CMSG_DATA(header), sizeof(segment));
	return segment > 0 ? ((long)message->msg_len + segment - 1) / segment : 1;
}

int main(int argc, char **argv)
{
	static uint8_t bytes[BATCH][65536];
	static union {
		char bytes[256];
		struct cmsghdr align;
	} controls[BATCH];
	struct mmsghdr messages[BATCH] = {0};
	struct iovec parts[BATCH];
	struct sockaddr_in at = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), size = 4 << 20, gro;
	double begin = 0, end = 0, seconds, used = 0, t;
	long count = 0;

	if (argc < 4 || fd < 0)
		return 2;
	at.sin_port = htons((uint16_t)atoi(argv[1]));
	seconds = atof(argv[2]);
	gro = atoi(argv[3]);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (gro)
		setsockopt(fd, IPPROTO_UDP, UDP_GRO, &gro, sizeof(gro));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return 1;
	while (end == 0 || now() < end) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		int got;

		poll(&ready, 1, 100);
		for (int i = 0; i < BATCH; i++) {
			parts[i] = (struct iovec){bytes[i], sizeof(bytes[i])};
			messages[i].msg_hdr = (struct msghdr){
				.msg_iov = &parts[i],
				.msg_iovlen = 1,
				.msg_control = &controls[i],
				.msg_controllen = gro ? sizeof(controls[i]) : 0,
			};
		}
		got = recvmmsg(fd, messages, BATCH, 0, NULL);
		if (got <= 0)
			continue;
		t = now();
		if (end == 0) {
			begin = t + 0.3;
			end = begin + seconds;
		}
		if (t >= begin && count == 0)
			used = cpu();
		for (int i = 0; i < got && t >= begin; i++)
			count += datagrams_of(&messages[i]);
	}
	printf("{\"datagrams\":%ld,\"seconds\":%f,\"cpu\":%f}\n", count, now() - begin, cpu() - used);
	return 0;
}
