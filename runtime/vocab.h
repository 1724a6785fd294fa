/* Text to tokens and back. */
#ifndef RW_VOCAB_H
#define RW_VOCAB_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rw_vocab rw_vocab;

/* name:
 *   "bytes"        256 tokens, each the byte of its number
 *   "chars:TEXT"   each character of TEXT (a code point in UTF-8) is the token of its place
 *   a file         the World vocabulary, lines `NUMBER LITERAL BYTES` with a Python literal, or,
 *                  where the first line is none of these, a list of characters as above (line ends
 *                  at the end of the file do not count)
 * RW_IO; RW_BAD_FILE: a damaged line (which), two tokens of the same number or the same bytes, a
 * list that is not UTF-8 or names a character twice. */
rw_status rw_vocab_open(const char *name, rw_vocab **out, rw_message *m);
void rw_vocab_close(rw_vocab *v); /* v may be NULL */

size_t rw_vocab_count(const rw_vocab *v); /* the largest token and one more */
/* The bytes of a token, *n of them; NULL if there is no such token. */
const uint8_t *rw_vocab_piece(const rw_vocab *v, int64_t token, size_t *n);
/* Greedy: always the longest token that fits. tokens has room for `bytes` of them; *n = how many.
 * RW_NO_SUCH: no token begins as the text does at some place (said in the message). */
rw_status rw_vocab_encode(const rw_vocab *v, const void *text, size_t bytes, int32_t *tokens,
                          size_t *n, rw_message *m);

/* How many of the n bytes are whole characters, so that they can be shown: all but a character in
 * UTF-8 that may go on. Bytes that never become a character do not wait. */
size_t rw_utf8_whole(const void *text, size_t n);

#ifdef __cplusplus
}
#endif
#endif
