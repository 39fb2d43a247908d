/* libcjose: import, verify, plaintext, and jansson for the claims, as its users (mod_auth_openidc) do. */
#include "protocol.h"

#include <cjose/cjose.h>
#include <jansson.h>

typedef struct {
    cjose_jwk_t *key;
    const char *alg, *issuer, *audience, *subject;
} cjose_peer;

static bool cjose_claims(const cjose_peer *peer, const uint8_t *payload, size_t payload_len)
{
    json_t *claims = json_loadb((const char *)payload, payload_len, JSON_REJECT_DUPLICATES, NULL);
    if (claims == NULL)
        return false;
    const json_t *iss = json_object_get(claims, "iss"), *aud = json_object_get(claims, "aud");
    const json_t *exp = json_object_get(claims, "exp"), *sub = json_object_get(claims, "sub");
    const bool good = json_is_string(iss) && strcmp(json_string_value(iss), peer->issuer) == 0 && json_is_string(aud)
                   && strcmp(json_string_value(aud), peer->audience) == 0 && json_is_integer(exp)
                   && json_integer_value(exp) > (json_int_t)time(NULL) && json_is_string(sub)
                   && strcmp(json_string_value(sub), peer->subject) == 0;
    json_decref(claims);
    return good;
}

static bool peer_verify(void *opaque, size_t index, const protocol_case *one)
{
    const cjose_peer *peer = opaque;
    cjose_err error;
    uint8_t *payload = NULL;
    size_t payload_len = 0;
    (void)index;
    cjose_jws_t *jws = cjose_jws_import(one->token, one->token_len, &error);
    if (jws == NULL)
        return false;
    const char *alg = cjose_header_get(cjose_jws_get_protected(jws), CJOSE_HDR_ALG, &error);
    const bool good = alg != NULL && strcmp(alg, peer->alg) == 0 && cjose_jws_verify(jws, peer->key, &error)
                   && cjose_jws_get_plaintext(jws, &payload, &payload_len, &error)
                   && cjose_claims(peer, payload, payload_len);
    cjose_jws_release(jws);
    return good;
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    size_t len = 0;
    cjose_err error;
    char *about = protocol_file(argv[1], ".", "corpus.json", &len);
    json_t *corpus_json = about == NULL ? NULL : json_loads(about, 0, NULL);
    char *jwk = protocol_file(argv[1], argv[2], "public.jwk.json", &len);
    if (corpus_json == NULL || jwk == NULL)
        protocol_die("no corpus for", argv[2]);
    cjose_peer peer = {
        .key = cjose_jwk_import(jwk, len, &error),
        .alg = argv[2],
        .issuer = json_string_value(json_object_get(corpus_json, "issuer")),
        .audience = json_string_value(json_object_get(corpus_json, "audience")),
        .subject = json_string_value(json_object_get(corpus_json, "subject")),
    };
    if (peer.key == NULL)
        protocol_unsupported("libcjose cannot import a key for", argv[2]);
    protocol_corpus corpus = protocol_read(argv[1], argv[2]);
    if (!peer_verify(&peer, 0, &corpus.cases[0]))
        protocol_unsupported("libcjose does not verify", argv[2]);
    return protocol_serve("libcjose", cjose_version(), &corpus, peer_verify, &peer, false);
}
