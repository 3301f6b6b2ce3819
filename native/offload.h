/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What splitting and coalescing share: the virtio-net header, the headers of a packet, checksums.
 *
 * One's complement sums are kept in the byte order of memory, which gives the same sum (RFC 1071 section 2 B):
 * nothing is swapped per word, and a folded sum is stored as it is.
 */
#ifndef VNIC_OFFLOAD_H
#define VNIC_OFFLOAD_H

#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WORDS 4 /* of a descriptor, see batch.c */
#define ALIGNMENT 8

/* struct virtio_net_hdr of linux/virtio_net.h, in host order as a device without TUNSETVNETBE has it. */
struct vnet_header {
	uint8_t flags;
	uint8_t gso_type;
	uint16_t hdr_len;
	uint16_t gso_size;
	uint16_t csum_start;
	uint16_t csum_offset;
};

#define VNET_MIN_LEN 10
#define VNET_MAX_LEN 32

enum { VNET_NEEDS_CSUM = 1 };
enum { GSO_NONE = 0, GSO_TCPV4 = 1, GSO_TCPV6 = 4, GSO_UDP_L4 = 5, GSO_ECN = 0x80 };
enum { MEDIUM_IP = 0, MEDIUM_ETHERNET = 1 };
enum { PROTO_TCP = 6, PROTO_UDP = 17 };
enum { TCP_FIN = 0x01, TCP_SYN = 0x02, TCP_RST = 0x04, TCP_PSH = 0x08, TCP_ACK = 0x10, TCP_URG = 0x20, TCP_CWR = 0x80 };

/* Offsets in an IP header. */
enum { IPV4_TOTAL_LEN = 2, IPV4_ID = 4, IPV4_FLAGS = 6, IPV4_CHECK = 10, IPV4_MIN_LEN = 20 };
enum { IPV6_PAYLOAD_LEN = 4, IPV6_NEXT = 6, IPV6_LEN = 40 };

/* Offsets in a TCP or UDP header. */
enum { TCP_SEQ = 4, TCP_ACK_NUMBER = 8, TCP_DATA_OFFSET = 12, TCP_FLAGS = 13, TCP_WINDOW = 14, TCP_CHECK = 16 };
enum { TCP_URGENT = 18, TCP_MIN_LEN = 20, UDP_LEN_FIELD = 4, UDP_CHECK = 6, UDP_LEN = 8 };

/* Where the headers of a whole TCP or UDP packet are. */
struct headers {
	uint32_t l3;      /* IP header */
	uint32_t l4;      /* TCP or UDP header */
	uint32_t payload; /* behind it */
	uint32_t end;     /* of the IP packet; what follows is padding */
	uint8_t version;  /* 4 or 6 */
	uint8_t proto;
	bool routing;  /* has an IPv6 routing header: the pseudo header may have another destination */
	bool fragment; /* IPv4 only; over IPv6 it is not parsed */
};

static inline uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t be32(const uint8_t *p)
{
	return (uint32_t)be16(p) << 16 | be16(p + 2);
}

static inline void put16(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static inline void put32(uint8_t *p, uint32_t value)
{
	put16(p, value >> 16);
	put16(p + 2, value);
}

/* A 16-bit value of a header as a term of a sum. */
static inline uint64_t sum_term(uint32_t value)
{
	uint8_t bytes[2];
	uint16_t term;

	put16(bytes, value);
	memcpy(&term, bytes, 2);
	return term;
}

static inline uint64_t sum_at(const uint8_t *p)
{
	uint16_t term;

	memcpy(&term, p, 2);
	return term;
}

static inline void put_sum(uint8_t *p, uint16_t sum)
{
	memcpy(p, &sum, 2);
}

/* With the carry added at the low end, as one's complement wants it. */
static inline uint64_t add_sum(uint64_t a, uint64_t b)
{
	a += b;
	return a + (a < b);
}

static inline uint16_t fold_sum(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* A computed checksum of 0 is written as its other representation: for UDP 0 would mean none. */
static inline uint16_t checksum_of(uint64_t sum)
{
	uint16_t checksum = (uint16_t)~fold_sum(sum);

	return checksum ? checksum : 0xffff;
}

uint64_t sum_bytes(const uint8_t *p, size_t len, uint64_t sum);
/* Copies and sums in one pass. */
uint64_t copy_sum(uint8_t *to, const uint8_t *from, size_t len, uint64_t sum);

/* The addresses, protocol and length of the IP header at `l3`, as TCP and UDP checksums cover them. */
uint64_t pseudo_sum(const uint8_t *packet, const struct headers *h, uint32_t l4_len);

/* False when the packet is not TCP or UDP with whole headers. Reads nothing outside of `len`. */
bool parse_headers(const uint8_t *packet, size_t len, int medium, struct headers *h);

/* segment.c */
napi_value offload_segment(napi_env env, napi_callback_info info);
napi_value offload_read_segments(napi_env env, napi_callback_info info);

/* coalesce.c */
napi_value offload_coalesce(napi_env env, napi_callback_info info);
napi_value offload_write_coalesced(napi_env env, napi_callback_info info);

#endif
