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

/* What came with a message: status[0] = bytes of ancillary data, [1] = msg_flags. */
#define MESSAGE_STATUS_WORDS 2

/*
 * receiveMessage(fd, bytes, flags, sockaddr | undefined, control, status): received | -errno.
 * As receive; the array `control` is filled with ancillary data, whole control messages as cmsg(3) has them.
 * What finds no room in it is lost, and MSG_CTRUNC set. After a failure both words of `status` are 0.
 * File descriptors that come along belong to nobody: the caller has to own() each, and to pass MSG_CMSG_CLOEXEC
 * (not passed always, since packet sockets refuse it with EINVAL).
 */
napi_value socket_receive_message(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	struct bytes data, addr, control;
	struct msghdr message = {0};
	struct iovec part;
	int32_t fd, flags;
	uint32_t *status;
	size_t status_len;
	ssize_t n;

	if (!get_args(env, info, 6, argv) || !get_i32(env, argv[0], &fd) || !get_bytes(env, argv[1], &data) ||
	    !get_i32(env, argv[2], &flags) || !get_optional_bytes(env, argv[3], &addr) ||
	    !get_bytes(env, argv[4], &control) || !get_words(env, argv[5], &status, &status_len))
		return NULL;
	if (status_len < MESSAGE_STATUS_WORDS)
		return misuse(env, "status needs two words");
	part.iov_base = data.data;
	part.iov_len = data.len;
	message.msg_name = addr.data;
	message.msg_namelen = addr.data ? (socklen_t)addr.len : 0;
	message.msg_iov = &part;
	message.msg_iovlen = 1;
	message.msg_control = control.data;
	message.msg_controllen = control.data ? control.len : 0;
	n = recvmsg(fd, &message, flags | MSG_DONTWAIT);
	status[0] = n < 0 ? 0 : (uint32_t)message.msg_controllen;
	status[1] = n < 0 ? 0 : (uint32_t)message.msg_flags;
	return to_result(env, n);
}
