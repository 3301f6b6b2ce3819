/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seals packets, or seals and opens them, in a loop with OpenSSL's EVP, one context and a new nonce each: what a
 * program in C gets. A module of Node, and linked with no OpenSSL, so that it calls the one that Node carries.
 *
 *   run(cipher, bytes, seconds, opening)    returns {packets, seconds}
 *   version                                 of that OpenSSL
 *
 * Seconds are of processor time, which others on the machine disturb least.
 */
#include <node_api.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PACKETS 64
#define HEADER 16
#define TAG 16

static double cpu_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static bool seal(EVP_CIPHER_CTX *ctx, unsigned char *packet, int len, unsigned long long counter)
{
	unsigned char nonce[12] = {0};
	int n;

	memcpy(nonce + 4, &counter, sizeof(counter));
	memcpy(packet + 8, &counter, sizeof(counter));
	return EVP_EncryptInit_ex(ctx, NULL, NULL, NULL, nonce) == 1 &&
	       EVP_EncryptUpdate(ctx, packet + HEADER, &n, packet + HEADER, len) == 1 &&
	       EVP_EncryptFinal_ex(ctx, packet + HEADER + len, &n) == 1 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, packet + HEADER + len) == 1;
}

static bool open_packet(EVP_CIPHER_CTX *ctx, unsigned char *packet, int len)
{
	unsigned char nonce[12] = {0};
	int n;

	memcpy(nonce + 4, packet + 8, 8);
	return EVP_DecryptInit_ex(ctx, NULL, NULL, NULL, nonce) == 1 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, packet + HEADER + len) == 1 &&
	       EVP_DecryptUpdate(ctx, packet + HEADER, &n, packet + HEADER, len) == 1 &&
	       EVP_DecryptFinal_ex(ctx, packet + HEADER + len, &n) == 1;
}

/* Packets that were sealed, or -1. */
static long long loop(const char *name, int len, double seconds, bool opening, double *took)
{
	static const unsigned char key[32] = {1};
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, name, NULL);
	EVP_CIPHER_CTX *sealer = EVP_CIPHER_CTX_new(), *opener = EVP_CIPHER_CTX_new();
	size_t slot = (size_t)(HEADER + len + TAG + 7) & ~(size_t)7;
	unsigned char *slab = calloc(PACKETS, slot);
	unsigned long long counter = 0;
	bool ok = cipher && sealer && opener && slab && EVP_EncryptInit_ex(sealer, cipher, NULL, key, NULL) == 1 &&
		  EVP_DecryptInit_ex(opener, cipher, NULL, key, NULL) == 1;
	double begin = cpu_now();

	while (ok && cpu_now() - begin < seconds) {
		for (size_t i = 0; ok && i < PACKETS; i++)
			ok = seal(sealer, slab + i * slot, len, counter++);
		for (size_t i = 0; ok && opening && i < PACKETS; i++)
			ok = open_packet(opener, slab + i * slot, len);
	}
	*took = cpu_now() - begin;
	free(slab);
	EVP_CIPHER_CTX_free(sealer);
	EVP_CIPHER_CTX_free(opener);
	EVP_CIPHER_free(cipher);
	return ok ? (long long)counter : -1;
}

static napi_value set_number(napi_env env, napi_value object, const char *name, double number)
{
	napi_value value;

	if (napi_create_double(env, number, &value) != napi_ok ||
	    napi_set_named_property(env, object, name, value) != napi_ok)
		return NULL;
	return object;
}

static napi_value run(napi_env env, napi_callback_info info)
{
	napi_value args[4], result;
	size_t count = 4;
	char name[64];
	double seconds, took;
	long long packets;
	int32_t len;
	bool opening;

	if (napi_get_cb_info(env, info, &count, args, NULL, NULL) != napi_ok || count != 4 ||
	    napi_get_value_string_utf8(env, args[0], name, sizeof(name), NULL) != napi_ok ||
	    napi_get_value_int32(env, args[1], &len) != napi_ok ||
	    napi_get_value_double(env, args[2], &seconds) != napi_ok ||
	    napi_get_value_bool(env, args[3], &opening) != napi_ok) {
		napi_throw_type_error(env, NULL, "run(cipher, bytes, seconds, opening)");
		return NULL;
	}
	packets = loop(name, len, seconds, opening, &took);
	if (packets < 0) {
		napi_throw_error(env, NULL, "OpenSSL refused");
		return NULL;
	}
	if (napi_create_object(env, &result) != napi_ok || !set_number(env, result, "seconds", took))
		return NULL;
	return set_number(env, result, "packets", (double)packets);
}

NAPI_MODULE_INIT()
{
	napi_value function, version;

	if (napi_create_function(env, "run", NAPI_AUTO_LENGTH, run, NULL, &function) != napi_ok ||
	    napi_set_named_property(env, exports, "run", function) != napi_ok ||
	    napi_create_string_utf8(env, OpenSSL_version(OPENSSL_VERSION_STRING), NAPI_AUTO_LENGTH, &version) != napi_ok ||
	    napi_set_named_property(env, exports, "version", version) != napi_ok)
		return NULL;
	return exports;
}
