/*
 * The floor: a bare EVP_DigestVerify with a fresh context on prepared bytes (raw message, DER signature,
 * loaded EVP_PKEY), and HMAC() for HS256. No parsing, no claims. One definition, used by the floor program
 * and by the pytest suites through ctypes.
 */
#ifndef BENCH_FLOOR_H
#define BENCH_FLOOR_H

#include <stddef.h>
#include <stdint.h>

typedef struct floor_key floor_key;

/*
 * Load a key: PEM SubjectPublicKeyInfo, or the secret's bytes for HS256.
 * Returns NULL where the libcrypto at hand does not know the algorithm or the key.
 */
floor_key *floor_open(const char *alg, const unsigned char *key, size_t key_len);
void floor_close(floor_key *key);

/*
 * Turn a JWS signature into what EVP_DigestVerify takes: R||S becomes DER for ECDSA, else a copy.
 * Returns the length, 0 when it does not fit. Out: der, der_cap bytes (160 hold every curve here).
 */
size_t floor_signature(const floor_key *key, unsigned char *der, size_t der_cap, const unsigned char *raw,
                       size_t raw_len);

/* Verify once with a fresh context. Returns 1 for a good signature, 0 for a bad one. */
int floor_verify(const floor_key *key, const unsigned char *message, size_t message_len, const unsigned char *signature,
                 size_t signature_len);

/* Verify the same bytes `calls` times. Returns ns for a call, or -1 when one of them was refused. */
double floor_loop(const floor_key *key, const unsigned char *message, size_t message_len,
                  const unsigned char *signature, size_t signature_len, size_t calls);

#endif
