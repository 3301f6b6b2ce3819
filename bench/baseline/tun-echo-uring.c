/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers ICMPv4 echo on a TUN device by io_uring: one multishot read into a ring of buffers, each answer written
 * from the buffer it arrived in.   tun-echo-uring NAME
 * Without a name it exits with 0 where the kernel has and permits all of that (Linux 6.7).
 */
#include "common.h"

#include <errno.h>
#include <liburing.h>

#define OP_READ_MULTISHOT 49 /* IORING_OP_READ_MULTISHOT; liburing 2.3 does not know it */
#define BUFFERS 256
#define BUFFER_LEN 2048
#define WRITTEN 0x10000 /* in user_data: completion of a write, from the buffer of that number */

static struct io_uring ring;
static struct io_uring_buf_ring *free_buffers;
static uint8_t buffers[BUFFERS][BUFFER_LEN];

static int set_up(void)
{
	struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
	struct io_uring_buf_reg registration = {.ring_entries = BUFFERS};
	struct io_uring_probe *probe;
	size_t len = BUFFERS * sizeof(struct io_uring_buf);

	if (io_uring_queue_init_params(2 * BUFFERS, &ring, &params) < 0)
		return -1;
	probe = io_uring_get_probe_ring(&ring);
	if (!probe || !io_uring_opcode_supported(probe, OP_READ_MULTISHOT))
		return -1;
	free_buffers = aligned_alloc(4096, (len + 4095) & ~(size_t)4095);
	if (!free_buffers)
		return -1;
	io_uring_buf_ring_init(free_buffers);
	registration.ring_addr = (uint64_t)(uintptr_t)free_buffers;
	return io_uring_register_buf_ring(&ring, &registration, 0);
}

/* Visible to the kernel after io_uring_buf_ring_advance(). */
static void give_back(unsigned number, int *given)
{
	io_uring_buf_ring_add(free_buffers, buffers[number], BUFFER_LEN, (unsigned short)number,
			      io_uring_buf_ring_mask(BUFFERS), (*given)++);
}

static void start_reading(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	io_uring_prep_rw(OP_READ_MULTISHOT, sqe, 0, NULL, 0, 0);
	io_uring_sqe_set_flags(sqe, IOSQE_BUFFER_SELECT | IOSQE_FIXED_FILE);
	sqe->buf_group = 0;
	io_uring_sqe_set_data64(sqe, 0);
}

static void start_writing(unsigned number, unsigned len)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	io_uring_prep_write(sqe, 0, buffers[number], len, 0);
	io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	io_uring_sqe_set_data64(sqe, WRITTEN | number);
}

static int handle(const struct io_uring_cqe *cqe, int *given)
{
	unsigned number;

	if (io_uring_cqe_get_data64(cqe) & WRITTEN) {
		give_back((unsigned)io_uring_cqe_get_data64(cqe) & ~WRITTEN, given);
		return 0;
	}
	/* Out of buffers is no failure: it reads on once they are back. */
	if (cqe->res < 0 && cqe->res != -ENOBUFS)
		return -1;
	if (cqe->flags & IORING_CQE_F_BUFFER) {
		number = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
		if (answer(buffers[number], cqe->res))
			start_writing(number, (unsigned)cqe->res);
		else
			give_back(number, given);
	}
	if (!(cqe->flags & IORING_CQE_F_MORE))
		start_reading();
	return 0;
}

int main(int argc, char **argv)
{
	struct io_uring_cqe *cqe;
	int fd, given = 0;

	if (set_up() < 0)
		return 1;
	if (argc < 2)
		return 0;
	fd = open_tun(argv[1], O_NONBLOCK, 0);
	if (io_uring_register_files(&ring, &fd, 1) < 0)
		return 1;
	for (unsigned i = 0; i < BUFFERS; i++)
		give_back(i, &given);
	io_uring_buf_ring_advance(free_buffers, given);
	start_reading();
	for (;;) {
		unsigned head, seen = 0;

		io_uring_submit_and_wait(&ring, 1);
		given = 0;
		io_uring_for_each_cqe(&ring, head, cqe) {
			seen++;
			if (handle(cqe, &given) < 0)
				return 1;
		}
		io_uring_cq_advance(&ring, seen);
		io_uring_buf_ring_advance(free_buffers, given);
	}
}
