/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Coalescing: consecutive in-order segments of one flow become one super-packet behind a virtio-net header, written
 * by one gathering write that copies no payload.
 *
 * Theory of operation
 *
 * Packets are taken in chunks. Each packet joins the run of its flow or starts a run of its own; runs are then put
 * out in the order of their first packets. A packet that cannot join closes the run of its flow, so that no packet
 * overtakes another of its flow. Two packets are merged only when splitting would give back what was merged, and
 * when the checksums of both are right: a super-packet asks the receiver to trust its payload, and a broken packet
 * must stay broken. A run that the kernel refuses is written packet by packet; nothing of the packets is changed
 * before that. Runs are made in group.c.
 */
#include "coalesce.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

/* Words of the state; src/native/offload.ts has the same. */
enum {
	C_VNET_LEN,      /* in: length of the virtio-net header */
	C_MEDIUM,        /* in: MEDIUM_* */
	C_ALLOWED,       /* in: bits of ALLOW_* */
	C_ERROR,         /* out: errno that ended it (EAGAIN, EBADFD), or 0 */
	C_BYTES,         /* out: bytes of packets put out, headers of merged ones counted */
	C_PACKETS,       /* out: packets put out */
	C_SUPERS,        /* out: super-packets among what was put out */
	C_MERGED,        /* out: bits of ALLOW_*: kinds of those */
	C_REFUSED,       /* out: bits of ALLOW_*: the kernel refused such a super-packet, but not its packets */
	C_DOWN,          /* out: packets dropped with EIO */
	C_NO_BUFFER,     /* out: packets dropped with ENOBUFS or ENOMEM */
	C_INVALID,       /* out: packets dropped with another errno */
	C_INVALID_INDEX, /* out: the last of them */
	C_INVALID_ERROR, /* out: its errno */
	C_FREE,          /* in, out: first free byte of the memory to coalesce into */
	C_COUNT,         /* in, out: its descriptors filled */
	C_WORDS,
};

struct sink {
	int fd; /* or -1: into memory */
	struct bytes out;
	uint32_t *out_descriptors;
	uint32_t out_capacity;
	uint32_t vnet_len;
	uint32_t *state;
};

/* The virtio-net header and the headers of the super-packet; returns their length. */
static size_t build_headers(const struct chunk *c, const struct run *run, uint8_t *to, uint32_t vnet_len)
{
	const struct headers *h = &run->h;
	bool tcp = h->proto == PROTO_TCP;
	uint32_t total = h->payload + run->payload_len;
	uint8_t *l3 = to + vnet_len + h->l3, *l4 = to + vnet_len + h->l4;
	struct vnet_header vnet = {
		.flags = VNET_NEEDS_CSUM,
		.gso_type = tcp ? (h->version == 4 ? GSO_TCPV4 : GSO_TCPV6) : GSO_UDP_L4,
		.hdr_len = (uint16_t)h->payload,
		.gso_size = run->gso_size,
		.csum_start = (uint16_t)h->l4,
		.csum_offset = tcp ? TCP_CHECK : UDP_CHECK,
	};

	memcpy(to + vnet_len, packet_at(c, run->first), h->payload);
	if (h->version == 4) {
		put16(l3 + IPV4_TOTAL_LEN, total - h->l3);
		put16(l3 + IPV4_CHECK, 0);
		put_sum(l3 + IPV4_CHECK, (uint16_t)~fold_sum(sum_bytes(l3, IPV4_MIN_LEN, 0)));
	} else {
		put16(l3 + IPV6_PAYLOAD_LEN, total - h->l3 - IPV6_LEN);
	}
	if (tcp) {
		if (l4[TCP_FLAGS] & TCP_CWR)
			vnet.gso_type |= GSO_ECN;
		l4[TCP_FLAGS] |= run->end_flags;
	} else {
		put16(l4 + UDP_LEN_FIELD, total - h->l4);
	}
	put_sum(l4 + vnet.csum_offset, fold_sum(pseudo_sum(to + vnet_len, h, total - h->l4)));
	memset(to, 0, vnet_len);
	memcpy(to, &vnet, VNET_MIN_LEN);
	return vnet_len + h->payload;
}

/* One frame to the descriptor or to memory; 0 or an errno, ENOSPC for full memory. */
static int put_frame(struct sink *sink, const struct iovec *parts, int count)
{
	size_t len = 0, at = sink->state[C_FREE];
	uint32_t *descriptor;

	if (sink->fd >= 0) {
		ssize_t n;

		do
			n = writev(sink->fd, parts, count);
		while (n < 0 && errno == EINTR);
		return n < 0 ? errno : 0;
	}
	for (int i = 0; i < count; i++)
		len += parts[i].iov_len;
	if (sink->state[C_COUNT] >= sink->out_capacity || at > sink->out.len || len > sink->out.len - at)
		return ENOSPC;
	descriptor = sink->out_descriptors + (size_t)sink->state[C_COUNT]++ * WORDS;
	descriptor[0] = (uint32_t)at;
	descriptor[1] = (uint32_t)len;
	descriptor[2] = descriptor[3] = 0;
	for (int i = 0; i < count; i++) {
		memcpy(sink->out.data + at, parts[i].iov_base, parts[i].iov_len);
		at += parts[i].iov_len;
	}
	sink->state[C_FREE] = (uint32_t)((at + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1));
	return 0;
}

/* Counts what came of packet `i`; true when the rest must wait. */
static bool settle(struct chunk *c, struct sink *sink, uint32_t i, uint32_t index, int error)
{
	uint32_t *state = sink->state;

	if (error == EAGAIN || error == EBADFD || error == ENOSPC) {
		state[C_ERROR] = (uint32_t)error;
		return true;
	}
	c->taken[i] = 1;
	if (error == 0) {
		state[C_PACKETS]++;
		state[C_BYTES] += length_at(c, i);
	} else if (error == EIO) {
		state[C_DOWN]++;
	} else if (error == ENOBUFS || error == ENOMEM) {
		state[C_NO_BUFFER]++;
	} else {
		state[C_INVALID]++;
		state[C_INVALID_INDEX] = index;
		state[C_INVALID_ERROR] = (uint32_t)error;
	}
	return false;
}

/*
 * One write of one piece costs less than a gathering one, so the header goes before the packet for the time of the
 * call; what was there, headroom or the end of another packet, is put back.
 */
static int write_in_place(struct sink *sink, uint8_t *packet, size_t len)
{
	uint8_t saved[VNET_MAX_LEN], *frame = packet - sink->vnet_len;
	ssize_t n;
	int error;

	memcpy(saved, frame, sink->vnet_len);
	memset(frame, 0, sink->vnet_len);
	do
		n = write(sink->fd, frame, sink->vnet_len + len);
	while (n < 0 && errno == EINTR);
	error = n < 0 ? errno : 0;
	memcpy(frame, saved, sink->vnet_len);
	return error;
}

static int put_alone(const struct chunk *c, struct sink *sink, uint32_t i)
{
	static const uint8_t no_offload[VNET_MAX_LEN];
	struct iovec parts[2] = {
		{(void *)no_offload, sink->vnet_len},
		{(void *)packet_at(c, i), length_at(c, i)},
	};

	if (sink->fd >= 0 && c->descriptors[(size_t)i * WORDS] >= sink->vnet_len)
		return write_in_place(sink, (uint8_t *)packet_at(c, i), length_at(c, i));
	return put_frame(sink, parts, 2);
}

static int put_merged(const struct chunk *c, struct sink *sink, const struct run *run)
{
	uint8_t headers[VNET_MAX_LEN + MAX_HEADERS];
	struct iovec parts[CHUNK + 1];
	uint32_t i = run->first;

	parts[0] = (struct iovec){headers, build_headers(c, run, headers, sink->vnet_len)};
	for (int n = 1; n <= run->count; n++, i = c->next[i])
		parts[n] = (struct iovec){(void *)(packet_at(c, i) + run->h.payload), length_at(c, i) - run->h.payload};
	return put_frame(sink, parts, run->count + 1);
}

/* True when the rest must wait. `from` is the index of the chunk's first packet. */
static bool put_run(struct chunk *c, struct sink *sink, const struct run *run, uint32_t from)
{
	bool refused = false;
	uint32_t i = run->first;
	int error;

	if (run->count > 1) {
		error = put_merged(c, sink, run);
		refused = error == EINVAL;
		/* A kernel that lies about offloads, or has no 64 KiB in one piece, may still take the packets. */
		if (error != EINVAL && error != ENOMEM && error != ENOBUFS) {
			if (error == 0) {
				sink->state[C_SUPERS]++;
				sink->state[C_MERGED] |= run->allow;
			}
			for (int n = 0; n < run->count; n++, i = c->next[i]) {
				if (settle(c, sink, i, from + i, error))
					return true;
			}
			return false;
		}
	}
	for (int n = 0; n < run->count; n++, i = c->next[i]) {
		error = put_alone(c, sink, i);
		if (settle(c, sink, i, from + i, error))
			return true;
		if (refused && error == 0)
			sink->state[C_REFUSED] |= run->allow;
	}
	return false;
}

/* Returns how many packets were taken from the front; those taken behind them get length 0. */
static uint32_t put_chunk(struct chunk *c, struct sink *sink, uint32_t from)
{
	uint32_t done = 0;

	for (uint32_t r = 0; r < c->runs_len; r++) {
		if (put_run(c, sink, &c->runs[r], from))
			break;
	}
	while (done < c->len && (c->taken[done] || length_at(c, done) == 0))
		done++;
	for (uint32_t i = done; i < c->len; i++) {
		if (c->taken[i])
			c->descriptors[(size_t)i * WORDS + 1] = 0;
	}
	return done;
}

static napi_value put_all(napi_env env, const napi_value *argv, struct sink *sink)
{
	uint32_t *descriptors, from, to, at;
	size_t descriptors_len;
	struct bytes pool;
	struct chunk chunk;

	if (!get_bytes(env, argv[0], &pool) || !get_words(env, argv[1], &descriptors, &descriptors_len) ||
	    !get_u32(env, argv[2], &from) || !get_u32(env, argv[3], &to))
		return NULL;
	if (from > to || (size_t)to * WORDS > descriptors_len)
		return misuse(env, "range outside the descriptors");
	sink->vnet_len = sink->state[C_VNET_LEN];
	if (sink->vnet_len < VNET_MIN_LEN || sink->vnet_len > VNET_MAX_LEN)
		return misuse(env, "wrong length of virtio-net header");
	memset(sink->state + C_ERROR, 0, (C_FREE - C_ERROR) * sizeof(uint32_t));
	chunk.medium = sink->state[C_MEDIUM] == MEDIUM_ETHERNET ? MEDIUM_ETHERNET : MEDIUM_IP;
	chunk.allowed = sink->state[C_ALLOWED];
	for (at = from; at < to;) {
		uint32_t len = to - at < CHUNK ? to - at : CHUNK, done;

		if (!fill_chunk(&chunk, &pool, descriptors + (size_t)at * WORDS, len))
			return misuse(env, "packet outside the batch memory");
		done = put_chunk(&chunk, sink, at);
		at += done;
		if (done < len)
			break;
		/* Not again for the rest of this batch. */
		chunk.allowed &= ~sink->state[C_REFUSED];
	}
	return to_number(env, at - from);
}

static bool get_state(napi_env env, napi_value value, struct sink *sink)
{
	size_t len;

	if (!get_words(env, value, &sink->state, &len))
		return false;
	if (len >= C_WORDS)
		return true;
	misuse(env, "the state of coalescing has too few words");
	return false;
}

/* writeCoalesced(fd, bytes, descriptors, from, to, state): packets taken. */
napi_value offload_write_coalesced(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	struct sink sink = {0};

	if (!get_args(env, info, 6, argv) || !get_i32(env, argv[0], &sink.fd) || !get_state(env, argv[5], &sink))
		return NULL;
	if (sink.fd < 0)
		return misuse(env, "expected a file descriptor");
	return put_all(env, argv + 1, &sink);
}

/* coalesce(bytes, descriptors, from, to, out, outDescriptors, state): packets taken. */
napi_value offload_coalesce(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	struct sink sink = {.fd = -1};
	size_t out_len;

	if (!get_args(env, info, 7, argv) || !get_bytes(env, argv[4], &sink.out) ||
	    !get_words(env, argv[5], &sink.out_descriptors, &out_len) || !get_state(env, argv[6], &sink))
		return NULL;
	if (sink.out.len > UINT32_MAX - VNET_MAX_LEN)
		return misuse(env, "batch memory over 4 GiB");
	sink.out_capacity = (uint32_t)(out_len / WORDS);
	return put_all(env, argv, &sink);
}
