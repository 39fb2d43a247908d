/* check_response.h: the parts of Envoy's CheckResponse, written where they are to lie: sizes first, then octets.
 *
 * Source: protobuf.dev, "Encoding"; Envoy API v3, external_auth.proto, base.proto (HeaderValueOption).
 */
#ifndef RJ_CHECK_RESPONSE_H
#define RJ_CHECK_RESPONSE_H

#include "span.h"

#include <stddef.h>
#include <stdint.h>

/* Bytes of a length-delimited field, whose number is below 16, around so many bytes. */
size_t rj_check_field_bytes(size_t len);

/* Write tag and length of such a field; returns where its value goes. */
uint8_t *rj_check_field_begin(uint8_t *out, unsigned number, size_t len);

/* Write octets; returns where the next ones go. */
uint8_t *rj_check_octets_write(uint8_t *out, rj_span octets);

/* Write such a field; returns where the next one goes. */
uint8_t *rj_check_field_write(uint8_t *out, unsigned number, rj_span value);

/* Bytes of a HeaderValueOption that overwrites: append is false, and sent as such. */
size_t rj_check_option_bytes(rj_span name, rj_span value);

/* Write a field of a HeaderValueOption; returns where the next one goes.
 * In: number  of the field, below 16; rj_check_field_bytes(rj_check_option_bytes()) bytes are written. */
uint8_t *rj_check_option_write(uint8_t *out, unsigned number, rj_span name, rj_span value);

/* Bytes of a message of one number from 0 on under field 1, which is left out where it is 0. */
size_t rj_check_number_bytes(uint32_t value);

/* Write such a message as a field; returns where the next one goes. */
uint8_t *rj_check_number_write(uint8_t *out, unsigned number, uint32_t value);

#endif
