/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many packets per crossing.
 *
 * A batch is a piece of memory and a table of descriptors, four 32-bit words a packet: offset, length and two
 * words that are not looked at here (src/link/packet-batch.ts). A device takes and gives one packet per system
 * call; what is saved is the crossing, the object and the promise per packet. Under load, the system calls too: see
 * ring.c. The first packet of a batch is always read by read(2), so that a lone one costs no more than it must, and a
 * kernel whose devices know no RWF_NOWAIT still makes progress.
 */
#include "core.h"
#include "ring.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define WORDS 4
#define ALIGNMENT 8

/*
 * At most so many reads at once: each needs room for the longest frame, or it would truncate silently. With eight,
 * seven eighths of the system calls are saved.
 */
#define RING_READS 8

/* What came of a batch: status[0] = errno that ended it or 0, [1] = bytes moved, [2] = packets moved. */
#define STATUS_WORDS 3

static bool get_status(napi_env env, napi_value value, uint32_t **status)
{
	size_t len;

	if (!get_words(env, value, status, &len))
		return false;
	if (len >= STATUS_WORDS)
		return true;
	misuse(env, "status needs three words");
	return false;
}

/* A batch being filled. */
struct filling {
	int fd;
	struct bytes pool;
	uint32_t *descriptors;
	uint32_t max, frame_len, headroom;
	uint32_t count, error, total;
	size_t at; /* first free byte */
};

static size_t align_up(size_t at)
{
	return (at + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

static void add_packet(struct filling *f, size_t start, uint32_t len)
{
	uint32_t *descriptor = f->descriptors + (size_t)f->count * WORDS;

	descriptor[0] = (uint32_t)start;
	descriptor[1] = len;
	descriptor[2] = 0;
	descriptor[3] = 0;
	f->total += len;
	f->count++;
	f->at = align_up(start + len);
}

static bool has_room(const struct filling *f)
{
	return f->count < f->max && f->at + f->headroom + f->frame_len <= f->pool.len;
}

/* False when there is no more to read. */
static bool read_one(struct filling *f)
{
	size_t start = f->at + f->headroom;
	ssize_t n;

	do
		n = read(f->fd, f->pool.data + start, f->pool.len - start);
	while (n < 0 && errno == EINTR);
	if (n <= 0) {
		f->error = n < 0 ? (uint32_t)errno : 0;
		return false;
	}
	add_packet(f, start, (uint32_t)n);
	return true;
}

/* Moves a packet that was read to `from` to the first free place, which is never behind it. */
static void settle(struct filling *f, const uint8_t *from, uint32_t len)
{
	size_t start = f->at + f->headroom;

	memmove(f->pool.data + start, from, len);
	add_packet(f, start, len);
}

/*
 * Reads up to `want` packets at once, each into room for the longest frame. They are moved together only when more
 * are to follow, which needs the room between them. False when there is no more to read.
 */
static bool read_some(struct filling *f, struct ring *ring, uint32_t want)
{
	struct ring_transfer reads[RING_READS];
	size_t stride = align_up(f->headroom + f->frame_len), first = f->at + f->headroom;
	uint32_t got = 0, tried;
	bool dry;

	for (uint32_t i = 0; i < want; i++)
		reads[i] = (struct ring_transfer){f->pool.data + first + i * stride, f->frame_len, 0};
	tried = ring_run(ring, RING_READ, f->fd, reads, want);
	for (uint32_t i = 0; i < tried; i++)
		got += reads[i].result > 0;
	dry = got < want;
	for (uint32_t i = 0; i < tried; i++) {
		int32_t n = reads[i].result;

		/* One that came too late for its own read may have been found by the next. */
		if (n > 0 && dry)
			add_packet(f, first + i * stride, (uint32_t)n);
		else if (n > 0)
			settle(f, reads[i].data, (uint32_t)n);
		else
			f->error = n < 0 ? (uint32_t)-n : 0;
	}
	/* Not even tried, for want of memory: by read(2) then. */
	return !dry || tried < want;
}

/* How many packets to ask the ring for: no more than there is room for. Fewer than two are not worth it. */
static uint32_t ring_share(const struct filling *f, uint32_t expected)
{
	size_t stride = align_up(f->headroom + f->frame_len), fit = (f->pool.len - f->at) / stride;
	uint32_t want = f->max - f->count;

	if (want > expected)
		want = expected;
	if (want > fit)
		want = (uint32_t)fit;
	return want > RING_READS ? RING_READS : want;
}

static void fill(struct filling *f, struct ring *ring, uint32_t expected)
{
	if (!has_room(f) || !read_one(f))
		return;
	while (has_room(f)) {
		uint32_t want = ring ? ring_share(f, expected) : 0;

		if (want < 2 ? !read_one(f) : !read_some(f, ring, want))
			break;
		/* As many as expected have come: there are likely more. */
		if (want >= 2)
			expected = RING_READS;
	}
}

/*
 * readBatch(fd, bytes, descriptors, max, frameLen, headroom, status, expected): packets read.
 * Stops when `max` packets are in, when less than `frameLen` bytes are free, or when a read fails; a read
 * into less than a frame's room would truncate silently. With `expected` of 2 or more, so many are read by one system
 * call where io_uring is allowed; the packets and their order are the same. A device that knows no RWF_NOWAIT ends that
 * with EOPNOTSUPP: read on without.
 */
napi_value read_batch(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	uint32_t *status, expected;
	size_t descriptors_len;
	struct filling f = {0};

	if (!get_args(env, info, 8, argv) || !get_i32(env, argv[0], &f.fd) || !get_bytes(env, argv[1], &f.pool) ||
	    !get_words(env, argv[2], &f.descriptors, &descriptors_len) || !get_u32(env, argv[3], &f.max) ||
	    !get_u32(env, argv[4], &f.frame_len) || !get_u32(env, argv[5], &f.headroom) ||
	    !get_status(env, argv[6], &status) || !get_u32(env, argv[7], &expected))
		return NULL;
	if ((size_t)f.max * WORDS > descriptors_len)
		return misuse(env, "more packets than descriptors");
	if (f.pool.len > UINT32_MAX)
		return misuse(env, "batch memory over 4 GiB");
	fill(&f, expected >= 2 ? ring_of(env_state(env)) : NULL, expected);
	status[0] = f.error;
	status[1] = f.total;
	status[2] = f.count;
	return to_number(env, f.count);
}

/* A batch being written. */
struct emptying {
	int fd;
	struct bytes pool;
	uint32_t *descriptors;
	uint32_t at, to;
	uint32_t error, total, written;
};

/* Writes packets one by one; stops at the first that fails. */
static void write_each(struct emptying *e)
{
	for (; e->at < e->to; e->at++) {
		const uint32_t *descriptor = e->descriptors + (size_t)e->at * WORDS;
		ssize_t n;

		if (descriptor[1] == 0)
			continue;
		do
			n = write(e->fd, e->pool.data + descriptor[0], descriptor[1]);
		while (n < 0 && errno == EINTR);
		if (n < 0) {
			e->error = (uint32_t)errno;
			return;
		}
		e->total += (uint32_t)n;
		e->written++;
	}
}

/* Up to RING_MAX packets at once. What was written behind the first that failed gets length 0. */
static void write_some(struct emptying *e, struct ring *ring)
{
	struct ring_transfer writes[RING_MAX];
	uint32_t index[RING_MAX], count = 0, tried, next = e->at;

	for (; next < e->to && count < RING_MAX; next++) {
		const uint32_t *descriptor = e->descriptors + (size_t)next * WORDS;

		if (descriptor[1] == 0)
			continue;
		index[count] = next;
		writes[count++] = (struct ring_transfer){e->pool.data + descriptor[0], descriptor[1], 0};
	}
	tried = count > 0 ? ring_run(ring, RING_WRITE, e->fd, writes, count) : 0;
	e->at = tried < count ? index[tried] : next;
	if (tried < count)
		e->error = EAGAIN;
	for (uint32_t i = tried; i-- > 0;) {
		if (writes[i].result < 0) {
			e->at = index[i];
			e->error = (uint32_t)-writes[i].result;
		}
	}
	for (uint32_t i = 0; i < tried; i++) {
		if (writes[i].result < 0)
			continue;
		e->total += (uint32_t)writes[i].result;
		e->written++;
		if (index[i] > e->at)
			e->descriptors[(size_t)index[i] * WORDS + 1] = 0;
	}
}

/*
 * writeBatch(fd, bytes, descriptors, from, to, status, atOnce): packets taken.
 * Packets of length 0 count as taken. Stops at the first that fails, which is not counted. With `atOnce` of 1 one
 * system call writes many, where io_uring is allowed: packets behind the one that failed may then have been written as
 * well, and get length 0.
 */
napi_value write_batch(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	uint32_t from, at_once, *status;
	size_t descriptors_len;
	struct emptying e = {0};
	struct ring *ring;

	if (!get_args(env, info, 7, argv) || !get_i32(env, argv[0], &e.fd) || !get_bytes(env, argv[1], &e.pool) ||
	    !get_words(env, argv[2], &e.descriptors, &descriptors_len) || !get_u32(env, argv[3], &from) ||
	    !get_u32(env, argv[4], &e.to) || !get_status(env, argv[5], &status) || !get_u32(env, argv[6], &at_once))
		return NULL;
	if (from > e.to || (size_t)e.to * WORDS > descriptors_len)
		return misuse(env, "range outside the descriptors");
	for (uint32_t i = from; i < e.to; i++) {
		size_t offset = e.descriptors[(size_t)i * WORDS], len = e.descriptors[(size_t)i * WORDS + 1];

		if (len > 0 && (offset > e.pool.len || len > e.pool.len - offset))
			return misuse(env, "packet outside the batch memory");
	}
	e.at = from;
	ring = at_once && e.to - from > 1 ? ring_of(env_state(env)) : NULL;
	while (ring && e.at < e.to && !e.error)
		write_some(&e, ring);
	if (!ring)
		write_each(&e);
	status[0] = e.error;
	status[1] = e.total;
	status[2] = e.written;
	return to_number(env, e.at - from);
}
