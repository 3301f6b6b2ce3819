/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io_uring as a system call for many packets.
 *
 * One io_uring_enter() submits a read or a write for each packet. All carry RWF_NOWAIT, so that each is done, or has
 * failed with EAGAIN, when the call returns: no operation is ever under way between two calls, the kernel holds no
 * pointer into JavaScript's memory, and the wake-up of an idle reader stays what it is with plain reads. What is
 * saved is the way into the kernel and back for all but one of the packets.
 *
 * Not used: multishot reads into provided buffers, registered files, deferred task work. They save little more, and an
 * armed read costs an idle device two to four times the round trip.
 *
 * The structures are declared here, as linux/io_uring.h has them: old headers lack some, and only these are used.
 */
#define _GNU_SOURCE
#include "core.h"
#include "ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OFF_SQ_RING 0L
#define OFF_SQES 0x10000000L
#define FEAT_SINGLE_MMAP (1U << 0)
#define FEAT_NODROP (1U << 1)
#define FEAT_FAST_POLL (1U << 5) /* Linux 5.7 */
#define FEATURES (FEAT_SINGLE_MMAP | FEAT_NODROP | FEAT_FAST_POLL)
#define ENTER_GETEVENTS 1U
#define NOWAIT 8 /* RWF_NOWAIT */

struct sqe {
	uint8_t opcode;
	uint8_t flags;
	uint16_t ioprio;
	int32_t fd;
	uint64_t off;
	uint64_t addr;
	uint32_t len;
	int32_t rw_flags;
	uint64_t user_data;
	uint64_t unused[3];
};

struct cqe {
	uint64_t user_data;
	int32_t res;
	uint32_t flags;
};

struct sq_offsets {
	uint32_t head, tail, mask, entries, flags, dropped, array, resv1;
	uint64_t user_addr;
};

struct cq_offsets {
	uint32_t head, tail, mask, entries, overflow, cqes, flags, resv1;
	uint64_t user_addr;
};

struct params {
	uint32_t sq_entries, cq_entries, flags, sq_thread_cpu, sq_thread_idle, features, wq_fd, resv[3];
	struct sq_offsets sq;
	struct cq_offsets cq;
};

struct ring {
	int fd;
	uint8_t *map;
	size_t map_len;
	struct sqe *sqes;
	size_t sqes_len;
	uint32_t *sq_tail, *cq_head, *cq_tail;
	uint32_t sq_mask, cq_mask;
	struct cqe *cqes;
};

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

static bool map_ring(struct ring *ring, const struct params *p)
{
	uint32_t *array;

	ring->map_len = larger(p->sq.array + p->sq_entries * sizeof(uint32_t),
			       p->cq.cqes + p->cq_entries * sizeof(struct cqe));
	ring->map = mmap(NULL, ring->map_len, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, OFF_SQ_RING);
	if (ring->map == MAP_FAILED)
		return false;
	ring->sqes_len = p->sq_entries * sizeof(struct sqe);
	ring->sqes = mmap(NULL, ring->sqes_len, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, OFF_SQES);
	if (ring->sqes == MAP_FAILED) {
		munmap(ring->map, ring->map_len);
		return false;
	}
	ring->sq_tail = (uint32_t *)(ring->map + p->sq.tail);
	ring->cq_head = (uint32_t *)(ring->map + p->cq.head);
	ring->cq_tail = (uint32_t *)(ring->map + p->cq.tail);
	ring->sq_mask = p->sq_entries - 1;
	ring->cq_mask = p->cq_entries - 1;
	ring->cqes = (struct cqe *)(ring->map + p->cq.cqes);
	array = (uint32_t *)(ring->map + p->sq.array);
	for (uint32_t i = 0; i < p->sq_entries; i++)
		array[i] = i;
	return true;
}

/* 0, or the errno of what was refused. */
static int ring_open(struct ring **out)
{
	struct params params = {0};
	struct ring *ring = calloc(1, sizeof(*ring));
	int error;

	if (!ring)
		return ENOMEM;
	/* The descriptor is close-on-exec by itself. */
	ring->fd = (int)syscall(SYS_io_uring_setup, RING_MAX, &params);
	if (ring->fd < 0) {
		error = errno;
		goto free_ring;
	}
	error = ENOSYS;
	if ((params.features & FEATURES) != FEATURES || params.sq_entries < RING_MAX)
		goto close_fd;
	if (!map_ring(ring, &params)) {
		error = errno;
		goto close_fd;
	}
	*out = ring;
	return 0;
close_fd:
	close(ring->fd);
free_ring:
	free(ring);
	return error;
}

void ring_close(struct ring *ring)
{
	if (!ring)
		return;
	munmap(ring->sqes, ring->sqes_len);
	munmap(ring->map, ring->map_len);
	close(ring->fd);
	free(ring);
}

struct ring *ring_of(struct env *state)
{
	if (state->ring_error < 0)
		state->ring_error = ring_open(&state->ring);
	return state->ring;
}

/* ioUringProbe(): 0 | -errno. Whether this thread may use io_uring; -ENOSYS on a kernel before 5.7. */
napi_value io_uring_probe(napi_env env, napi_callback_info info)
{
	struct env *state = env_state(env);

	(void)info;
	ring_of(state);
	return to_number(env, -state->ring_error);
}

/* Takes the results that are there; returns how many. */
static uint32_t reap(struct ring *ring, struct ring_transfer *transfers)
{
	uint32_t head = *ring->cq_head, tail = __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE), count = tail - head;

	for (; head != tail; head++) {
		const struct cqe *cqe = &ring->cqes[head & ring->cq_mask];

		transfers[cqe->user_data].result = cqe->res;
	}
	__atomic_store_n(ring->cq_head, head, __ATOMIC_RELEASE);
	return count;
}

uint32_t ring_run(struct ring *ring, enum ring_op op, int fd, struct ring_transfer *transfers, uint32_t count)
{
	uint32_t first = *ring->sq_tail, submitted, done;
	long ret;

	for (uint32_t i = 0; i < count; i++) {
		struct sqe *sqe = &ring->sqes[(first + i) & ring->sq_mask];

		memset(sqe, 0, sizeof(*sqe));
		sqe->opcode = (uint8_t)op;
		sqe->fd = fd;
		sqe->addr = (uint64_t)(uintptr_t)transfers[i].data;
		sqe->len = transfers[i].len;
		sqe->rw_flags = NOWAIT;
		sqe->user_data = i;
	}
	__atomic_store_n(ring->sq_tail, first + count, __ATOMIC_RELEASE);
	do
		ret = syscall(SYS_io_uring_enter, ring->fd, count, 0, 0, NULL, 0);
	while (ret < 0 && errno == EINTR);
	submitted = ret < 0 ? 0 : (uint32_t)ret;
	/* What the kernel has not looked at is taken back: it reads the tail only in a call. */
	if (submitted < count)
		__atomic_store_n(ring->sq_tail, first + submitted, __ATOMIC_RELEASE);
	/* With RWF_NOWAIT all results are there. Should a kernel be late, nothing may be left under way. */
	for (done = reap(ring, transfers); done < submitted; done += reap(ring, transfers))
		syscall(SYS_io_uring_enter, ring->fd, 0, submitted - done, ENTER_GETEVENTS, NULL, 0);
	return submitted;
}
