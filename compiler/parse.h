/* Tokens, sizes and expressions of the graph's text; read.c stands on it. */
#ifndef RWKVC_PARSE_H
#define RWKVC_PARSE_H

#include "graph.h"

typedef enum TokKind {
    TOK_END,
    TOK_LINE,
    TOK_WORD,
    TOK_INT,
    TOK_REAL,
    TOK_STRING,
    TOK_SIGN
} TokKind;

typedef struct Tok {
    TokKind kind;
    const char *text; /* WORD, STRING (unquoted), SIGN ("//", "->", "[" ...): interned */
    uint64_t i;       /* INT */
    double num;       /* REAL */
} Tok;

typedef struct Parser {
    Arena *arena; /* of the result */
    Graph *g;
    const char *at, *end;
    uint32_t line;
    Tok tok;           /* the token at hand */
    const char *error; /* the first one; from then on the token at hand is TOK_END */
    uint32_t nest;     /* recursions of the parser itself */
    /* expressions */
    bool fold; /* through the builders; else exactly as written */
    const char *const *names;
    const ExprId *named;
    uint32_t n_names;
    Value *values;     /* by number in the text */
    uint32_t n_values; /* numbers are below it */
    VEC(ExprId) lets;
    VEC(uint32_t) depth; /* by ExprId */
} Parser;

void parser_begin(Parser *p, Graph *g, const char *text, size_t n);
void parser_fail(Parser *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void parser_next(Parser *p);
bool parser_is(const Parser *p, const char *word_or_sign); /* not for strings */
bool parser_take(Parser *p, const char *word_or_sign);     /* is, and goes on */
void parser_expect(Parser *p, const char *word_or_sign);
const char *parser_string(Parser *p);            /* a quoted one; "" after an error */
uint64_t parser_count(Parser *p, uint64_t most); /* an int in 0..most */
int64_t parser_signed(Parser *p);
double parser_real(Parser *p); /* int or real, with its sign */
void parser_line_end(Parser *p);

Size parser_size(Parser *p);   /* 0 after an error */
ExprId parser_expr(Parser *p); /* with `let`; a literal 0 after an error */
Value parser_value(Parser *p); /* %7; 0 after an error */

#endif
