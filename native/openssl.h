/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The AEAD ciphers of the OpenSSL that the node binary carries, found at run time.
 *
 * Two ways lead to them. EVP is OpenSSL's stable interface. The low-level way calls the ChaCha20 and Poly1305
 * routines behind it, which the binary also exports: a fifth less time a packet, but no promise, so it is used
 * only after it has agreed with EVP (openssl_find).
 */
#ifndef VNIC_OPENSSL_H
#define VNIC_OPENSSL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum algorithm { CHACHA20_POLY1305, AES_128_GCM, AES_256_GCM, ALGORITHMS };

#define KEY_MAX 32
#define NONCE_LEN 12
#define TAG_LEN 16

/* Of a packet up to this length, with the block for the key of its tag, the key stream is made in one call. */
#define STREAM_MAX 2048

struct openssl {
	const void *(*ciphers[ALGORITHMS])(void);
	void *(*ctx_new)(void);
	void (*ctx_free)(void *ctx);
	int (*ctx_ctrl)(void *ctx, int type, int arg, void *ptr);
	int (*encrypt_init)(void *ctx, const void *cipher, void *engine, const uint8_t *key, const uint8_t *iv);
	int (*encrypt_update)(void *ctx, uint8_t *out, int *out_len, const uint8_t *in, int in_len);
	int (*encrypt_final)(void *ctx, uint8_t *out, int *out_len);
	int (*decrypt_init)(void *ctx, const void *cipher, void *engine, const uint8_t *key, const uint8_t *iv);
	int (*decrypt_update)(void *ctx, uint8_t *out, int *out_len, const uint8_t *in, int in_len);
	int (*decrypt_final)(void *ctx, uint8_t *out, int *out_len);
	void (*chacha20)(uint8_t *out, const uint8_t *in, size_t len, const uint32_t key[8], const uint32_t counter[4]);
	size_t (*poly1305_size)(void);
	void (*poly1305_init)(void *ctx, const uint8_t key[32]);
	void (*poly1305_update)(void *ctx, const uint8_t *in, size_t len);
	void (*poly1305_final)(void *ctx, uint8_t tag[16]);
	uint32_t evp;	/* bit a: algorithm a works through EVP */
	bool low_level; /* ChaCha20-Poly1305 works through the low-level routines */
};

/* One key in one direction. Zeroed memory is a closed cipher. */
struct cipher {
	const struct openssl *ssl;
	void *evp;  /* EVP_CIPHER_CTX, or NULL on the low-level way */
	void *poly; /* state of Poly1305, on the low-level way */
	uint32_t key[8];
};

/* One packet, in place. */
struct message {
	uint8_t nonce[NONCE_LEN];
	const uint8_t *aad;
	uint32_t aad_len;
	uint8_t *data;
	uint32_t len; /* at most INT_MAX */
	uint8_t *tag;
	uint8_t *scratch; /* STREAM_MAX bytes; secret afterwards */
};

/* Looks the symbols up and tries them: known tags, then the low-level way against EVP at 200 lengths. */
void openssl_find(struct openssl *ssl);

size_t key_len(enum algorithm algorithm);

/* 0 | -ENOMEM. The cipher keeps a pointer to `ssl`, and what it needs of the key. */
int cipher_open(struct cipher *cipher, const struct openssl *ssl, enum algorithm algorithm, bool low_level,
		bool sealing, const uint8_t *key);
/* Erases the key. Does nothing to a closed cipher. */
void cipher_close(struct cipher *cipher);

/* False when OpenSSL fails; `data` is then undefined. */
bool cipher_seal(struct cipher *cipher, const struct message *message);
/* False when the tag is wrong; `data` is then undefined. Tags are compared in constant time. */
bool cipher_unseal(struct cipher *cipher, const struct message *message);

/* memset to 0 that no compiler leaves out. */
void erase(void *memory, size_t len);

#endif
