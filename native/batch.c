/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many packets per crossing.
 *
 * A batch is a piece of memory and a table of descriptors, four 32-bit words a packet: offset, length and two
 * words that are not looked at here (src/link/packet-batch.ts). A device takes and gives one packet per system
 * call; what is saved is the crossing, the object and the promise per packet.
 */
#include "core.h"

#include <errno.h>
#include <unistd.h>

#define WORDS 4
#define ALIGNMENT 8

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

/*
 * readBatch(fd, bytes, descriptors, max, frameLen, headroom, status): packets read.
 * Stops when `max` packets are in, when less than `frameLen` bytes are free, or when a read fails; a read
 * into less than a frame's room would truncate silently.
 */
napi_value read_batch(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	uint32_t max, frame_len, headroom, *descriptors, *status, count = 0, error = 0, total = 0;
	size_t descriptors_len, at = 0;
	struct bytes pool;
	int32_t fd;

	if (!get_args(env, info, 7, argv) || !get_i32(env, argv[0], &fd) || !get_bytes(env, argv[1], &pool) ||
	    !get_words(env, argv[2], &descriptors, &descriptors_len) || !get_u32(env, argv[3], &max) ||
	    !get_u32(env, argv[4], &frame_len) || !get_u32(env, argv[5], &headroom) ||
	    !get_status(env, argv[6], &status))
		return NULL;
	if ((size_t)max * WORDS > descriptors_len)
		return misuse(env, "more packets than descriptors");
	if (pool.len > UINT32_MAX)
		return misuse(env, "batch memory over 4 GiB");
	while (count < max && at + headroom + frame_len <= pool.len) {
		uint32_t *descriptor = descriptors + (size_t)count * WORDS;
		size_t start = at + headroom;
		ssize_t n = read(fd, pool.data + start, pool.len - start);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			error = (uint32_t)errno;
			break;
		}
		if (n == 0)
			break;
		descriptor[0] = (uint32_t)start;
		descriptor[1] = (uint32_t)n;
		descriptor[2] = 0;
		descriptor[3] = 0;
		total += (uint32_t)n;
		count++;
		at = (start + (size_t)n + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	}
	status[0] = error;
	status[1] = total;
	status[2] = count;
	return to_number(env, count);
}

/*
 * writeBatch(fd, bytes, descriptors, from, to, status): packets taken.
 * Packets of length 0 count as taken. Stops at the first that fails, which is not counted.
 */
napi_value write_batch(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	uint32_t from, to, *descriptors, *status, at, error = 0, total = 0, written = 0;
	size_t descriptors_len;
	struct bytes pool;
	int32_t fd;

	if (!get_args(env, info, 6, argv) || !get_i32(env, argv[0], &fd) || !get_bytes(env, argv[1], &pool) ||
	    !get_words(env, argv[2], &descriptors, &descriptors_len) || !get_u32(env, argv[3], &from) ||
	    !get_u32(env, argv[4], &to) || !get_status(env, argv[5], &status))
		return NULL;
	if (from > to || (size_t)to * WORDS > descriptors_len)
		return misuse(env, "range outside the descriptors");
	for (at = from; at < to; at++) {
		const uint32_t *descriptor = descriptors + (size_t)at * WORDS;
		size_t offset = descriptor[0], len = descriptor[1];
		ssize_t n;

		if (len == 0)
			continue;
		if (offset > pool.len || len > pool.len - offset)
			return misuse(env, "packet outside the batch memory");
		do
			n = write(fd, pool.data + offset, len);
		while (n < 0 && errno == EINTR);
		if (n < 0) {
			error = (uint32_t)errno;
			break;
		}
		total += (uint32_t)n;
		written++;
	}
	status[0] = error;
	status[1] = total;
	status[2] = written;
	return to_number(env, at - from);
}
