/* SPDX-License-Identifier: Apache-2.0 */
/* Between the two halves of coalescing: chunks of packets, and the runs that they form. */
#ifndef VNIC_COALESCE_H
#define VNIC_COALESCE_H

#include "core.h"
#include "offload.h"

enum { ALLOW_TCPV4 = 1, ALLOW_TCPV6 = 2, ALLOW_UDPV4 = 4, ALLOW_UDPV6 = 8 };

#define CHUNK 128
#define MAX_HEADERS 256 /* longer ones are not merged */

/* Packets that will be put out together; most have one. */
struct run {
	struct headers h;
	uint32_t flow; /* hash of addresses and ports */
	uint32_t next_seq;
	uint32_t payload_len; /* of all packets */
	uint16_t gso_size;    /* payload of the first */
	uint16_t id;          /* of the last */
	uint8_t first, last;  /* packets, as indexes in the chunk */
	uint8_t count;
	uint8_t allow; /* the one bit of ALLOW_*; 0 for a packet that is never merged */
	uint8_t id_rule;
	uint8_t verified; /* the checksums of the first: 0 not yet, 1 right, 2 wrong */
	uint8_t end_flags;
	bool open;
	bool known; /* `flow` is valid */
};

struct chunk {
	const uint8_t *bytes;
	uint32_t *descriptors; /* of the first packet */
	uint32_t len;
	uint32_t runs_len;
	int medium;
	uint32_t allowed;
	struct run runs[CHUNK];
	uint8_t next[CHUNK]; /* the next packet of the same run */
	uint8_t taken[CHUNK];
};

static inline const uint8_t *packet_at(const struct chunk *c, uint32_t i)
{
	return c->bytes + c->descriptors[(size_t)i * WORDS];
}

static inline uint32_t length_at(const struct chunk *c, uint32_t i)
{
	return c->descriptors[(size_t)i * WORDS + 1];
}

/* group.c: false when a packet lies outside of the memory. */
bool fill_chunk(struct chunk *c, const struct bytes *pool, uint32_t *descriptors, uint32_t len);

#endif
