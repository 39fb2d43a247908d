/* foreign_libcrypto.c: another libcrypto, which finds every signature good and names itself.
 *
 * Preloaded, it takes the place of every function below in a module that looks them up in the process. One
 * that has its own libcrypto inside must not notice it.
 */
#include <stddef.h>

const char *OpenSSL_version(int kind)
{
    (void)kind;
    return "Foreign 9.9.9";
}

int EVP_DigestVerify(void *ctx, const unsigned char *sig, size_t sig_len, const unsigned char *data, size_t len)
{
    (void)ctx, (void)sig, (void)sig_len, (void)data, (void)len;
    return 1;
}

int EVP_DigestVerifyFinal(void *ctx, const unsigned char *sig, size_t sig_len)
{
    (void)ctx, (void)sig, (void)sig_len;
    return 1;
}

int EVP_PKEY_verify(void *ctx, const unsigned char *sig, size_t sig_len, const unsigned char *data, size_t len)
{
    (void)ctx, (void)sig, (void)sig_len, (void)data, (void)len;
    return 1;
}

int CRYPTO_memcmp(const void *one, const void *other, size_t len)
{
    (void)one, (void)other, (void)len;
    return 0;
}
