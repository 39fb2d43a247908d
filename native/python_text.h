/* python_text.h: base64url and the JSON scan on Python's own bytes.
 *
 * Refusing a token costs a few of these calls and little else, and an attacker chooses how many tokens are
 * refused: cffi's conversions around them would cost more than their work.
 */
#ifndef RJ_PYTHON_TEXT_H
#define RJ_PYTHON_TEXT_H

/* Put the functions `b64url_decode` and `json_check` into the compiled module; called once, at import.
 * Returns 1, or 0 with no exception left where it could not be done. Takes the GIL itself. */
/* rj-cdef-begin */
int rj_python_text_install(void);
/* rj-cdef-end */

#endif
