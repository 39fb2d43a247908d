/* The floor as a peer program. Its passes accept every token whose signature is right: it has no claims. */
#include "floor.h"
#include "protocol.h"

#include <openssl/crypto.h>

typedef struct {
    const unsigned char *message;
    size_t message_len;
    unsigned char *signature;
    size_t signature_len;
} floor_item;

typedef struct {
    floor_key *key;
    floor_item *items;
} floor_peer;

static bool peer_verify(void *opaque, size_t index, const protocol_case *one)
{
    const floor_peer *peer = opaque;
    const floor_item *item = &peer->items[index];
    (void)one;
    return floor_verify(peer->key, item->message, item->message_len, item->signature, item->signature_len) == 1;
}

static void floor_cut(const floor_key *key, floor_item *item, const protocol_case *one)
{
    unsigned char raw[8192];
    const char *dot = strrchr(one->token, '.');
    const size_t text_len = one->token_len - (size_t)(dot + 1 - one->token);
    const long raw_len = text_len / 4 * 3 + 3 > sizeof raw ? -1 : protocol_unb64(raw, dot + 1, text_len);
    item->message = (const unsigned char *)one->token;
    item->message_len = (size_t)(dot - one->token);
    item->signature = malloc(sizeof raw);
    if (raw_len < 0 || item->signature == NULL)
        protocol_die("cannot decode", "a signature");
    item->signature_len = floor_signature(key, item->signature, sizeof raw, raw, (size_t)raw_len);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    const char *alg = argv[2];
    size_t key_len = 0;
    char *key = protocol_file(argv[1], alg, strncmp(alg, "HS", 2) ? "public.pem" : "secret.bin", &key_len);
    if (key == NULL)
        protocol_die("no key file for", alg);
    protocol_corpus corpus = protocol_read(argv[1], alg);
    floor_peer peer = {floor_open(alg, (unsigned char *)key, key_len), calloc(corpus.count, sizeof(floor_item))};
    if (peer.key == NULL)
        protocol_unsupported(OpenSSL_version(OPENSSL_VERSION), alg);
    for (size_t i = 0; i < corpus.count; i++)
        floor_cut(peer.key, &peer.items[i], &corpus.cases[i]);
    return protocol_serve("EVP_DigestVerify", OpenSSL_version(OPENSSL_VERSION_STRING), &corpus, peer_verify, &peer,
                          true);
}
