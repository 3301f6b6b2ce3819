/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The baseline of the bench of reading alone and writing alone, and its load.
 *   tun-read-write read NAME SECONDS            reads until SECONDS have passed since the first packet
 *   tun-read-write write NAME SECONDS LENGTH    writes UDP packets of LENGTH bytes
 *   tun-read-write blast NAME SECONDS LENGTH    gives the device packets to be read, past the queueing discipline
 * The first two print {"packets":N,"seconds":S,"cpu":S}.
 */
#include "common.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#define BATCH 64
#define MAX_LEN 65535
/* Looking at the clock costs as much as a tenth of a packet. */
#define PACKETS_PER_LOOK 64

static unsigned char packet[MAX_LEN + 1];

/* IPv4 and UDP to an address that nobody has, so that the kernel's own part is short: it finds no route. */
static void fill(size_t len)
{
	uint32_t sum = 0;

	packet[0] = 0x45;
	packet[2] = (unsigned char)(len >> 8);
	packet[3] = (unsigned char)len;
	packet[8] = 64;
	packet[9] = IPPROTO_UDP;
	memcpy(packet + 12, "\x0a\x09\x00\x02\xc6\x33\x64\x01", 8);
	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)(packet[i] << 8 | packet[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	packet[10] = (unsigned char)(~sum >> 8);
	packet[11] = (unsigned char)~sum;
	packet[21] = packet[23] = 9;
	packet[24] = (unsigned char)((len - 20) >> 8);
	packet[25] = (unsigned char)(len - 20);
}

static void report(long packets, double begin, double cpu_begin)
{
	printf("{\"packets\":%ld,\"seconds\":%.4f,\"cpu\":%.4f}\n", packets, now() - begin, cpu() - cpu_begin);
}

static int read_all(int fd, double seconds)
{
	double begin = 0, cpu_begin = 0;
	long packets = 0;

	for (;;) {
		if (read(fd, packet, sizeof(packet)) < 0)
			return 1;
		if (packets++ == 0) {
			begin = now();
			cpu_begin = cpu();
		}
		if (packets % PACKETS_PER_LOOK == 0 && now() - begin > seconds)
			break;
	}
	report(packets, begin, cpu_begin);
	return 0;
}

static int write_all(int fd, double seconds, size_t len)
{
	double begin = now(), cpu_begin = cpu();
	long packets = 0;

	fill(len);
	while (packets % PACKETS_PER_LOOK != 0 || now() - begin < seconds) {
		if (write(fd, packet, len) < 0)
			return 1;
		packets++;
	}
	report(packets, begin, cpu_begin);
	return 0;
}

static int blast(const char *name, double seconds, size_t len)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_IP),
				 .sll_ifindex = (int)if_nametoindex(name)};
	int fd = socket(AF_PACKET, SOCK_DGRAM, 0), yes = 1, size = 8 << 20;
	struct iovec part = {packet, len};
	struct mmsghdr out[BATCH] = {0};
	double end = now() + seconds;

	if (fd < 0 || to.sll_ifindex == 0)
		return 1;
	setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &yes, sizeof(yes));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	fill(len);
	for (int i = 0; i < BATCH; i++)
		out[i].msg_hdr = (struct msghdr){
			.msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = &part, .msg_iovlen = 1};
	while (now() < end)
		if (sendmmsg(fd, out, BATCH, 0) < 0 && errno != ENOBUFS && errno != EAGAIN)
			return errno == ENXIO || errno == ENETDOWN ? 0 : 1;
	return 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 3 ? argv[1] : "";
	size_t len = argc > 4 ? (size_t)atoi(argv[4]) : 0;

	if (strcmp(mode, "read") == 0)
		return read_all(open_tun(argv[2], 0, 0), atof(argv[3]));
	if (len < 28 || len > MAX_LEN)
		return 2;
	if (strcmp(mode, "write") == 0)
		return write_all(open_tun(argv[2], 0, 0), atof(argv[3]), len);
	if (strcmp(mode, "blast") == 0)
		return blast(argv[2], atof(argv[3]), len);
	return 2;
}
