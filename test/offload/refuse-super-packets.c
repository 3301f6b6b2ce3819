/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel that promises too much: writes of super-packets fail with EINVAL, as they do where a virtual machine or a
 * sandbox knows TUNSETOFFLOAD and not what comes of it. Loaded with LD_PRELOAD.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* The second byte of a virtio-net header is the GSO type; that of text is more than 5. */
static int is_super_packet(const uint8_t *frame, size_t len)
{
	return len >= 10 && frame[0] == 1 && (frame[1] == 1 || frame[1] == 4 || frame[1] == 5);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
	if (count > 0 && is_super_packet(parts[0].iov_base, parts[0].iov_len)) {
		errno = EINVAL;
		return -1;
	}
	return syscall(SYS_writev, fd, parts, count);
}

ssize_t write(int fd, const void *bytes, size_t len)
{
	if (is_super_packet(bytes, len)) {
		errno = EINVAL;
		return -1;
	}
	return syscall(SYS_write, fd, bytes, len);
}
