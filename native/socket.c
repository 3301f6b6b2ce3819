/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of the families that Node has not: netlink, packet. All non-blocking, addresses as raw bytes. */
#define _GNU_SOURCE
#include "core.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* socket(domain, type, protocol): fd | -errno. Always SOCK_CLOEXEC | SOCK_NONBLOCK. */
napi_value socket_open(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	int32_t domain, type, protocol;
	int fd;

	if (!get_args(env, info, 3, argv) || !get_i32(env, argv[0], &domain) || !get_i32(env, argv[1], &type) ||
	    !get_i32(env, argv[2], &protocol))
		return NULL;
	fd = socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
	if (fd >= 0 && !own_fd(env_state(env), fd)) {
		close(fd);
		return to_number(env, -ENOMEM);
	}
	return to_result(env, fd);
}

/* bind(fd, sockaddr): 0 | -errno. */
napi_value socket_bind(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	struct bytes addr;
	int32_t fd;

	if (!get_args(env, info, 2, argv) || !get_i32(env, argv[0], &fd) || !get_bytes(env, argv[1], &addr))
		return NULL;
	return to_result(env, bind(fd, (const struct sockaddr *)addr.data, (socklen_t)addr.len));
}

/* getsockname(fd, out): length | -errno. */
napi_value socket_name(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	struct bytes addr;
	socklen_t len;
	int32_t fd;

	if (!get_args(env, info, 2, argv) || !get_i32(env, argv[0], &fd) || !get_bytes(env, argv[1], &addr))
		return NULL;
	len = (socklen_t)addr.len;
	if (getsockname(fd, (struct sockaddr *)addr.data, &len) < 0)
		return to_number(env, -errno);
	return to_number(env, len);
}

/* setsockopt(fd, level, option, value: Uint8Array): 0 | -errno. */
napi_value socket_set_option(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	int32_t fd, level, option;
	struct bytes value;

	if (!get_args(env, info, 4, argv) || !get_i32(env, argv[0], &fd) || !get_i32(env, argv[1], &level) ||
	    !get_i32(env, argv[2], &option) || !get_bytes(env, argv[3], &value))
		return NULL;
	return to_result(env, setsockopt(fd, level, option, value.data, (socklen_t)value.len));
}

/* getsockopt(fd, level, option, out: Uint8Array): length | -errno. */
napi_value socket_get_option(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	int32_t fd, level, option;
	struct bytes value;
	socklen_t len;

	if (!get_args(env, info, 4, argv) || !get_i32(env, argv[0], &fd) || !get_i32(env, argv[1], &level) ||
	    !get_i32(env, argv[2], &option) || !get_bytes(env, argv[3], &value))
		return NULL;
	len = (socklen_t)value.len;
	if (getsockopt(fd, level, option, value.data, &len) < 0)
		return to_number(env, -errno);
	return to_number(env, len);
}

/* send(fd, bytes, flags, sockaddr?): sent | -errno. */
napi_value socket_send(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	struct bytes data, addr;
	int32_t fd, flags;

	if (!get_args(env, info, 3, argv) || !get_i32(env, argv[0], &fd) || !get_bytes(env, argv[1], &data) ||
	    !get_i32(env, argv[2], &flags) || !get_optional_bytes(env, argv[3], &addr))
		return NULL;
	return to_result(env, sendto(fd, data.data, data.len, flags | MSG_DONTWAIT | MSG_NOSIGNAL,
				     (const struct sockaddr *)addr.data, (socklen_t)addr.len));
}

/*
 * receive(fd, bytes, flags, sockaddr?): received | -errno. With MSG_TRUNC in flags the full length comes back,
 * which may be more than the array holds. The array `sockaddr` is filled with the sender's address.
 */
napi_value socket_receive(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	struct bytes data, addr;
	int32_t fd, flags;
	socklen_t len;

	if (!get_args(env, info, 3, argv) || !get_i32(env, argv[0], &fd) || !get_bytes(env, argv[1], &data) ||
	    !get_i32(env, argv[2], &flags) || !get_optional_bytes(env, argv[3], &addr))
		return NULL;
	len = (socklen_t)addr.len;
	return to_result(env, recvfrom(fd, data.data, data.len, flags | MSG_DONTWAIT,
				       (struct sockaddr *)addr.data, addr.data ? &len : NULL));
}
