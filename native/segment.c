/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Splitting: one super-packet behind a virtio-net header into packets of the size that the header names, each
 * with checksums of its own (TCPv4, TCPv6, UDP), and the checksum of a plain packet completed.
 *
 * All state is in an array of words that JavaScript owns: a super-packet that does not fit into one batch goes on
 * in the next. Every call checks the headers anew, so no value in that array can lead outside of a buffer.
 */
#include "core.h"
#include "offload.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

/* Words of the state; src/native/offload.ts has the same. */
enum {
	S_VNET_LEN,     /* in: length of the virtio-net header */
	S_MEDIUM,       /* in: MEDIUM_* */
	S_HEADROOM,     /* in: free bytes before each packet */
	S_COUNT,        /* in, out: descriptors filled */
	S_FREE,         /* in, out: first free byte */
	S_PENDING_LEN,  /* out: length of a super-packet that is not split to its end, or 0 */
	S_PENDING_NEXT, /* in, out: bytes of its payload that are done */
	S_ERROR,        /* out: errno that ended reading, or 0 */
	S_BYTES,        /* in, out: bytes of packets put out, added to */
	S_SUPERS,       /* in, out: super-packets split, added to */
	S_MALFORMED,    /* in, out: packets dropped for what their headers say, added to */
	S_EXPECT_SUPER, /* in, out: 1 when the last frame read was long */
	S_WORDS,
};

/* Read straight to their place; longer ones are copied once. */
#define INLINE_LEN 2048

struct split {
	uint32_t *state;
	struct bytes out;
	uint32_t *descriptors;
	uint32_t capacity;
	uint32_t vnet_len;
	int medium;
};

static size_t align_up(size_t at)
{
	return (at + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

/* Where a packet of `len` bytes goes; false when there is no room for it. */
static bool place(const struct split *s, size_t len, size_t *start)
{
	*start = (size_t)s->state[S_FREE] + s->state[S_HEADROOM];
	return s->state[S_COUNT] < s->capacity && *start <= s->out.len && len <= s->out.len - *start;
}

static void take(struct split *s, size_t start, size_t len)
{
	uint32_t *descriptor = s->descriptors + (size_t)s->state[S_COUNT] * WORDS;

	descriptor[0] = (uint32_t)start;
	descriptor[1] = (uint32_t)len;
	descriptor[2] = 0;
	descriptor[3] = 0;
	s->state[S_COUNT]++;
	s->state[S_BYTES] += (uint32_t)len;
	s->state[S_FREE] = (uint32_t)align_up(start + len);
}

static bool complete_checksum(uint8_t *packet, size_t len, const struct vnet_header *vnet)
{
	size_t start = vnet->csum_start, at = start + vnet->csum_offset;

	if (!(vnet->flags & VNET_NEEDS_CSUM))
		return true;
	if (at + 2 > len)
		return false;
	/* The field holds the sum of the pseudo header, so it belongs to what is summed. */
	put_sum(packet + at, checksum_of(sum_bytes(packet + start, len - start, 0)));
	return true;
}

/* True when the virtio-net header says of this packet what its own headers say. */
static bool check_super(const struct vnet_header *vnet, const struct headers *h, size_t len)
{
	uint8_t type = vnet->gso_type & (uint8_t)~GSO_ECN;
	uint32_t check = h->proto == PROTO_TCP ? TCP_CHECK : UDP_CHECK;

	if (!(vnet->flags & VNET_NEEDS_CSUM) || vnet->csum_start != h->l4 || vnet->csum_offset != check)
		return false;
	if (vnet->gso_size == 0 || vnet->hdr_len > len || h->end != len || h->fragment)
		return false;
	if (type == GSO_UDP_L4)
		return h->proto == PROTO_UDP && vnet->gso_type == type;
	return h->proto == PROTO_TCP && type == (h->version == 4 ? GSO_TCPV4 : GSO_TCPV6);
}

/* What all segments of one super-packet have in common. */
struct segment_plan {
	struct headers h;
	uint64_t l4_sum; /* pseudo header without length, transport header without what differs */
	uint64_t l3_sum; /* IPv4 header without length, id and checksum */
	uint32_t seq;
	uint32_t id;
	uint8_t flags;
};

static void plan_segments(const uint8_t *packet, const struct headers *h, struct segment_plan *plan)
{
	const uint8_t *l3 = packet + h->l3, *l4 = packet + h->l4;
	uint32_t header_len = h->payload - h->l4;

	memset(plan, 0, sizeof(*plan));
	plan->h = *h;
	/*
	 * The checksum field holds the sum of the pseudo header: with a routing header its destination is not the
	 * one in the IP header, so the field is the better source. The length in it is taken out again.
	 */
	plan->l4_sum = add_sum(sum_bytes(l4, header_len, 0), (uint16_t)~sum_term(h->end - h->l4));
	if (h->proto == PROTO_TCP) {
		plan->seq = be32(l4 + TCP_SEQ);
		plan->flags = l4[TCP_FLAGS];
		plan->l4_sum = add_sum(plan->l4_sum, (uint16_t)~sum_at(l4 + TCP_SEQ));
		plan->l4_sum = add_sum(plan->l4_sum, (uint16_t)~sum_at(l4 + TCP_SEQ + 2));
		plan->l4_sum = add_sum(plan->l4_sum, (uint16_t)~sum_at(l4 + TCP_DATA_OFFSET));
	} else {
		plan->l4_sum = add_sum(plan->l4_sum, (uint16_t)~sum_at(l4 + UDP_LEN_FIELD));
	}
	if (h->version == 4) {
		plan->id = be16(l3 + IPV4_ID);
		plan->l3_sum = sum_bytes(l3, h->l4 - h->l3, 0);
		plan->l3_sum = add_sum(plan->l3_sum, (uint16_t)~sum_at(l3 + IPV4_TOTAL_LEN));
		plan->l3_sum = add_sum(plan->l3_sum, (uint16_t)~sum_at(l3 + IPV4_ID));
		plan->l3_sum = add_sum(plan->l3_sum, (uint16_t)~sum_at(l3 + IPV4_CHECK));
	}
}

/* Hot: headers and payload of one segment; `index` counts from 0. */
static void put_segment(uint8_t *to, const uint8_t *packet, const struct segment_plan *plan, uint32_t index,
			uint32_t done, uint32_t len, bool last)
{
	const struct headers *h = &plan->h;
	uint8_t *l3 = to + h->l3, *l4 = to + h->l4;
	uint32_t l4_len = h->payload - h->l4 + len;
	uint64_t sum;

	memcpy(to, packet, h->payload);
	sum = copy_sum(to + h->payload, packet + h->payload + done, len, plan->l4_sum);
	sum = add_sum(sum, sum_term(l4_len));
	if (h->proto == PROTO_TCP) {
		uint8_t flags = plan->flags;

		if (index > 0)
			flags &= (uint8_t)~TCP_CWR;
		if (!last)
			flags &= (uint8_t) ~(TCP_FIN | TCP_PSH);
		put32(l4 + TCP_SEQ, plan->seq + done);
		l4[TCP_FLAGS] = flags;
		sum = add_sum(sum, sum_at(l4 + TCP_SEQ) + sum_at(l4 + TCP_SEQ + 2) + sum_at(l4 + TCP_DATA_OFFSET));
		put_sum(l4 + TCP_CHECK, (uint16_t)~fold_sum(sum));
	} else {
		put16(l4 + UDP_LEN_FIELD, l4_len);
		put_sum(l4 + UDP_CHECK, checksum_of(add_sum(sum, sum_term(l4_len))));
	}
	if (h->version == 6) {
		put16(l3 + IPV6_PAYLOAD_LEN, h->payload + len - h->l3 - IPV6_LEN);
		return;
	}
	put16(l3 + IPV4_TOTAL_LEN, h->payload + len - h->l3);
	put16(l3 + IPV4_ID, plan->id + index);
	sum = add_sum(plan->l3_sum, sum_at(l3 + IPV4_TOTAL_LEN) + sum_at(l3 + IPV4_ID));
	put_sum(l3 + IPV4_CHECK, (uint16_t)~fold_sum(sum));
}

enum outcome { DONE, FULL, MALFORMED };

static enum outcome split_super(struct split *s, const uint8_t *packet, size_t len, const struct vnet_header *vnet)
{
	struct segment_plan plan;
	struct headers h;
	uint32_t payload, done = s->state[S_PENDING_NEXT];

	if (!parse_headers(packet, len, s->medium, &h) || !check_super(vnet, &h, len))
		return MALFORMED;
	payload = h.end - h.payload;
	if (done > payload || done % vnet->gso_size != 0)
		return MALFORMED;
	plan_segments(packet, &h, &plan);
	/* A super-packet without payload is one packet. */
	do {
		uint32_t part = payload - done < vnet->gso_size ? payload - done : vnet->gso_size;
		size_t start;

		if (!place(s, (size_t)h.payload + part, &start)) {
			s->state[S_PENDING_NEXT] = done;
			return FULL;
		}
		put_segment(s->out.data + start, packet, &plan, done / vnet->gso_size, done, part,
			    done + part == payload);
		take(s, start, (size_t)h.payload + part);
		done += part;
	} while (done < payload);
	s->state[S_SUPERS]++;
	return DONE;
}

static enum outcome split_plain(struct split *s, const uint8_t *packet, size_t len, const struct vnet_header *vnet)
{
	size_t start;

	if (len == 0)
		return MALFORMED;
	if (!place(s, len, &start))
		return FULL;
	memcpy(s->out.data + start, packet, len);
	if (!complete_checksum(s->out.data + start, len, vnet))
		return MALFORMED;
	take(s, start, len);
	return DONE;
}

/* Puts out the packets of `frame`, from where the state says, as far as there is room. */
static enum outcome split_frame(struct split *s, const uint8_t *frame, size_t len)
{
	struct vnet_header vnet;
	enum outcome outcome = MALFORMED;

	if (len > s->vnet_len) {
		const uint8_t *packet = frame + s->vnet_len;

		memcpy(&vnet, frame, VNET_MIN_LEN);
		outcome = vnet.gso_type == GSO_NONE ? split_plain(s, packet, len - s->vnet_len, &vnet)
						    : split_super(s, packet, len - s->vnet_len, &vnet);
	}
	/* What does not fit into empty memory never will. */
	if (outcome == FULL && s->state[S_COUNT] == 0)
		outcome = MALFORMED;
	if (outcome == FULL) {
		s->state[S_PENDING_LEN] = (uint32_t)len;
		return FULL;
	}
	s->state[S_MALFORMED] += outcome == MALFORMED;
	s->state[S_PENDING_LEN] = 0;
	s->state[S_PENDING_NEXT] = 0;
	return outcome;
}

static bool get_split(napi_env env, napi_value out, napi_value descriptors, napi_value state, struct split *s)
{
	size_t state_len, descriptors_len;

	if (!get_bytes(env, out, &s->out) || !get_words(env, descriptors, &s->descriptors, &descriptors_len) ||
	    !get_words(env, state, &s->state, &state_len))
		return false;
	if (state_len < S_WORDS) {
		misuse(env, "the state of splitting has too few words");
		return false;
	}
	s->capacity = (uint32_t)(descriptors_len / WORDS);
	s->vnet_len = s->state[S_VNET_LEN];
	s->medium = s->state[S_MEDIUM] == MEDIUM_ETHERNET ? MEDIUM_ETHERNET : MEDIUM_IP;
	if (s->vnet_len < VNET_MIN_LEN || s->vnet_len > VNET_MAX_LEN || s->out.len > UINT32_MAX - VNET_MAX_LEN) {
		misuse(env, "wrong length of virtio-net header or batch memory");
		return false;
	}
	return true;
}

/*
 * segment(frame, out, descriptors, state): packets put out by this call.
 * Not to its end when state[S_PENDING_LEN] is not 0: call again with the same frame and empty memory.
 */
napi_value offload_segment(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	struct bytes frame;
	struct split s;
	uint32_t before;

	if (!get_args(env, info, 4, argv) || !get_bytes(env, argv[0], &frame) ||
	    !get_split(env, argv[1], argv[2], argv[3], &s))
		return NULL;
	if (frame.len > UINT32_MAX)
		return misuse(env, "super-packet over 4 GiB");
	before = s.state[S_COUNT];
	split_frame(&s, frame.data, frame.len);
	return to_number(env, s.state[S_COUNT] - before);
}

/*
 * Reads a frame to `frame`, what is beyond `near` bytes to `scratch`; or all of it to `frame`, which costs less for a
 * short one, and for a long one costs a copy more. Which it will be is guessed from the last one.
 */
static ssize_t read_parts(int fd, uint8_t *frame, size_t near, struct bytes scratch, bool in_place)
{
	struct iovec parts[2] = {{frame, near}, {scratch.data + near, scratch.len - near}};
	ssize_t n;

	do
		n = in_place ? read(fd, frame, scratch.len) : readv(fd, parts, 2);
	while (n < 0 && errno == EINTR);
	return n;
}

/* Reads one frame; what is short goes straight to its place. False when nothing more can be read for now. */
static bool read_frame(struct split *s, int fd, struct bytes scratch)
{
	uint32_t *state = s->state;
	size_t headroom = state[S_HEADROOM], before = headroom < s->vnet_len ? align_up(s->vnet_len) : headroom;
	size_t start = state[S_FREE] + before, room, near;
	bool in_place;
	struct vnet_header vnet;
	uint8_t *frame;
	ssize_t n;

	if (state[S_COUNT] >= s->capacity || start >= s->out.len)
		return false;
	room = s->out.len - start;
	if (room < INLINE_LEN && state[S_COUNT] > 0)
		return false;
	near = (room < INLINE_LEN ? room : INLINE_LEN) + s->vnet_len;
	room += s->vnet_len;
	frame = s->out.data + start - s->vnet_len;
	in_place = !state[S_EXPECT_SUPER] && room >= scratch.len;
	n = read_parts(fd, frame, near, scratch, in_place);
	if (n <= 0) {
		state[S_ERROR] = n < 0 ? (uint32_t)errno : 0;
		return false;
	}
	state[S_EXPECT_SUPER] = (size_t)n > near;
	if ((size_t)n > s->vnet_len && (in_place || (size_t)n <= near)) {
		memcpy(&vnet, frame, VNET_MIN_LEN);
		if (vnet.gso_type == GSO_NONE) {
			if (complete_checksum(s->out.data + start, (size_t)n - s->vnet_len, &vnet))
				take(s, start, (size_t)n - s->vnet_len);
			else
				state[S_MALFORMED]++;
			return true;
		}
	}
	memcpy(scratch.data, frame, in_place || (size_t)n < near ? (size_t)n : near);
	return split_frame(s, scratch.data, (size_t)n) != FULL;
}

/*
 * readSegments(fd, scratch, out, descriptors, state): packets in `out`, a pending super-packet in `scratch` first.
 */
napi_value offload_read_segments(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	struct bytes scratch;
	struct split s;
	int32_t fd;

	if (!get_args(env, info, 5, argv) || !get_i32(env, argv[0], &fd) || !get_bytes(env, argv[1], &scratch) ||
	    !get_split(env, argv[2], argv[3], argv[4], &s))
		return NULL;
	if (scratch.len < INLINE_LEN + VNET_MAX_LEN || s.state[S_PENDING_LEN] > scratch.len)
		return misuse(env, "scratch memory too small");
	s.state[S_ERROR] = 0;
	if (s.state[S_PENDING_LEN] > 0 && split_frame(&s, scratch.data, s.state[S_PENDING_LEN]) == FULL)
		return to_number(env, s.state[S_COUNT]);
	/* Bounded by itself too: frames that are dropped fill no descriptor. */
	for (uint32_t i = 0; i < s.capacity; i++) {
		uint32_t count = s.state[S_COUNT], at = s.state[S_FREE];

		if (!read_frame(&s, fd, scratch))
			break;
		/* The next super-packet is likely as large: better a new batch than one that is cut in two. */
		if (s.state[S_COUNT] - count > 1 && (s.capacity - s.state[S_COUNT] < s.state[S_COUNT] - count ||
						     s.out.len - s.state[S_FREE] < s.state[S_FREE] - at))
			break;
	}
	return to_number(env, s.state[S_COUNT]);
}
