/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seals packets, or seals and opens them, in a loop with OpenSSL's EVP, one context and a new nonce each: what a
 * program in C gets.
 *
 *   aead CIPHER BYTES SECONDS seal|both     prints {"packets": …, "seconds": …, "openssl": "…"}
 *
 * Seconds are of processor time, which others on the machine disturb least.
 */
#define _GNU_SOURCE
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PACKETS 64
#define HEADER 16
#define TAG 16

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void fail(const char *what)
{
	fprintf(stderr, "%s failed\n", what);
	exit(1);
}

static void seal(EVP_CIPHER_CTX *ctx, unsigned char *packet, int len, unsigned long long counter)
{
	unsigned char nonce[12] = {0};
	int n;

	memcpy(nonce + 4, &counter, sizeof(counter));
	memcpy(packet + 8, &counter, sizeof(counter));
	if (EVP_EncryptInit_ex(ctx, NULL, NULL, NULL, nonce) != 1 ||
	    EVP_EncryptUpdate(ctx, packet + HEADER, &n, packet + HEADER, len) != 1 ||
	    EVP_EncryptFinal_ex(ctx, packet + HEADER + len, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, packet + HEADER + len) != 1)
		fail("seal");
}

static void open_packet(EVP_CIPHER_CTX *ctx, unsigned char *packet, int len)
{
	unsigned char nonce[12] = {0};
	int n;

	memcpy(nonce + 4, packet + 8, 8);
	if (EVP_DecryptInit_ex(ctx, NULL, NULL, NULL, nonce) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, packet + HEADER + len) != 1 ||
	    EVP_DecryptUpdate(ctx, packet + HEADER, &n, packet + HEADER, len) != 1 ||
	    EVP_DecryptFinal_ex(ctx, packet + HEADER + len, &n) != 1)
		fail("open");
}

int main(int argc, char **argv)
{
	unsigned char key[32] = {1};
	EVP_CIPHER *cipher = argc == 5 ? EVP_CIPHER_fetch(NULL, argv[1], NULL) : NULL;
	int len = argc == 5 ? atoi(argv[2]) : 0, opening = argc == 5 && strcmp(argv[4], "both") == 0;
	double limit = argc == 5 ? atof(argv[3]) : 0, begin;
	EVP_CIPHER_CTX *sealing = EVP_CIPHER_CTX_new(), *openings = EVP_CIPHER_CTX_new();
	size_t slot = (size_t)(HEADER + len + TAG + 7) & ~(size_t)7;
	unsigned char *slab = calloc(PACKETS, slot);
	unsigned long long counter = 0;

	if (!cipher || !sealing || !openings || !slab)
		fail("aead CIPHER BYTES SECONDS seal|both");
	if (EVP_EncryptInit_ex(sealing, cipher, NULL, key, NULL) != 1 ||
	    EVP_DecryptInit_ex(openings, cipher, NULL, key, NULL) != 1)
		fail("init");
	begin = now();
	while (now() - begin < limit) {
		for (int i = 0; i < PACKETS; i++)
			seal(sealing, slab + (size_t)i * slot, len, counter++);
		for (int i = 0; opening && i < PACKETS; i++)
			open_packet(openings, slab + (size_t)i * slot, len);
	}
	printf("{\"packets\": %llu, \"seconds\": %f, \"openssl\": \"%s\"}\n", counter, now() - begin,
	       OpenSSL_version(OPENSSL_VERSION_STRING));
	return 0;
}
