/* driver.h: what every C driver of the native tests needs: a repeatable generator, hex, and a loud stop. */
#ifndef DRIVER_H
#define DRIVER_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Stop the driver with the failing line; tests see a non-zero exit. */
#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);                                  \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* splitmix64: repeatable, so a failure can be run again with the same seed */
static inline uint64_t driver_random(uint64_t *seed)
{
    uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline void driver_fill(uint64_t *seed, uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)(driver_random(seed) >> 56);
    }
}

static inline uint64_t driver_now_ns(void)
{
    struct timespec now;

    (void)timespec_get(&now, TIME_UTC);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static inline int driver_nibble(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What a driver does for one word on its command line: with a count and a seed behind it, or alone. */
typedef struct {
    const char *word;
    void (*alone)(void);
    void (*counted)(unsigned long count, uint64_t seed);
} driver_command;

/* Do what the command line says. Returns main's answer: 2 where it says none of the commands. */
static inline int driver_run(const driver_command *commands, size_t commands_len, int argc, char **argv)
{
    for (size_t i = 0; i < commands_len && argc >= 2; i++) {
        if (strcmp(argv[1], commands[i].word) != 0) {
            continue;
        }
        if (argc == 2 && commands[i].alone != NULL) {
            commands[i].alone();
            return 0;
        }
        if (argc == 4 && commands[i].counted != NULL) {
            commands[i].counted(strtoul(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
            return 0;
        }
    }
    return 2;
}

/* One lower-case hex word, or "-" for no bytes. Returns its bytes; the caller frees *out. */
static inline size_t driver_hex(uint8_t **out, const char *word)
{
    size_t digits = strcmp(word, "-") == 0 ? 0 : strlen(word);

    REQUIRE(digits % 2 == 0);
    *out = malloc(digits / 2 + 1);
    REQUIRE(*out != NULL);
    for (size_t i = 0; i < digits / 2; i++) {
        int high = driver_nibble(word[2 * i]);
        int low = driver_nibble(word[2 * i + 1]);
        REQUIRE(high >= 0 && low >= 0);
        (*out)[i] = (uint8_t)(high * 16 + low);
    }
    return digits / 2;
}

/* One line of at most 128 KiB split at blanks. Returns the number of words, 0 at the end of input. */
static inline size_t driver_words(char *line, size_t line_capacity, char **words, size_t words_capacity)
{
    size_t count = 0;

    if (fgets(line, (int)line_capacity, stdin) == NULL) {
        return 0;
    }
    for (char *word = strtok(line, " \n"); word != NULL && count < words_capacity; word = strtok(NULL, " \n")) {
        words[count++] = word;
    }
    return count;
}

#endif
