/* SPDX-License-Identifier: Apache-2.0 */
/* What a key, a layout and a batch are; aead.c has the calls, aead-batch.c what they do to packets. */
#ifndef VNIC_AEAD_H
#define VNIC_AEAD_H

#include "core.h"
#include "openssl.h"

#define WORDS 4 /* of a descriptor */
#define NOWHERE UINT32_MAX

/* How a counter becomes a nonce: `iv` XOR the counter's bytes at an offset. */
struct nonce_format {
	uint8_t iv[NONCE_LEN];
	uint32_t counter_offset, counter_len;
	bool big_endian;
	uint64_t limit; /* counters from this on are refused */
};

enum { LAYOUT_BIG_ENDIAN = 1, LAYOUT_COUNTERS_IN_DESCRIPTORS = 2 };

/* Offsets in a packet; src/crypto/layout.ts writes these words. */
struct layout {
	uint32_t payload_offset;
	uint32_t aad_offset, aad_len;
	uint32_t tag_offset;	 /* NOWHERE: at the end of the packet */
	uint32_t counter_offset; /* NOWHERE: not in the packet */
	uint32_t counter_len;
	uint32_t flags;
};

#define LAYOUT_WORDS (sizeof(struct layout) / sizeof(uint32_t))

struct direction {
	struct cipher cipher; /* opened with the first batch */
	bool on_pool;
};

struct aead {
	struct openssl ssl;
	struct nonce_format nonce;
	enum algorithm algorithm;
	bool low_level, closed, weighed;
	uint32_t references;
	uint64_t next; /* the lowest counter that may be sealed */
	uint8_t key[KEY_MAX];
	struct direction sealing, opening;
};

struct batch {
	struct bytes slab;
	uint32_t *descriptors;
	uint32_t from, to;
	struct layout layout;
	uint64_t counter; /* of the next packet, where the caller numbers a run */
};

/* Whether the parts that a layout names lie in the header, and the tag over no other. */
bool sound_layout(const struct layout *layout);

/*
 * The first pass, which only reads. 0, or -ERANGE: a packet outside the slab or over another, -EALREADY: a counter
 * that was used, -EOVERFLOW: one over the limit.
 */
int check_batch(const struct aead *aead, const struct batch *batch, bool sealing);

/* The second pass: packets sealed or opened. The cipher of that direction is open. */
uint32_t run_batch(struct aead *aead, struct batch *batch, bool sealing);

#endif
