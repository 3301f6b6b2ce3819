/* SPDX-License-Identifier: Apache-2.0 */
/* Registration, and the end of an environment. */
#include "core.h"
#include "ring.h"

#include <stdlib.h>

static napi_value abi(napi_env env, napi_callback_info info)
{
	(void)info;
	return to_number(env, VNIC_ABI);
}

static const struct native_function basic_functions[] = {
	{"abi", abi},
	{"open", fd_open},
	{"own", fd_own},
	{"disown", fd_disown},
	{"copyFrom", fd_copy_from},
	{"close", fd_close},
	{"closeAsync", fd_close_async},
	{"ioctl", fd_ioctl},
	{"lock", fd_lock},
	{"ioUringProbe", io_uring_probe},
	{"socket", socket_open},
	{"bind", socket_bind},
	{"getsockname", socket_name},
	{"setsockopt", socket_set_option},
	{"getsockopt", socket_get_option},
	{"send", socket_send},
	{"receive", socket_receive},
	{"receiveMessage", socket_receive_message},
	{"readBatch", read_batch},
	{"writeBatch", write_batch},
	{"pollOpen", poll_open},
	{"pollUpdate", poll_update},
	{"pollSetRef", poll_set_ref},
	{"pollClose", poll_close},
	{NULL, NULL},
};

static const struct native_function *const function_tables[] = {
	basic_functions, offload_functions, udp_functions, aead_functions,
	bpf_functions, netns_functions, filter_functions,
};

/* Runs when the environment ends, also by worker.terminate(): nothing of it may stay open. */
static void on_teardown(napi_async_cleanup_hook_handle hook, void *data)
{
	struct env *state = data;

	state->tearing_down = true;
	close_all_polls(state);
	close_all_fds(state);
	ring_close(state->ring);
	state->ring = NULL;
	napi_set_instance_data(state->napi, NULL, NULL, NULL);
	if (state->polls_closing == 0) {
		free(state);
		napi_remove_async_cleanup_hook(hook);
	}
	/* else the last poll's close callback frees it */
}

static bool add_functions(napi_env env, napi_value exports, const struct native_function *table)
{
	for (; table->name; table++) {
		napi_value function;

		if (napi_create_function(env, table->name, NAPI_AUTO_LENGTH, table->call, NULL, &function) != napi_ok ||
		    napi_set_named_property(env, exports, table->name, function) != napi_ok) {
			misuse(env, "cannot register a function");
			return false;
		}
	}
	return true;
}

NAPI_MODULE_INIT()
{
	struct env *state = calloc(1, sizeof(*state));

	if (!state)
		return misuse(env, "out of memory");
	state->napi = env;
	state->ring_error = -1;
	if (napi_set_instance_data(env, state, NULL, NULL) != napi_ok ||
	    napi_add_async_cleanup_hook(env, on_teardown, state, &state->cleanup) != napi_ok) {
		free(state);
		return misuse(env, "cannot attach to the environment");
	}
	for (size_t i = 0; i < sizeof(function_tables) / sizeof(function_tables[0]); i++) {
		if (!add_functions(env, exports, function_tables[i]))
			return NULL;
	}
	return exports;
}
