/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is done to the packets of a batch, in two passes.
 *
 * The first looks at every packet and refuses the whole call, with nothing touched; the second does the work.
 * Memory may be shared with other threads, so the second believes nothing the first one saw: it reads each word
 * once and checks it again, and drops a packet (length 0) that has meanwhile gone wrong.
 *
 * A nonce is used once: a key seals counters in rising order only, and refuses those from its limit on.
 */
#define _DEFAULT_SOURCE /* endian.h */
#include "aead.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define PACKET_MAX (1U << 30)

/* One packet as its descriptor says. */
struct packet {
	uint32_t *descriptor;
	uint8_t *data;
	uint32_t len;
};

/* --- Counters --- */

static uint64_t load_counter(const uint8_t *at, uint32_t len, bool big_endian)
{
	uint64_t value = 0;

	for (uint32_t i = 0; i < len; i++)
		value |= (uint64_t)at[i] << 8 * (big_endian ? len - 1 - i : i);
	return value;
}

/* XOR, into zeros a plain store. */
static void xor_counter(uint8_t *at, uint32_t len, bool big_endian, uint64_t value)
{
	uint64_t word;

	if (len == 8) { /* nearly always */
		memcpy(&word, at, 8);
		word ^= big_endian ? htobe64(value) : htole64(value);
		memcpy(at, &word, 8);
		return;
	}
	for (uint32_t i = 0; i < len; i++)
		at[i] ^= (uint8_t)(value >> 8 * (big_endian ? len - 1 - i : i));
}

static void make_nonce(const struct nonce_format *format, uint64_t counter, uint8_t *nonce)
{
	memcpy(nonce, format->iv, NONCE_LEN);
	xor_counter(nonce + format->counter_offset, format->counter_len, format->big_endian, counter);
}

static uint32_t load_word(const uint32_t *at)
{
	return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static void store_word(uint32_t *at, uint32_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELAXED);
}

static uint64_t descriptor_counter(const uint32_t *descriptor)
{
	return load_word(&descriptor[2]) | (uint64_t)load_word(&descriptor[3]) << 32;
}

static void set_descriptor_counter(uint32_t *descriptor, uint64_t counter)
{
	store_word(&descriptor[2], (uint32_t)counter);
	store_word(&descriptor[3], (uint32_t)(counter >> 32));
}

/* Counters from this on cannot be sealed; a short field in the header holds fewer than the nonce. */
static uint64_t sealing_limit(const struct aead *aead, const struct layout *layout)
{
	uint64_t held;

	if (layout->flags & LAYOUT_COUNTERS_IN_DESCRIPTORS || layout->counter_len >= 8)
		return aead->nonce.limit;
	held = (uint64_t)1 << 8 * layout->counter_len;
	return held < aead->nonce.limit ? held : aead->nonce.limit;
}

/* --- The first pass --- */

static bool inside_header(const struct layout *layout, uint32_t offset, uint32_t len)
{
	return offset <= layout->payload_offset && len <= layout->payload_offset - offset;
}

static bool apart(uint32_t a, uint32_t a_len, uint32_t b, uint32_t b_len)
{
	return a_len == 0 || b_len == 0 || a + a_len <= b || b + b_len <= a;
}

bool sound_layout(const struct layout *layout)
{
	bool tag_at_end = layout->tag_offset == NOWHERE;

	if (layout->payload_offset > PACKET_MAX || !inside_header(layout, layout->aad_offset, layout->aad_len))
		return false;
	if (!tag_at_end && (!inside_header(layout, layout->tag_offset, TAG_LEN) ||
			    !apart(layout->tag_offset, TAG_LEN, layout->aad_offset, layout->aad_len)))
		return false;
	if (layout->counter_offset == NOWHERE)
		return layout->counter_len == 0 && layout->flags & LAYOUT_COUNTERS_IN_DESCRIPTORS;
	return layout->counter_len >= 1 && layout->counter_len <= 8 &&
	       inside_header(layout, layout->counter_offset, layout->counter_len) &&
	       (tag_at_end || apart(layout->tag_offset, TAG_LEN, layout->counter_offset, layout->counter_len));
}

/* Bytes by which sealing makes a packet longer. */
static uint32_t growth(const struct batch *batch, bool sealing)
{
	return sealing && batch->layout.tag_offset == NOWHERE ? TAG_LEN : 0;
}

/* Reads descriptor `at`. False when the packet, with `room` bytes behind it, leaves the slab. */
static bool load_packet(const struct batch *batch, uint32_t at, uint32_t room, struct packet *packet)
{
	uint32_t *descriptor = batch->descriptors + (size_t)at * WORDS;
	uint32_t offset = load_word(&descriptor[0]);

	packet->descriptor = descriptor;
	packet->len = load_word(&descriptor[1]);
	if (packet->len == 0)
		return true;
	if (packet->len > PACKET_MAX || offset > batch->slab.len ||
	    (size_t)packet->len + room > batch->slab.len - offset)
		return false;
	packet->data = batch->slab.data + offset;
	return true;
}

/* Whether packet `at` shares a byte with one before it; slow, so asked only of packets out of order. */
static bool meets_earlier(const struct batch *batch, uint32_t at, const struct packet *packet, uint32_t room)
{
	for (uint32_t i = batch->from; i < at; i++) {
		struct packet other;

		if (!load_packet(batch, i, room, &other) || other.len == 0)
			continue;
		if (packet->data < other.data + other.len + room && other.data < packet->data + packet->len + room)
			return true;
	}
	return false;
}

int check_batch(const struct aead *aead, const struct batch *batch, bool sealing)
{
	uint32_t room = growth(batch, sealing);
	/* The pool may be sealing, and so moving `next`, while this is about opening. */
	uint64_t next = sealing ? aead->next : 0, counter = batch->counter, limit = sealing_limit(aead, &batch->layout);
	const uint8_t *low = NULL, *high = NULL; /* what lies between the first and the last byte so far */

	for (uint32_t i = batch->from; i < batch->to; i++) {
		struct packet packet;
		const uint8_t *end;

		if (!load_packet(batch, i, room, &packet))
			return -ERANGE;
		if (packet.len == 0)
			continue;
		if (sealing && packet.len < batch->layout.payload_offset)
			return -ERANGE;
		end = packet.data + packet.len + room;
		if (low && end > low && packet.data < high && meets_earlier(batch, i, &packet, room))
			return -ERANGE;
		if (!low || packet.data < low)
			low = packet.data;
		if (!high || end > high)
			high = end;
		if (!sealing)
			continue;
		if (batch->layout.flags & LAYOUT_COUNTERS_IN_DESCRIPTORS)
			counter = descriptor_counter(packet.descriptor);
		if (counter >= limit)
			return -EOVERFLOW;
		if (counter < next)
			return -EALREADY;
		next = ++counter;
	}
	return 0;
}

/* --- The second pass --- */

/* The counter of the next packet to seal; false when it must not be used. */
static bool take_counter(struct aead *aead, struct batch *batch, const struct packet *packet, uint64_t *counter)
{
	if (batch->layout.flags & LAYOUT_COUNTERS_IN_DESCRIPTORS)
		*counter = descriptor_counter(packet->descriptor);
	else
		*counter = batch->counter++;
	if (*counter < aead->next || *counter >= sealing_limit(aead, &batch->layout))
		return false;
	aead->next = *counter + 1;
	return true;
}

static bool seal_packet(struct aead *aead, struct batch *batch, const struct packet *packet, uint8_t *scratch)
{
	const struct layout *layout = &batch->layout;
	uint32_t room = growth(batch, true);
	struct message message = {.scratch = scratch};
	uint64_t counter;

	if (packet->len < layout->payload_offset || !take_counter(aead, batch, packet, &counter))
		return false;
	if (layout->counter_offset != NOWHERE) {
		memset(packet->data + layout->counter_offset, 0, layout->counter_len);
		xor_counter(packet->data + layout->counter_offset, layout->counter_len,
			    layout->flags & LAYOUT_BIG_ENDIAN, counter);
	}
	make_nonce(&aead->nonce, counter, message.nonce);
	message.aad = packet->data + layout->aad_offset;
	message.aad_len = layout->aad_len;
	message.data = packet->data + layout->payload_offset;
	message.len = packet->len - layout->payload_offset;
	message.tag = packet->data + (room ? packet->len : layout->tag_offset);
	if (!cipher_seal(&aead->sealing.cipher, &message)) {
		erase(message.data, message.len);
		return false;
	}
	set_descriptor_counter(packet->descriptor, counter);
	store_word(&packet->descriptor[1], packet->len + room);
	return true;
}

static bool open_packet(struct aead *aead, struct batch *batch, const struct packet *packet, uint8_t *scratch)
{
	const struct layout *layout = &batch->layout;
	uint32_t trailer = layout->tag_offset == NOWHERE ? TAG_LEN : 0;
	struct message message = {.scratch = scratch};
	uint64_t counter;

	if (packet->len < layout->payload_offset || packet->len - layout->payload_offset < trailer)
		return false;
	message.data = packet->data + layout->payload_offset;
	message.len = packet->len - layout->payload_offset - trailer;
	if (layout->flags & LAYOUT_COUNTERS_IN_DESCRIPTORS)
		counter = descriptor_counter(packet->descriptor);
	else
		counter = load_counter(packet->data + layout->counter_offset, layout->counter_len,
				       layout->flags & LAYOUT_BIG_ENDIAN);
	make_nonce(&aead->nonce, counter, message.nonce);
	message.aad = packet->data + layout->aad_offset;
	message.aad_len = layout->aad_len;
	message.tag = packet->data + (trailer ? packet->len - TAG_LEN : layout->tag_offset);
	if (counter >= aead->nonce.limit || !cipher_unseal(&aead->opening.cipher, &message)) {
		erase(message.data, message.len);
		return false;
	}
	set_descriptor_counter(packet->descriptor, counter);
	store_word(&packet->descriptor[1], packet->len - trailer);
	return true;
}

uint32_t run_batch(struct aead *aead, struct batch *batch, bool sealing)
{
	uint32_t room = growth(batch, sealing), done = 0;
	uint8_t scratch[STREAM_MAX];

	for (uint32_t i = batch->from; i < batch->to; i++) {
		struct packet packet;
		bool inside = load_packet(batch, i, room, &packet);

		if (packet.len == 0)
			continue;
		if (inside && (sealing ? seal_packet : open_packet)(aead, batch, &packet, scratch))
			done++;
		else
			store_word(&packet.descriptor[1], 0);
	}
	erase(scratch, sizeof(scratch));
	return done;
}
