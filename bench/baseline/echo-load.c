/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load of the echo bench: keeps WINDOW ICMPv4 echo requests outstanding for SECONDS and counts replies.
 *   echo-load ADDRESS WINDOW SECONDS [LENGTH [NETWORKS]]       prints {"replies":N,"seconds":S,"lost":N}
 * LENGTH is that of header and payload. With NETWORKS, requests go in turn to as many addresses, 256 apart.
 * Requests that are not answered within half a second count as lost and are replaced.
 */
#include "common.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#define BATCH 64
#define LEN 64 /* ICMP header and 56 bytes, as ping sends */
#define MAX_LEN 65515
#define MAX_NETWORKS 256

static uint16_t checksum(const uint8_t *bytes, int len)
{
	uint32_t sum = 0;

	for (int i = 0; i < len; i += 2)
		sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

int main(int argc, char **argv)
{
	static uint8_t requests[BATCH][MAX_LEN + 1], replies[BATCH][128];
	static struct sockaddr_in to[MAX_NETWORKS];
	struct mmsghdr out[BATCH] = {0}, in[BATCH] = {0};
	struct iovec out_parts[BATCH], in_parts[BATCH];
	struct in_addr first;
	long len = argc > 4 ? atol(argv[4]) : LEN, networks = argc > 5 ? atol(argv[5]) : 1;
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), size = 32 << 20;
	long replies_count = 0, lost = 0, outstanding = 0;
	uint32_t only_replies = ~1U;
	uint16_t sequence = 0;
	double begin, end, last;
	long window;

	if (argc < 4 || fd < 0 || !inet_aton(argv[1], &first) || len < 8 || len > MAX_LEN || networks < 1 ||
	    networks > MAX_NETWORKS)
		return 2;
	for (uint32_t i = 0; i < networks; i++)
		to[i] = (struct sockaddr_in){.sin_family = AF_INET,
					     .sin_addr.s_addr = htonl(ntohl(first.s_addr) + 256 * i)};
	window = atol(argv[2]);
	setsockopt(fd, SOL_RAW, 1 /* ICMP_FILTER */, &only_replies, sizeof(only_replies));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	if (networks == 1 && connect(fd, (struct sockaddr *)&to[0], sizeof(to[0])) < 0)
		return 1;
	for (int i = 0; i < BATCH; i++) {
		out_parts[i] = (struct iovec){requests[i], (size_t)len};
		in_parts[i] = (struct iovec){replies[i], sizeof(replies[i])};
		out[i].msg_hdr = (struct msghdr){.msg_iov = &out_parts[i], .msg_iovlen = 1};
		in[i].msg_hdr = (struct msghdr){.msg_iov = &in_parts[i], .msg_iovlen = 1};
	}
	begin = last = now();
	end = begin + atof(argv[3]);
	while (now() < end) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		int want = window - outstanding < BATCH ? (int)(window - outstanding) : BATCH;
		int got;

		for (int i = 0; i < want; i++) {
			memset(requests[i], 0, 8);
			requests[i][0] = 8;
			requests[i][6] = (uint8_t)(sequence >> 8);
			requests[i][7] = (uint8_t)sequence;
			sequence++;
			uint16_t sum = checksum(requests[i], (int)len);
			requests[i][2] = (uint8_t)(sum >> 8);
			requests[i][3] = (uint8_t)sum;
			if (networks == 1)
				continue;
			out[i].msg_hdr.msg_name = &to[sequence % networks];
			out[i].msg_hdr.msg_namelen = sizeof(to[0]);
		}
		if (want > 0) {
			int sent = sendmmsg(fd, out, (unsigned)want, 0);

			if (sent > 0)
				outstanding += sent;
		}
		got = recvmmsg(fd, in, BATCH, MSG_DONTWAIT, NULL);
		if (got <= 0) {
			poll(&ready, 1, 10);
			if (outstanding > 0 && now() - last > 0.5) {
				lost += outstanding;
				outstanding = 0;
				last = now();
			}
			continue;
		}
		last = now();
		replies_count += got;
		outstanding -= got < outstanding ? got : outstanding;
	}
	printf("{\"replies\":%ld,\"seconds\":%.3f,\"lost\":%ld}\n", replies_count, now() - begin, lost);
	return 0;
}
