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
 * before that.
 */
#include "core.h"
#include "offload.h"

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

enum { ALLOW_TCPV4 = 1, ALLOW_TCPV6 = 2, ALLOW_UDPV4 = 4, ALLOW_UDPV6 = 8 };

#define CHUNK 128
#define LOOKUP 8         /* runs that a packet is compared with */
#define MAX_HEADERS 256  /* longer ones are not merged */
#define MAX_IP_LEN 65535
#define MAX_DATAGRAMS 64 /* UDP_MAX_SEGMENTS of kernels before 6.9 */

enum id_rule { ID_UNKNOWN, ID_FIXED, ID_COUNTS };

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

struct sink {
	int fd; /* or -1: into memory */
	struct bytes out;
	uint32_t *out_descriptors;
	uint32_t out_capacity;
	uint32_t vnet_len;
	uint32_t *state;
};

static const uint8_t *packet_at(const struct chunk *c, uint32_t i)
{
	return c->bytes + c->descriptors[(size_t)i * WORDS];
}

static uint32_t length_at(const struct chunk *c, uint32_t i)
{
	return c->descriptors[(size_t)i * WORDS + 1];
}

static uint32_t hash_flow(const uint8_t *packet, const struct headers *h)
{
	const uint8_t *addresses = packet + h->l3 + (h->version == 4 ? 12 : 8);
	uint64_t sum = sum_bytes(addresses, h->version == 4 ? 8 : 32, h->proto), ports = be32(packet + h->l4);

	return (uint32_t)((sum ^ sum >> 32) * 0x9e3779b1u + ports * 0x85ebca6bu);
}

static bool same_flow(const uint8_t *a, const struct headers *ha, const uint8_t *b, const struct headers *hb)
{
	bool v4 = ha->version == 4;

	return ha->version == hb->version && ha->proto == hb->proto &&
	       !memcmp(a + ha->l3 + (v4 ? 12 : 8), b + hb->l3 + (v4 ? 12 : 8), v4 ? 8 : 32) &&
	       !memcmp(a + ha->l4, b + hb->l4, 4);
}

/* What the kernel would put out unchanged after merging, as far as one packet tells. */
static uint8_t mergeable_kind(const uint8_t *packet, size_t len, const struct headers *h)
{
	if (h->end != len || h->payload == h->end || h->payload > MAX_HEADERS || h->routing)
		return 0;
	if (h->version == 4 && h->l4 - h->l3 != IPV4_MIN_LEN)
		return 0;
	if (h->proto == PROTO_UDP) {
		if (be16(packet + h->l4 + UDP_LEN_FIELD) != h->end - h->l4 || sum_at(packet + h->l4 + UDP_CHECK) == 0)
			return 0;
		return h->version == 4 ? ALLOW_UDPV4 : ALLOW_UDPV6;
	}
	if ((packet[h->l4 + TCP_FLAGS] & (TCP_SYN | TCP_RST | TCP_URG | TCP_ACK)) != TCP_ACK)
		return 0;
	return h->version == 4 ? ALLOW_TCPV4 : ALLOW_TCPV6;
}

static bool checksums_right(const uint8_t *packet, const struct headers *h)
{
	uint32_t l4_len = h->end - h->l4;

	if (h->version == 4 && fold_sum(sum_bytes(packet + h->l3, IPV4_MIN_LEN, 0)) != 0xffff)
		return false;
	return fold_sum(sum_bytes(packet + h->l4, l4_len, pseudo_sum(packet, h, l4_len))) == 0xffff;
}

static bool same_network_header(const uint8_t *a, const uint8_t *b, const struct headers *h)
{
	const uint8_t *l3a = a + h->l3, *l3b = b + h->l3;

	if (memcmp(a, b, h->l3))
		return false;
	if (h->version == 4)
		return !memcmp(l3a, l3b, IPV4_TOTAL_LEN) && !memcmp(l3a + IPV4_FLAGS, l3b + IPV4_FLAGS, 4);
	return !memcmp(l3a, l3b, IPV6_PAYLOAD_LEN) && !memcmp(l3a + IPV6_NEXT, l3b + IPV6_NEXT, h->l4 - h->l3 - IPV6_NEXT);
}

static bool same_tcp_header(const uint8_t *a, const uint8_t *b, uint32_t len)
{
	/* A super-packet has CWR in its first segment only. */
	uint8_t differ = (a[TCP_FLAGS] & (uint8_t)~TCP_CWR) ^ b[TCP_FLAGS];

	return !(differ & (uint8_t) ~(TCP_PSH | TCP_FIN)) && a[TCP_DATA_OFFSET] == b[TCP_DATA_OFFSET] &&
	       !memcmp(a + TCP_ACK_NUMBER, b + TCP_ACK_NUMBER, 4) && !memcmp(a + TCP_WINDOW, b + TCP_WINDOW, 2) &&
	       !memcmp(a + TCP_URGENT, b + TCP_URGENT, len - TCP_URGENT);
}

/*
 * Splitting counts the IPv4 id up. Of a packet that must not be fragmented the id means nothing (RFC 6864), so there
 * one that stays the same will do.
 */
static uint8_t id_rule_of(const struct run *run, const uint8_t *packet, const struct headers *h)
{
	uint16_t id;

	if (h->version == 6)
		return ID_COUNTS;
	id = be16(packet + h->l3 + IPV4_ID);
	if (id == (uint16_t)(run->id + 1) && run->id_rule != ID_FIXED)
		return ID_COUNTS;
	if (id == run->id && run->id_rule != ID_COUNTS && (packet[h->l3 + IPV4_FLAGS] & 0x40))
		return ID_FIXED;
	return ID_UNKNOWN;
}

static bool can_join(const struct chunk *c, struct run *run, uint32_t i, const struct headers *h, uint8_t *id_rule)
{
	const uint8_t *first = packet_at(c, run->first), *packet = packet_at(c, i);
	uint32_t payload = h->end - h->payload;

	if (h->l3 != run->h.l3 || h->l4 != run->h.l4 || h->payload != run->h.payload || payload > run->gso_size)
		return false;
	if (run->h.payload - run->h.l3 + run->payload_len + payload > MAX_IP_LEN)
		return false;
	if (!same_network_header(first, packet, h))
		return false;
	if (h->proto == PROTO_TCP) {
		if (be32(packet + h->l4 + TCP_SEQ) != run->next_seq)
			return false;
		if (!same_tcp_header(first + h->l4, packet + h->l4, h->payload - h->l4))
			return false;
	} else if (run->count == MAX_DATAGRAMS) {
		return false;
	}
	*id_rule = id_rule_of(run, packet, h);
	if (*id_rule == ID_UNKNOWN)
		return false;
	if (run->verified == 0)
		run->verified = checksums_right(first, &run->h) ? 1 : 2;
	return run->verified == 1 && checksums_right(packet, h);
}

static void join(struct chunk *c, struct run *run, uint32_t i, const struct headers *h, uint8_t id_rule)
{
	const uint8_t *packet = packet_at(c, i);
	uint32_t payload = h->end - h->payload;

	c->next[run->last] = (uint8_t)i;
	run->last = (uint8_t)i;
	run->count++;
	run->payload_len += payload;
	run->next_seq += payload;
	run->id_rule = id_rule;
	if (h->version == 4)
		run->id = be16(packet + h->l3 + IPV4_ID);
	if (h->proto == PROTO_TCP)
		run->end_flags = packet[h->l4 + TCP_FLAGS] & (TCP_PSH | TCP_FIN);
	run->open = payload == run->gso_size && run->end_flags == 0;
}

static struct run *start_run(struct chunk *c, uint32_t i)
{
	struct run *run = &c->runs[c->runs_len++];

	memset(run, 0, sizeof(*run));
	run->first = run->last = (uint8_t)i;
	run->count = 1;
	return run;
}

/* Hot: once a packet. */
static void add_packet(struct chunk *c, uint32_t i)
{
	const uint8_t *packet = packet_at(c, i);
	uint32_t len = length_at(c, i), flow, stop = c->runs_len > LOOKUP ? c->runs_len - LOOKUP : 0;
	struct headers h;
	struct run *run;
	uint8_t allow, id_rule;

	if (c->allowed == 0 || !parse_headers(packet, len, c->medium, &h) || h.fragment) {
		/* It may belong to any flow. */
		for (uint32_t r = stop; r < c->runs_len; r++)
			c->runs[r].open = false;
		start_run(c, i);
		return;
	}
	flow = hash_flow(packet, &h);
	allow = mergeable_kind(packet, len, &h) & (uint8_t)c->allowed;
	for (uint32_t r = c->runs_len; r > stop; r--) {
		run = &c->runs[r - 1];
		if (!run->known || run->flow != flow || !same_flow(packet_at(c, run->first), &run->h, packet, &h))
			continue;
		if (run->open && allow && allow == run->allow && can_join(c, run, i, &h, &id_rule)) {
			join(c, run, i, &h, id_rule);
			return;
		}
		run->open = false;
		break;
	}
	run = start_run(c, i);
	run->known = true;
	run->flow = flow;
	run->h = h;
	run->allow = allow;
	run->payload_len = h.end - h.payload;
	run->gso_size = (uint16_t)run->payload_len;
	if (h.proto == PROTO_TCP) {
		run->next_seq = be32(packet + h.l4 + TCP_SEQ) + run->payload_len;
		run->end_flags = packet[h.l4 + TCP_FLAGS] & (TCP_PSH | TCP_FIN);
	}
	if (h.version == 4)
		run->id = be16(packet + h.l3 + IPV4_ID);
	run->open = allow != 0 && run->end_flags == 0;
}

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

static bool fill_chunk(struct chunk *c, const struct bytes *pool, uint32_t *descriptors, uint32_t len)
{
	c->bytes = pool->data;
	c->descriptors = descriptors;
	c->len = len;
	c->runs_len = 0;
	memset(c->taken, 0, sizeof(c->taken));
	for (uint32_t i = 0; i < len; i++) {
		size_t offset = descriptors[(size_t)i * WORDS], packet_len = length_at(c, i);

		if (packet_len == 0)
			continue;
		if (offset > pool->len || packet_len > pool->len - offset)
			return false;
		add_packet(c, i);
	}
	return true;
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
