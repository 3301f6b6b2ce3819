/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readiness of a descriptor on the environment's own event loop.
 *
 * States of a handle: open (on the list) -> closing (uv_close called) -> freed in the close callback.
 * poll_close() and the end of the environment both lead to closing; the JavaScript external only holds a
 * pointer to a small cell, whose `handle` is NULL from closing on, so that a late call is harmless.
 *
 * libuv's functions are declared here: Node exports them, its headers are not part of node-api-headers, and
 * the size of a handle is asked for at run time.
 */
#include "core.h"

#include <errno.h>
#include <stdlib.h>

typedef struct uv_loop_s uv_loop_t;
typedef struct uv_handle_s uv_handle_t;
typedef void (*uv_poll_cb)(uv_handle_t *handle, int status, int events);
typedef void (*uv_close_cb)(uv_handle_t *handle);

enum { UV_POLL_TYPE = 8 };

size_t uv_handle_size(int type);
void *uv_handle_get_data(const uv_handle_t *handle);
void uv_handle_set_data(uv_handle_t *handle, void *data);
int uv_poll_init(uv_loop_t *loop, uv_handle_t *handle, int fd);
int uv_poll_start(uv_handle_t *handle, int events, uv_poll_cb cb);
int uv_poll_stop(uv_handle_t *handle);
void uv_close(uv_handle_t *handle, uv_close_cb cb);
void uv_ref(uv_handle_t *handle);
void uv_unref(uv_handle_t *handle);

struct poll_cell {
	struct poll_handle *handle;
};

struct poll_handle {
	struct env *state;
	struct poll_handle *next, *prev;
	struct poll_cell *cell;
	uv_handle_t *uv;
	napi_ref callback;
	napi_ref resource;
	napi_async_context context;
};

static void on_closed(uv_handle_t *uv)
{
	struct poll_handle *handle = uv_handle_get_data(uv);
	struct env *state = handle->state;

	free(uv);
	free(handle);
	state->polls_closing--;
	if (state->tearing_down && state->polls_closing == 0 && !state->polls) {
		napi_async_cleanup_hook_handle hook = state->cleanup;

		free(state);
		napi_remove_async_cleanup_hook(hook);
	}
}

static void begin_close(struct poll_handle *handle)
{
	struct env *state = handle->state;
	napi_env env = state->napi;

	if (handle->prev)
		handle->prev->next = handle->next;
	else
		state->polls = handle->next;
	if (handle->next)
		handle->next->prev = handle->prev;
	if (handle->cell)
		handle->cell->handle = NULL;
	napi_delete_reference(env, handle->callback);
	napi_delete_reference(env, handle->resource);
	if (handle->context)
		napi_async_destroy(env, handle->context);
	state->polls_closing++;
	uv_close(handle->uv, on_closed);
}

void close_all_polls(struct env *state)
{
	while (state->polls)
		begin_close(state->polls);
}

static void on_ready(uv_handle_t *uv, int status, int events)
{
	struct poll_handle *handle = uv_handle_get_data(uv);
	napi_env env = handle->state->napi;
	napi_value callback, resource, argv[2], error;
	napi_handle_scope scope;
	bool pending = false;

	if (napi_open_handle_scope(env, &scope) != napi_ok)
		return;
	if (napi_get_reference_value(env, handle->callback, &callback) == napi_ok &&
	    napi_get_reference_value(env, handle->resource, &resource) == napi_ok &&
	    napi_create_int32(env, status, &argv[0]) == napi_ok &&
	    napi_create_int32(env, events, &argv[1]) == napi_ok) {
		/* From here on the handle may be gone: the callback is free to close it. */
		napi_make_callback(env, handle->context, resource, callback, 2, argv, NULL);
		/* Without this an exception would be swallowed and the loop spin. */
		if (napi_is_exception_pending(env, &pending) == napi_ok && pending &&
		    napi_get_and_clear_last_exception(env, &error) == napi_ok)
			napi_fatal_exception(env, error);
	}
	napi_close_handle_scope(env, scope);
}

static void on_cell_collected(napi_env env, void *data, void *hint)
{
	struct poll_cell *cell = data;

	(void)env;
	(void)hint;
	if (cell->handle) {
		cell->handle->cell = NULL;
		begin_close(cell->handle);
	}
	free(cell);
}

/* pollOpen(fd, callback(status, events)): handle | -errno. Watches nothing until pollUpdate. */
napi_value poll_open(napi_env env, napi_callback_info info)
{
	struct env *state = env_state(env);
	napi_value argv[MAX_ARGS], name, resource, external;
	struct poll_handle *handle;
	struct poll_cell *cell;
	uv_loop_t *loop;
	int32_t fd;
	int ret;

	if (!get_args(env, info, 2, argv) || !get_i32(env, argv[0], &fd))
		return NULL;
	CHECK_NAPI(env, napi_get_uv_event_loop(env, (struct uv_loop_s **)&loop));
	CHECK_NAPI(env, napi_create_string_utf8(env, "VNIC_POLL", NAPI_AUTO_LENGTH, &name));
	CHECK_NAPI(env, napi_create_object(env, &resource));

	handle = calloc(1, sizeof(*handle));
	cell = calloc(1, sizeof(*cell));
	if (handle)
		handle->uv = calloc(1, uv_handle_size(UV_POLL_TYPE));
	if (!handle || !cell || !handle->uv) {
		ret = -ENOMEM;
		goto fail;
	}
	ret = uv_poll_init(loop, handle->uv, fd);
	if (ret < 0)
		goto fail;
	uv_handle_set_data(handle->uv, handle);
	handle->state = state;
	handle->next = state->polls;
	if (state->polls)
		state->polls->prev = handle;
	state->polls = handle;
	if (napi_create_reference(env, argv[1], 1, &handle->callback) != napi_ok ||
	    napi_create_reference(env, resource, 1, &handle->resource) != napi_ok ||
	    napi_async_init(env, resource, name, &handle->context) != napi_ok ||
	    napi_create_external(env, cell, on_cell_collected, NULL, &external) != napi_ok) {
		begin_close(handle);
		free(cell);
		return misuse(env, "cannot create a poll handle");
	}
	cell->handle = handle;
	handle->cell = cell;
	return external;
fail:
	if (handle)
		free(handle->uv);
	free(handle);
	free(cell);
	return to_number(env, ret);
}

static bool get_cell(napi_env env, napi_value value, struct poll_cell **cell)
{
	napi_valuetype type;
	void *data;

	if (napi_typeof(env, value, &type) == napi_ok && type == napi_external &&
	    napi_get_value_external(env, value, &data) == napi_ok) {
		*cell = data;
		return true;
	}
	misuse(env, "expected a poll handle");
	return false;
}

/* pollUpdate(handle, events): 0 | -errno. events: 0 none, 1 readable, 2 writable, 4 disconnect. */
napi_value poll_update(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	struct poll_cell *cell;
	int32_t events;

	if (!get_args(env, info, 2, argv) || !get_cell(env, argv[0], &cell) || !get_i32(env, argv[1], &events))
		return NULL;
	if (!cell->handle)
		return to_number(env, -EBADF);
	if (events == 0)
		return to_number(env, uv_poll_stop(cell->handle->uv));
	return to_number(env, uv_poll_start(cell->handle->uv, events, on_ready));
}

/* pollSetRef(handle, 0 | 1): 0 | -EBADF. Whether the handle keeps the process alive. */
napi_value poll_set_ref(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	struct poll_cell *cell;
	int32_t keep;

	if (!get_args(env, info, 2, argv) || !get_cell(env, argv[0], &cell) || !get_i32(env, argv[1], &keep))
		return NULL;
	if (!cell->handle)
		return to_number(env, -EBADF);
	(keep ? uv_ref : uv_unref)(cell->handle->uv);
	return to_number(env, 0);
}

/* pollClose(handle): 0. Stops at once; the descriptor may be closed right after. Idempotent. */
napi_value poll_close(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	struct poll_cell *cell;

	if (!get_args(env, info, 1, argv) || !get_cell(env, argv[0], &cell))
		return NULL;
	if (cell->handle)
		begin_close(cell->handle);
	return to_number(env, 0);
}
