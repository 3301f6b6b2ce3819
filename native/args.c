/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments in, results out. */
#include "core.h"

#include <errno.h>

napi_value misuse(napi_env env, const char *message)
{
	bool pending = false;

	if (napi_is_exception_pending(env, &pending) == napi_ok && !pending)
		napi_throw_type_error(env, "VNIC_NATIVE_MISUSE", message);
	return NULL;
}

bool get_args(napi_env env, napi_callback_info info, size_t want, napi_value *argv)
{
	size_t argc = MAX_ARGS;

	if (napi_get_cb_info(env, info, &argc, argv, NULL, NULL) != napi_ok || argc < want) {
		misuse(env, "too few arguments");
		return false;
	}
	return true;
}

bool get_i32(napi_env env, napi_value value, int32_t *out)
{
	if (napi_get_value_int32(env, value, out) == napi_ok)
		return true;
	misuse(env, "expected a number");
	return false;
}

bool get_u32(napi_env env, napi_value value, uint32_t *out)
{
	if (napi_get_value_uint32(env, value, out) == napi_ok)
		return true;
	misuse(env, "expected a number");
	return false;
}

bool get_bytes(napi_env env, napi_value value, struct bytes *out)
{
	napi_typedarray_type type;
	void *data = NULL;
	bool is_array = false;

	if (napi_is_typedarray(env, value, &is_array) == napi_ok && is_array &&
	    napi_get_typedarray_info(env, value, &type, &out->len, &data, NULL, NULL) == napi_ok &&
	    type == napi_uint8_array) {
		out->data = data;
		return true;
	}
	misuse(env, "expected a Uint8Array");
	return false;
}

bool get_optional_bytes(napi_env env, napi_value value, struct bytes *out)
{
	napi_valuetype type;

	out->data = NULL;
	out->len = 0;
	if (napi_typeof(env, value, &type) == napi_ok && type == napi_undefined)
		return true;
	return get_bytes(env, value, out);
}

bool get_words(napi_env env, napi_value value, uint32_t **out, size_t *len)
{
	napi_typedarray_type type;
	void *data = NULL;
	bool is_array = false;

	if (napi_is_typedarray(env, value, &is_array) == napi_ok && is_array &&
	    napi_get_typedarray_info(env, value, &type, len, &data, NULL, NULL) == napi_ok &&
	    type == napi_uint32_array) {
		*out = data;
		return true;
	}
	misuse(env, "expected a Uint32Array");
	return false;
}

napi_value to_number(napi_env env, int64_t value)
{
	napi_value result;

	CHECK_NAPI(env, napi_create_int64(env, value, &result));
	return result;
}

napi_value to_result(napi_env env, int64_t ret)
{
	return to_number(env, ret < 0 ? -(int64_t)errno : ret);
}

struct env *env_state(napi_env env)
{
	void *state = NULL;

	if (napi_get_instance_data(env, &state) != napi_ok)
		return NULL;
	return state;
}
