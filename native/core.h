/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The native core knows file descriptors and bytes, nothing of packets or protocols.
 *
 * Rules of every function that JavaScript sees:
 *   - it returns a number >= 0, or -errno; it throws only on misuse (wrong type, out of bounds);
 *   - it keeps no pointer into JavaScript memory after it has returned;
 *   - it never waits, but for the thread that visits another network namespace (netns.c);
 *   - state hangs on the environment (struct env), so that worker threads do not meet each other.
 */
#ifndef VNIC_CORE_H
#define VNIC_CORE_H

#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Raised whenever a function changes; src/native/binding.ts refuses another number. */
#define VNIC_ABI 8

struct poll_handle;
struct ring;

/* One per JavaScript environment: the main thread and each worker has its own. */
struct env {
	napi_env napi;
	napi_async_cleanup_hook_handle cleanup;
	struct poll_handle *polls;
	uint32_t polls_closing;
	bool tearing_down;
	int32_t *fds; /* descriptors this environment owns and closes when it ends */
	uint32_t fds_len;
	uint32_t fds_cap;
	struct ring *ring; /* set up on first use */
	int ring_error;    /* errno of the set-up that failed, -1 before it was tried, else 0 */
};

struct bytes {
	uint8_t *data;
	size_t len;
};

#define MAX_ARGS 8

/* A function that JavaScript sees; tables end with a name of NULL. */
struct native_function {
	const char *name;
	napi_callback call;
};

extern const struct native_function offload_functions[]; /* offload.c */
extern const struct native_function udp_functions[];     /* udp.c */
extern const struct native_function aead_functions[];    /* aead.c */
extern const struct native_function bpf_functions[];     /* bpf.c */
extern const struct native_function netns_functions[];   /* netns.c */
extern const struct native_function filter_functions[];  /* filter.c */

/* args.c: reading arguments; each throws a TypeError and returns false on a wrong one. */
bool get_args(napi_env env, napi_callback_info info, size_t want, napi_value *argv);
bool get_i32(napi_env env, napi_value value, int32_t *out);
bool get_u32(napi_env env, napi_value value, uint32_t *out);
bool get_bytes(napi_env env, napi_value value, struct bytes *out);
bool get_words(napi_env env, napi_value value, uint32_t **out, size_t *len);
bool get_optional_bytes(napi_env env, napi_value value, struct bytes *out);
napi_value misuse(napi_env env, const char *message);
napi_value to_number(napi_env env, int64_t value);
/* -errno when ret is negative, else ret. */
napi_value to_result(napi_env env, int64_t ret);
struct env *env_state(napi_env env);

/* Throws when a Node-API call fails, which means misuse or a dying environment. */
#define CHECK_NAPI(env, call)                                                                      \
	do {                                                                                       \
		if ((call) != napi_ok)                                                             \
			return misuse((env), #call);                                               \
	} while (0)

/* fd.c */
napi_value fd_open(napi_env env, napi_callback_info info);
napi_value fd_own(napi_env env, napi_callback_info info);
napi_value fd_disown(napi_env env, napi_callback_info info);
napi_value fd_copy_from(napi_env env, napi_callback_info info);
napi_value fd_close(napi_env env, napi_callback_info info);
napi_value fd_close_async(napi_env env, napi_callback_info info);
napi_value fd_ioctl(napi_env env, napi_callback_info info);
napi_value fd_lock(napi_env env, napi_callback_info info);
void close_all_fds(struct env *state);
bool own_fd(struct env *state, int32_t fd);

/* ring.c */
napi_value io_uring_probe(napi_env env, napi_callback_info info);

/* socket.c */
napi_value socket_open(napi_env env, napi_callback_info info);
napi_value socket_bind(napi_env env, napi_callback_info info);
napi_value socket_name(napi_env env, napi_callback_info info);
napi_value socket_set_option(napi_env env, napi_callback_info info);
napi_value socket_get_option(napi_env env, napi_callback_info info);
napi_value socket_send(napi_env env, napi_callback_info info);
napi_value socket_receive(napi_env env, napi_callback_info info);
napi_value socket_receive_message(napi_env env, napi_callback_info info);

/* batch.c */
napi_value read_batch(napi_env env, napi_callback_info info);
napi_value write_batch(napi_env env, napi_callback_info info);

/* poll.c */
napi_value poll_open(napi_env env, napi_callback_info info);
napi_value poll_update(napi_env env, napi_callback_info info);
napi_value poll_set_ref(napi_env env, napi_callback_info info);
napi_value poll_close(napi_env env, napi_callback_info info);
void close_all_polls(struct env *state);

#endif
