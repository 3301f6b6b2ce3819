/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authenticated encryption in batches: many packets per crossing, in place.
 *
 * What a packet looks like is told by the caller (struct layout), how a counter becomes a nonce belongs to the
 * key (struct nonce_format).
 *
 * Life of a key: the external and each call on the pool hold a reference. Closing it, or the end of the
 * environment, erases it; while a call is on the pool, when that has ended.
 */
#include "aead.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What a key holds outside the JavaScript heap, about, so that forgotten keys are collected in time. */
#define KEY_WEIGHT 4096

/* --- Keys --- */

/* Waits for the calls on the pool: the last of them erases a closed key. */
static void erase_key(struct aead *aead)
{
	if (aead->sealing.on_pool || aead->opening.on_pool)
		return;
	cipher_close(&aead->sealing.cipher);
	cipher_close(&aead->opening.cipher);
	erase(aead->key, sizeof(aead->key));
	erase(&aead->nonce, sizeof(aead->nonce));
}

static void release(struct aead *aead)
{
	if (--aead->references > 0)
		return;
	erase_key(aead);
	free(aead);
}

static void weigh(napi_env env, struct aead *aead, bool weighed)
{
	int64_t total;

	if (weighed != aead->weighed)
		napi_adjust_external_memory(env, weighed ? KEY_WEIGHT : -KEY_WEIGHT, &total);
	aead->weighed = weighed;
}

static void on_key_collected(napi_env env, void *data, void *hint)
{
	(void)hint;
	weigh(env, data, false);
	release(data);
}

static void on_library_collected(napi_env env, void *data, void *hint)
{
	(void)env;
	(void)hint;
	free(data);
}

static bool get_external(napi_env env, napi_value value, void *out)
{
	napi_valuetype type;

	if (napi_typeof(env, value, &type) == napi_ok && type == napi_external &&
	    napi_get_value_external(env, value, (void **)out) == napi_ok)
		return true;
	misuse(env, "expected an external");
	return false;
}

/* aeadLibrary(): what was found in this process, for aeadBackends and aeadCreate. Takes some milliseconds. */
static napi_value aead_library(napi_env env, napi_callback_info info)
{
	struct openssl *ssl = malloc(sizeof(*ssl));
	napi_value external;

	(void)info;
	if (!ssl)
		return to_number(env, -ENOMEM);
	openssl_find(ssl);
	if (napi_create_external(env, ssl, on_library_collected, NULL, &external) != napi_ok) {
		free(ssl);
		return misuse(env, "cannot create an external");
	}
	return external;
}

/* aeadBackends(library): bit a: algorithm a works through EVP; bit 8: ChaCha20-Poly1305 the low-level way. */
static napi_value aead_backends(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	struct openssl *ssl;

	if (!get_args(env, info, 1, argv) || !get_external(env, argv[0], &ssl))
		return NULL;
	return to_number(env, ssl->evp | (ssl->low_level ? 1U << 8 : 0));
}

/* The words of a nonce format: counter offset, counter length, 1 for big endian, limit low, limit high. */
static bool get_nonce_format(napi_env env, napi_value iv_value, napi_value words_value, struct nonce_format *format)
{
	struct bytes iv;
	uint32_t *words;
	size_t len;

	if (!get_bytes(env, iv_value, &iv) || !get_words(env, words_value, &words, &len))
		return false;
	if (iv.len != NONCE_LEN || len < 5 || words[1] < 1 || words[1] > 8 || words[0] > NONCE_LEN - words[1]) {
		misuse(env, "unsound nonce format");
		return false;
	}
	memcpy(format->iv, iv.data, NONCE_LEN);
	format->counter_offset = words[0];
	format->counter_len = words[1];
	format->big_endian = words[2] != 0;
	format->limit = words[3] | (uint64_t)words[4] << 32;
	if (words[1] < 8 && format->limit > (uint64_t)1 << 8 * words[1]) {
		misuse(env, "more counters than nonces");
		return false;
	}
	return true;
}

/* aeadCreate(library, algorithm, lowLevel, key, iv, nonceFormat): key | -ENOTSUP | -ENOMEM. Copies the key. */
static napi_value aead_create(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS], external;
	uint32_t algorithm, low_level;
	struct nonce_format format;
	struct openssl *ssl;
	struct aead *aead;
	struct bytes key;

	if (!get_args(env, info, 6, argv) || !get_external(env, argv[0], &ssl) || !get_u32(env, argv[1], &algorithm) ||
	    !get_u32(env, argv[2], &low_level) || !get_bytes(env, argv[3], &key) ||
	    !get_nonce_format(env, argv[4], argv[5], &format))
		return NULL;
	if (algorithm >= ALGORITHMS || key.len != key_len((enum algorithm)algorithm))
		return misuse(env, "unknown algorithm or wrong key length");
	if (low_level ? !ssl->low_level || algorithm != CHACHA20_POLY1305 : !(ssl->evp & 1U << algorithm))
		return to_number(env, -ENOTSUP);
	aead = calloc(1, sizeof(*aead));
	if (!aead)
		return to_number(env, -ENOMEM);
	aead->ssl = *ssl;
	aead->nonce = format;
	aead->algorithm = (enum algorithm)algorithm;
	aead->low_level = low_level != 0;
	aead->references = 1;
	memcpy(aead->key, key.data, key.len);
	if (napi_create_external(env, aead, on_key_collected, NULL, &external) != napi_ok) {
		release(aead);
		return misuse(env, "cannot create an external");
	}
	weigh(env, aead, true);
	return external;
}

/* aeadClose(key): 0. Erases the key now, or when the calls on the pool have ended. Idempotent. */
static napi_value aead_close(napi_env env, napi_callback_info info)
{
	napi_value argv[MAX_ARGS];
	struct aead *aead;

	if (!get_args(env, info, 1, argv) || !get_external(env, argv[0], &aead))
		return NULL;
	aead->closed = true;
	weigh(env, aead, false);
	erase_key(aead);
	return to_number(env, 0);
}

/* --- Calls --- */

static bool get_layout(napi_env env, napi_value value, struct layout *layout)
{
	uint32_t *words;
	size_t len;

	if (!get_words(env, value, &words, &len))
		return false;
	if (len == LAYOUT_WORDS) {
		memcpy(layout, words, sizeof(*layout));
		if (sound_layout(layout))
			return true;
	}
	misuse(env, "unsound layout");
	return false;
}

/* (key, bytes, descriptors, from, to, layout[, counterLow, counterHigh]) */
static bool get_batch(napi_env env, napi_value *argv, bool sealing, struct aead **aead, struct batch *batch)
{
	uint32_t low = 0, high = 0;
	size_t words;

	if (!get_external(env, argv[0], aead) || !get_bytes(env, argv[1], &batch->slab) ||
	    !get_words(env, argv[2], &batch->descriptors, &words) || !get_u32(env, argv[3], &batch->from) ||
	    !get_u32(env, argv[4], &batch->to) || !get_layout(env, argv[5], &batch->layout))
		return false;
	if (sealing && (!get_u32(env, argv[6], &low) || !get_u32(env, argv[7], &high)))
		return false;
	batch->counter = low | (uint64_t)high << 32;
	if (batch->from <= batch->to && (size_t)batch->to * WORDS <= words)
		return true;
	misuse(env, "range outside the descriptors");
	return false;
}

/* Everything that must hold before a batch runs: 0 | -errno. */
static int prepare(struct aead *aead, const struct batch *batch, bool sealing)
{
	struct direction *direction = sealing ? &aead->sealing : &aead->opening;
	int ret;

	if (aead->closed)
		return -EBADF;
	if (direction->on_pool)
		return -EBUSY;
	ret = check_batch(aead, batch, sealing);
	if (ret < 0 || direction->cipher.ssl)
		return ret;
	return cipher_open(&direction->cipher, &aead->ssl, aead->algorithm, aead->low_level, sealing, aead->key);
}

static napi_value call_now(napi_env env, napi_callback_info info, bool sealing)
{
	napi_value argv[MAX_ARGS];
	struct batch batch;
	struct aead *aead;
	int ret;

	if (!get_args(env, info, sealing ? 8 : 6, argv) || !get_batch(env, argv, sealing, &aead, &batch))
		return NULL;
	ret = prepare(aead, &batch, sealing);
	return to_number(env, ret < 0 ? ret : (int64_t)run_batch(aead, &batch, sealing));
}

/* aeadSeal(key, bytes, descriptors, from, to, layout, counterLow, counterHigh): packets sealed | -errno */
static napi_value aead_seal(napi_env env, napi_callback_info info)
{
	return call_now(env, info, true);
}

/* aeadOpen(key, bytes, descriptors, from, to, layout): packets opened | -errno */
static napi_value aead_open(napi_env env, napi_callback_info info)
{
	return call_now(env, info, false);
}

/* --- Calls on libuv's pool --- */

struct pool_call {
	napi_async_work work;
	napi_deferred deferred;
	napi_ref memory[2]; /* slab and descriptors */
	struct aead *aead;
	struct batch batch;
	bool sealing;
	uint32_t done;
};

static void run_on_pool(napi_env env, void *data)
{
	struct pool_call *call = data;

	(void)env;
	call->done = run_batch(call->aead, &call->batch, call->sealing);
}

static void free_call(napi_env env, struct pool_call *call)
{
	struct aead *aead = call->aead;

	for (size_t i = 0; i < 2; i++) {
		if (call->memory[i])
			napi_delete_reference(env, call->memory[i]);
	}
	if (call->work)
		napi_delete_async_work(env, call->work);
	(call->sealing ? &aead->sealing : &aead->opening)->on_pool = false;
	if (aead->closed)
		erase_key(aead);
	release(aead);
	free(call);
}

static void on_pool_done(napi_env env, napi_status status, void *data)
{
	struct pool_call *call = data;
	napi_value result;

	/* Cancelled means that the environment ends: nobody waits for the result. */
	if (status == napi_ok && napi_create_uint32(env, call->done, &result) == napi_ok)
		napi_resolve_deferred(env, call->deferred, result);
	free_call(env, call);
}

static napi_value call_on_pool(napi_env env, napi_callback_info info, bool sealing)
{
	napi_value argv[MAX_ARGS], promise, name;
	struct pool_call *call;
	struct batch batch;
	struct aead *aead;
	int ret;

	if (!get_args(env, info, sealing ? 8 : 6, argv) || !get_batch(env, argv, sealing, &aead, &batch))
		return NULL;
	ret = prepare(aead, &batch, sealing);
	if (ret < 0)
		return to_number(env, ret);
	CHECK_NAPI(env, napi_create_string_utf8(env, "VNIC_AEAD", NAPI_AUTO_LENGTH, &name));
	call = calloc(1, sizeof(*call));
	if (!call)
		return to_number(env, -ENOMEM);
	call->aead = aead;
	call->batch = batch;
	call->sealing = sealing;
	aead->references++;
	(sealing ? &aead->sealing : &aead->opening)->on_pool = true;
	if (napi_create_reference(env, argv[1], 1, &call->memory[0]) != napi_ok ||
	    napi_create_reference(env, argv[2], 1, &call->memory[1]) != napi_ok ||
	    napi_create_async_work(env, NULL, name, run_on_pool, on_pool_done, call, &call->work) != napi_ok ||
	    napi_create_promise(env, &call->deferred, &promise) != napi_ok ||
	    napi_queue_async_work(env, call->work) != napi_ok) {
		free_call(env, call);
		return misuse(env, "cannot queue a batch");
	}
	return promise;
}

/* As aeadSeal, on the pool: promise | -errno. The caller's memory must be shared, so that nobody detaches it. */
static napi_value aead_seal_async(napi_env env, napi_callback_info info)
{
	return call_on_pool(env, info, true);
}

static napi_value aead_open_async(napi_env env, napi_callback_info info)
{
	return call_on_pool(env, info, false);
}

const struct native_function aead_functions[] = {
	{"aeadLibrary", aead_library},
	{"aeadBackends", aead_backends},
	{"aeadCreate", aead_create},
	{"aeadClose", aead_close},
	{"aeadSeal", aead_seal},
	{"aeadOpen", aead_open},
	{"aeadSealAsync", aead_seal_async},
	{"aeadOpenAsync", aead_open_async},
	{NULL, NULL},
};
