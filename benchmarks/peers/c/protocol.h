/*
 * The C side of the peers' protocol (see ../protocol.py): reads one algorithm's corpus, runs passes,
 * answers with JSON lines. A program defines `peer_verify` and calls `protocol_serve`.
 */
#ifndef BENCH_PROTOCOL_H
#define BENCH_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PROTOCOL_MAX_TOKENS 65536
#define PROTOCOL_MAX_SAMPLES 65536

typedef struct {
    const char *token; /* the compact serialization */
    size_t token_len;
    bool good;      /* must be accepted by a verifier of signature and claims */
    bool signed_ok; /* its signature is right, whatever the claims say */
} protocol_case;

typedef struct {
    char *text; /* tokens.tsv, cut in place */
    protocol_case *cases;
    size_t count;
} protocol_corpus;

static int64_t protocol_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void protocol_die(const char *what, const char *detail)
{
    printf("{\"error\": \"%s %s\"}\n", what, detail);
    exit(1);
}

static void protocol_unsupported(const char *what, const char *detail)
{
    printf("{\"unsupported\": \"%s %s\"}\n", what, detail);
    exit(0);
}

/* Read `folder/alg/name` whole, with a zero byte after it. */
static char *protocol_file(const char *folder, const char *alg, const char *name, size_t *len)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s/%s", folder, alg, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    char *octets = size < 0 ? NULL : malloc((size_t)size + 1);
    if (octets == NULL || fread(octets, 1, (size_t)size, file) != (size_t)size)
        protocol_die("cannot read", path);
    octets[size] = 0;
    fclose(file);
    *len = (size_t)size;
    return octets;
}

static protocol_corpus protocol_read(const char *folder, const char *alg)
{
    protocol_corpus corpus = {0};
    size_t len;
    corpus.text = protocol_file(folder, alg, "tokens.tsv", &len);
    corpus.cases = calloc(PROTOCOL_MAX_TOKENS, sizeof *corpus.cases);
    if (corpus.text == NULL || corpus.cases == NULL)
        protocol_die("no tokens.tsv for", alg);
    for (char *line = strtok(corpus.text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char *tab = strchr(line, '\t');
        if (tab == NULL || corpus.count == PROTOCOL_MAX_TOKENS)
            protocol_die("bad tokens.tsv for", alg);
        *tab = 0;
        protocol_case *next = &corpus.cases[corpus.count++];
        next->token = tab + 1;
        next->token_len = strlen(tab + 1);
        next->good = strcmp(line, "ok") == 0;
        next->signed_ok = strcmp(line, "tampered") != 0;
    }
    return corpus;
}

/* Decode base64url; returns the number of bytes, or -1. `out` has room for 3/4 of `len`. */
static inline long protocol_unb64(unsigned char *out, const char *text, size_t len)
{
    unsigned bits = 0, held = 0;
    unsigned char *next = out;
    for (size_t i = 0; i < len; i++) {
        const char c = text[i];
        unsigned value;
        if (c >= 'A' && c <= 'Z')
            value = (unsigned)(c - 'A');
        else if (c >= 'a' && c <= 'z')
            value = (unsigned)(c - 'a' + 26);
        else if (c >= '0' && c <= '9')
            value = (unsigned)(c - '0' + 52);
        else if (c == '-')
            value = 62;
        else if (c == '_')
            value = 63;
        else
            return -1;
        bits = (bits << 6 | value) & 0xffffff;
        held += 6;
        if (held >= 8) {
            held -= 8;
            *next++ = (unsigned char)(bits >> held);
        }
    }
    return next - out;
}

typedef bool (*protocol_verify)(void *peer, size_t index, const protocol_case *one);

/* One pass; dies when a count is not the corpus's. Returns ns for a token. */
static double protocol_pass(const protocol_corpus *corpus, protocol_verify verify, void *peer, bool signature_only,
                            size_t *accepted)
{
    size_t want = 0, got = 0;
    for (size_t i = 0; i < corpus->count; i++)
        want += signature_only ? corpus->cases[i].signed_ok : corpus->cases[i].good;
    const int64_t start = protocol_now_ns();
    for (size_t i = 0; i < corpus->count; i++)
        got += verify(peer, i, &corpus->cases[i]);
    const int64_t taken = protocol_now_ns() - start;
    if (got != want)
        protocol_die("a pass accepted another number", "than the corpus has");
    *accepted = got;
    return (double)taken / (double)corpus->count;
}

static void protocol_round(const protocol_corpus *corpus, protocol_verify verify, void *peer, bool signature_only,
                           double seconds)
{
    static double samples[PROTOCOL_MAX_SAMPLES];
    size_t passes = 0, accepted = 0;
    const int64_t end = protocol_now_ns() + (int64_t)(seconds * 1e9);
    do {
        samples[passes++] = protocol_pass(corpus, verify, peer, signature_only, &accepted);
    } while (protocol_now_ns() < end && passes < PROTOCOL_MAX_SAMPLES);
    printf("{\"passes\": %zu, \"accepted\": %zu, \"refused\": %zu, \"samples_ns\": [", passes, accepted * passes,
           (corpus->count - accepted) * passes);
    for (size_t i = 0; i < passes; i++)
        printf("%s%.1f", i ? ", " : "", samples[i]);
    printf("]}\n");
}

/* Check every verdict, say ready, then answer commands until the input ends. */
static int protocol_serve(const char *name, const char *version, const protocol_corpus *corpus, protocol_verify verify,
                          void *peer, bool signature_only)
{
    setvbuf(stdout, NULL, _IOLBF, 1 << 16);
    for (size_t i = 0; i < corpus->count; i++) {
        const protocol_case *one = &corpus->cases[i];
        if (verify(peer, i, one) != (signature_only ? one->signed_ok : one->good))
            protocol_die(name, "wrong verdict");
    }
    printf("{\"ready\": true, \"peer\": \"%s\", \"version\": \"%s\", \"detail\": \"\"}\n", name, version);
    char line[128];
    while (fgets(line, sizeof line, stdin) != NULL)
        protocol_round(corpus, verify, peer, signature_only, atof(line));
    return 0;
}

#endif
