/* SPDX-License-Identifier: Apache-2.0 */
/* io_uring as a system call for many packets: see ring.c. */
#ifndef VNIC_RING_H
#define VNIC_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct env;
struct ring;

/* The most operations of one ring_run(). */
#define RING_MAX 64

enum ring_op { RING_READ = 22, RING_WRITE = 23 }; /* IORING_OP_READ, IORING_OP_WRITE */

struct ring_transfer {
	uint8_t *data;
	uint32_t len;
	int32_t result; /* bytes moved, or -errno */
};

/* The ring of this environment, set up on first use; NULL where the kernel does not allow one. */
struct ring *ring_of(struct env *state);

/*
 * Moves up to RING_MAX packets of one descriptor, in order, without waiting for any of them. Returns how many
 * were tried and have a result; fewer than asked for only when the kernel was short of memory.
 */
uint32_t ring_run(struct ring *ring, enum ring_op op, int fd, struct ring_transfer *transfers, uint32_t count);

void ring_close(struct ring *ring);

#endif
