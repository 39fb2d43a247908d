/* check_schema.h: the messages of a CheckRequest, a row for each, its fields by number; data only.
 *
 * Source: Envoy API v3, external_auth.proto, attribute_context.proto, address.proto, base.proto; protobuf's
 * struct.proto, any.proto, timestamp.proto. tests/unit/test_check_request.py compares it with their descriptors.
 */
#ifndef RJ_CHECK_SCHEMA_H
#define RJ_CHECK_SCHEMA_H

#include <stdint.h>

/* How a field is encoded; 0 for a number that the schema does not know. */
typedef enum {
    CHECK_SKIP = 0,
    CHECK_VARINT,
    CHECK_FIXED64,
    CHECK_TEXT,
    CHECK_OCTETS,
    CHECK_ONE,
    CHECK_MANY
} check_kind;

typedef enum {
    CHECK_REQUEST,
    CHECK_ATTRIBUTES,
    CHECK_PEER,
    CHECK_ADDRESS,
    CHECK_SOCKET_ADDRESS,
    CHECK_PIPE,
    CHECK_INTERNAL_ADDRESS,
    CHECK_TEXT_ENTRY, /* of a map of texts */
    CHECK_REQUEST_PART,
    CHECK_TIMESTAMP,
    CHECK_HTTP,
    CHECK_HEADER_MAP,
    CHECK_HEADER_VALUE,
    CHECK_METADATA,
    CHECK_STRUCT_ENTRY,
    CHECK_STRUCT,
    CHECK_VALUE_ENTRY,
    CHECK_VALUE,
    CHECK_LIST,
    CHECK_ANY_ENTRY,
    CHECK_ANY,
    CHECK_TLS,
    CHECK_MESSAGES
} check_message;

typedef struct {
    uint8_t kind;    /* check_kind */
    uint8_t message; /* check_message, of CHECK_ONE and CHECK_MANY */
} check_field;

enum { CHECK_NUMBERS = 14 /* above every number of the schema */ };

enum {
    HTTP_METHOD = 2,
    HTTP_HEADERS = 3,
    HTTP_PATH = 4,
    HTTP_HOST = 5,
    HTTP_BODY = 11,
    HTTP_RAW_BODY = 12,
    HTTP_HEADER_MAP = 13
};

enum { HEADER_KEY = 1, HEADER_VALUE = 2, HEADER_RAW_VALUE = 3, MAP_HEADERS = 1 };

#define CHECK_IS_TEXT {CHECK_TEXT, 0}
#define CHECK_IS_VARINT {CHECK_VARINT, 0}

static const check_field CHECK_SCHEMA[CHECK_MESSAGES][CHECK_NUMBERS] = {
    [CHECK_REQUEST] = {[1] = {CHECK_ONE, CHECK_ATTRIBUTES}},
    [CHECK_ATTRIBUTES] = {[1] = {CHECK_ONE, CHECK_PEER},
                          [2] = {CHECK_ONE, CHECK_PEER},
                          [4] = {CHECK_ONE, CHECK_REQUEST_PART},
                          [10] = {CHECK_MANY, CHECK_TEXT_ENTRY},
                          [11] = {CHECK_ONE, CHECK_METADATA},
                          [12] = {CHECK_ONE, CHECK_TLS},
                          [13] = {CHECK_ONE, CHECK_METADATA}},
    [CHECK_PEER] = {[1] = {CHECK_ONE, CHECK_ADDRESS},
                    [2] = CHECK_IS_TEXT,
                    [3] = {CHECK_MANY, CHECK_TEXT_ENTRY},
                    [4] = CHECK_IS_TEXT,
                    [5] = CHECK_IS_TEXT},
    [CHECK_ADDRESS] = {[1] = {CHECK_ONE, CHECK_SOCKET_ADDRESS},
                       [2] = {CHECK_ONE, CHECK_PIPE},
                       [3] = {CHECK_ONE, CHECK_INTERNAL_ADDRESS}},
    [CHECK_SOCKET_ADDRESS] = {[1] = CHECK_IS_VARINT,
                              [2] = CHECK_IS_TEXT,
                              [3] = CHECK_IS_VARINT,
                              [4] = CHECK_IS_TEXT,
                              [5] = CHECK_IS_TEXT,
                              [6] = CHECK_IS_VARINT,
                              [7] = CHECK_IS_TEXT},
    [CHECK_PIPE] = {[1] = CHECK_IS_TEXT, [2] = CHECK_IS_VARINT},
    [CHECK_INTERNAL_ADDRESS] = {[1] = CHECK_IS_TEXT, [2] = CHECK_IS_TEXT},
    [CHECK_TEXT_ENTRY] = {[1] = CHECK_IS_TEXT, [2] = CHECK_IS_TEXT},
    [CHECK_REQUEST_PART] = {[1] = {CHECK_ONE, CHECK_TIMESTAMP}, [2] = {CHECK_ONE, CHECK_HTTP}},
    [CHECK_TIMESTAMP] = {[1] = CHECK_IS_VARINT, [2] = CHECK_IS_VARINT},
    [CHECK_HTTP] = {[1] = CHECK_IS_TEXT,
                    [HTTP_METHOD] = CHECK_IS_TEXT,
                    [HTTP_HEADERS] = {CHECK_MANY, CHECK_TEXT_ENTRY},
                    [HTTP_PATH] = CHECK_IS_TEXT,
                    [HTTP_HOST] = CHECK_IS_TEXT,
                    [6] = CHECK_IS_TEXT,
                    [7] = CHECK_IS_TEXT,
                    [8] = CHECK_IS_TEXT,
                    [9] = CHECK_IS_VARINT,
                    [10] = CHECK_IS_TEXT,
                    [HTTP_BODY] = CHECK_IS_TEXT,
                    [HTTP_RAW_BODY] = {CHECK_OCTETS, 0},
                    [HTTP_HEADER_MAP] = {CHECK_ONE, CHECK_HEADER_MAP}},
    [CHECK_HEADER_MAP] = {[MAP_HEADERS] = {CHECK_MANY, CHECK_HEADER_VALUE}},
    [CHECK_HEADER_VALUE] = {[HEADER_KEY] = CHECK_IS_TEXT,
                            [HEADER_VALUE] = CHECK_IS_TEXT,
                            [HEADER_RAW_VALUE] = {CHECK_OCTETS, 0}},
    [CHECK_METADATA] = {[1] = {CHECK_MANY, CHECK_STRUCT_ENTRY}, [2] = {CHECK_MANY, CHECK_ANY_ENTRY}},
    [CHECK_STRUCT_ENTRY] = {[1] = CHECK_IS_TEXT, [2] = {CHECK_ONE, CHECK_STRUCT}},
    [CHECK_STRUCT] = {[1] = {CHECK_MANY, CHECK_VALUE_ENTRY}},
    [CHECK_VALUE_ENTRY] = {[1] = CHECK_IS_TEXT, [2] = {CHECK_ONE, CHECK_VALUE}},
    [CHECK_VALUE] = {[1] = CHECK_IS_VARINT,
                     [2] = {CHECK_FIXED64, 0},
                     [3] = CHECK_IS_TEXT,
                     [4] = CHECK_IS_VARINT,
                     [5] = {CHECK_ONE, CHECK_STRUCT},
                     [6] = {CHECK_ONE, CHECK_LIST}},
    [CHECK_LIST] = {[1] = {CHECK_MANY, CHECK_VALUE}},
    [CHECK_ANY_ENTRY] = {[1] = CHECK_IS_TEXT, [2] = {CHECK_ONE, CHECK_ANY}},
    [CHECK_ANY] = {[1] = CHECK_IS_TEXT, [2] = {CHECK_OCTETS, 0}},
    [CHECK_TLS] = {[1] = CHECK_IS_TEXT},
};

#endif
