/* Diagnostics: errors, warnings, notes and help with a place in a user's text. */
#ifndef RWKVC_DIAG_H
#define RWKVC_DIAG_H

#include "base.h"

typedef enum ErrorCode {
    E_NONE = 0,
#define ERR(code, level, title, text) E##code = 1##code - 10000,
#include "errors.def"
#undef ERR
} ErrorCode;

typedef enum DiagLevel { DIAG_ERROR, DIAG_WARNING } DiagLevel;

typedef struct Diag Diag;

/* Keeps at most `limit` errors (0 = 20); diag_full says so. Nothing is printed before diag_print. */
Diag *diag_new(Arena *a, uint32_t limit);

/* Registers a source text for caret lines; returns its file number (from 1). Both are kept by
 * reference and must live as long as d. `name` is what is printed before the line number. */
uint32_t diag_source(Diag *d, const char *name, const char *text, size_t n);
const char *diag_file_name(const Diag *d, uint32_t file);

/* A new message; notes and help added afterwards belong to it. fmt without a final newline.
 * The level comes from errors.def. */
void diag_report(Diag *d, ErrorCode code, Loc at, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void diag_note(Diag *d, Loc at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void diag_help(Diag *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Speculative checking: what was reported after a mark can be taken back. */
uint32_t diag_mark(const Diag *d);
void diag_rewind(Diag *d, uint32_t mark);

uint32_t diag_errors(const Diag *d);   /* how many errors so far */
uint32_t diag_warnings(const Diag *d);
bool diag_full(const Diag *d);

typedef enum DiagStyle { DIAG_PLAIN, DIAG_COLOUR, DIAG_JSON } DiagStyle;
/* Prints in the order of places reported, as design.md's section 10 of style shows; JSON is one array. */
void diag_print(const Diag *d, FILE *f, DiagStyle style);

/* "E0601" or "0601" or "601" -> the explanation, or false. */
bool diag_explain(const char *code, FILE *f);
void diag_list(FILE *f); /* all codes, a line each */

#endif
