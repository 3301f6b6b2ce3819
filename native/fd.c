/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File descriptors and who owns them.
 *
 * A descriptor opened here belongs to the environment: it is closed when the environment ends, also by
 * worker.terminate(), and only an owned descriptor can be closed, so that a stale number never closes
 * somebody else's file.
 */
#define _GNU_SOURCE
#include "core.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* No ioctl used here takes more; the argument is copied through, so a short array cannot be overrun. */
#define IOCTL_ARG_MAX 1024

bool own_fd(struct env *state, int32_t fd)
{
	if (state->fds_len == state->fds_cap) {
		uint32_t cap = state->fds_cap ? state->fds_cap * 2 : 16;
		int32_t *fds = realloc(state->fds, cap * sizeof(*fds));

		if (!fds)
			return false;
		state->fds = fds;
		state->fds_cap = cap;
	}
	state->fds[state->fds_len++] = fd;
	return true;
}

static bool forget_fd(struct env *state, int32_t fd)
{
	for (uint32_t i = 0; i < state->fds_len; i++) {
		if (state->fds[i] != fd)
			continue;
		state->fds[i] = state->fds[--state->fds_len];
		return true;
	}
	return false;
}

void close_all_fds(struct env *state)
{
	while (state->fds_len > 0)
		close(state->fds[--state->fds_len]);
	free(state->fds);
	state->fds = NULL;
	state->fds_cap = 0;
}

/* open(path: string, flags: number): fd | -errno. Always O_CLOEXEC. */
napi_value fd_open(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	char path[4096];
	size_t len;
	int32_t flags;
	int fd;

	if (!get_args(env, info, 2, argv) || !get_i32(env, argv[1], &flags))
		return NULL;
	CHECK_NAPI(env, napi_get_value_string_utf8(env, argv[0], path, sizeof(path), &len));
	fd = open(path, flags | O_CLOEXEC);
	if (fd >= 0 && !own_fd(env_state(env), fd)) {
		close(fd);
		return to_number(env, -ENOMEM);
	}
	return to_result(env, fd);
}

/*
 * own(fd): fd | -errno. Takes over a descriptor that came from outside and makes it non-blocking and
 * close-on-exec, as the ones opened here are.
 */
napi_value fd_own(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	int32_t fd;
	int flags;

	if (!get_args(env, info, 1, argv) || !get_i32(env, argv[0], &fd))
		return NULL;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return to_number(env, -errno);
	if (!own_fd(env_state(env), fd))
		return to_number(env, -ENOMEM);
	return to_number(env, fd);
}

/* disown(fd): fd | -EBADF. The caller closes it from now on. */
napi_value fd_disown(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	int32_t fd;

	if (!get_args(env, info, 1, argv) || !get_i32(env, argv[0], &fd))
		return NULL;
	return to_number(env, forget_fd(env_state(env), fd) ? fd : -EBADF);
}

/*
 * copyFrom(pid, fd): fd | -errno. The same open file as that descriptor of another process (Linux 5.6), owned here and
 * close-on-exec. As for ptrace(2), it takes the same user and what security modules demand, or CAP_SYS_PTRACE.
 */
napi_value fd_copy_from(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	int32_t pid, fd;
	long process, copy;

	if (!get_args(env, info, 2, argv) || !get_i32(env, argv[0], &pid) || !get_i32(env, argv[1], &fd))
		return NULL;
	process = syscall(SYS_pidfd_open, pid, 0);
	if (process < 0)
		return to_result(env, -1);
	copy = syscall(SYS_pidfd_getfd, (int)process, fd, 0);
	if (copy < 0)
		copy = -(long)errno;
	close((int)process);
	if (copy >= 0 && !own_fd(env_state(env), (int32_t)copy)) {
		close((int)copy);
		return to_number(env, -ENOMEM);
	}
	return to_number(env, copy);
}

/* close(fd): 0 | -errno; -EBADF for a descriptor that the environment does not own. */
napi_value fd_close(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	int32_t fd;

	if (!get_args(env, info, 1, argv) || !get_i32(env, argv[0], &fd))
		return NULL;
	if (!forget_fd(env_state(env), fd))
		return to_number(env, -EBADF);
	return to_result(env, close(fd));
}

/* A close under way on a thread of libuv's pool. */
struct closing {
	napi_async_work work;
	napi_deferred deferred;
	int32_t fd;
	int32_t error;
};

static void run_close(napi_env env, void *data)
{
	struct closing *closing = data;

	(void)env;
	closing->error = close(closing->fd) < 0 ? errno : 0;
}

static void on_close_done(napi_env env, napi_status status, void *data)
{
	struct closing *closing = data;
	napi_value result;

	/* Cancelled by the end of the environment before it ran: the descriptor is still open. */
	if (status == napi_cancelled)
		run_close(env, closing);
	if (napi_create_int32(env, -closing->error, &result) == napi_ok)
		napi_resolve_deferred(env, closing->deferred, result);
	if (closing->work)
		napi_delete_async_work(env, closing->work);
	free(closing);
}

/*
 * closeAsync(fd): promise of 0 | -errno. The last close of a TUN/TAP device waits some 15 ms for the kernel to
 * take the interface down, too long for an event loop. The descriptor is disowned at once.
 */
napi_value fd_close_async(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS], promise, name;
	struct closing *closing;
	int32_t fd;

	if (!get_args(env, info, 1, argv) || !get_i32(env, argv[0], &fd))
		return NULL;
	CHECK_NAPI(env, napi_create_string_utf8(env, "VNIC_CLOSE", NAPI_AUTO_LENGTH, &name));
	closing = calloc(1, sizeof(*closing));
	if (!closing)
		return misuse(env, "out of memory");
	if (napi_create_promise(env, &closing->deferred, &promise) != napi_ok) {
		free(closing);
		return misuse(env, "cannot create a promise");
	}
	closing->fd = fd;
	closing->error = EBADF;
	if (!forget_fd(env_state(env), fd)) {
		on_close_done(env, napi_ok, closing);
		return promise;
	}
	if (napi_create_async_work(env, NULL, name, run_close, on_close_done, closing, &closing->work) != napi_ok ||
	    napi_queue_async_work(env, closing->work) != napi_ok) {
		run_close(env, closing);
		on_close_done(env, napi_ok, closing);
	}
	return promise;
}

/*
 * ioctl(fd, request, arg: Uint8Array | number): result | -errno.
 * An array is copied in and, when the call succeeds, copied back; a number is passed by value.
 */
napi_value fd_ioctl(napi_env env, napi_callback_info info)
{
	_Alignas(16) uint8_t scratch[IOCTL_ARG_MAX];
	napi_value argv[MAX_ARGS];
	napi_valuetype type;
	struct bytes arg;
	uint32_t request;
	int32_t fd, number;
	int ret;

	if (!get_args(env, info, 3, argv) || !get_i32(env, argv[0], &fd) || !get_u32(env, argv[1], &request))
		return NULL;
	CHECK_NAPI(env, napi_typeof(env, argv[2], &type));
	if (type == napi_number) {
		if (!get_i32(env, argv[2], &number))
			return NULL;
		return to_result(env, ioctl(fd, request, (long)number));
	}
	if (!get_bytes(env, argv[2], &arg))
		return NULL;
	if (arg.len > sizeof(scratch))
		return misuse(env, "ioctl argument too long");
	memset(scratch, 0, sizeof(scratch));
	if (arg.len > 0)
		memcpy(scratch, arg.data, arg.len);
	ret = ioctl(fd, request, scratch);
	if (ret >= 0 && arg.len > 0)
		memcpy(arg.data, scratch, arg.len);
	return to_result(env, ret);
}

/*
 * lock(fd): 0 | -errno. Takes the exclusive flock(2) of the open file without waiting; -EWOULDBLOCK when another open
 * file has it. The kernel lets go of it with the last descriptor, also after SIGKILL.
 */
napi_value fd_lock(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	int32_t fd;

	if (!get_args(env, info, 1, argv) || !get_i32(env, argv[0], &fd))
		return NULL;
	return to_result(env, flock(fd, LOCK_EX | LOCK_NB));
}
