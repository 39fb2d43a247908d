/* driver_lines.h: hex lines of any length, in buffers of exactly their size, so that ASan sees one byte too far. */
#ifndef DRIVER_LINES_H
#define DRIVER_LINES_H

#include "driver.h"

/* The next line of stdin without its end; NULL at the end of input. The caller frees it. */
static inline char *driver_line(void)
{
    size_t capacity = 4096, len = 0;
    char *line = malloc(capacity);

    REQUIRE(line != NULL);
    while (fgets(line + len, (int)(capacity - len), stdin) != NULL) {
        len += strlen(line + len);
        if (line[len - 1] == '\n') {
            line[len - 1] = '\0';
            return line;
        }
        capacity *= 2;
        line = realloc(line, capacity);
        REQUIRE(line != NULL);
    }
    free(line);
    return NULL;
}

/* A copy in a buffer of exactly len bytes; NULL for none. The caller frees it. */
static inline uint8_t *driver_exact(const uint8_t *bytes, size_t len)
{
    uint8_t *copy;

    if (len == 0) {
        return NULL;
    }
    copy = malloc(len);
    REQUIRE(copy != NULL);
    memcpy(copy, bytes, len);
    return copy;
}

/* The bytes of a hex word in a buffer of exactly their size; NULL for none. The caller frees *out. */
static inline size_t driver_exact_hex(uint8_t **out, const char *word)
{
    uint8_t *roomy;
    size_t len = driver_hex(&roomy, word);

    *out = driver_exact(roomy, len);
    free(roomy);
    return len;
}

static inline void driver_print_hex(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        printf("%02x", bytes[i]);
    }
    if (len == 0) {
        printf("-");
    }
}

#endif
