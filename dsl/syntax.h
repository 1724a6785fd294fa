/* What the files of the parser share: words, the state of one parse, makers of nodes.
 *
 * text --scan.l--> words --layout.c--> words without needless line ends, brackets in pairs
 *      --parse.y--> tree (nodes made by build.c; mistakes put into words by mistake.c) */
#ifndef RWKVC_SYNTAX_H
#define RWKVC_SYNTAX_H

#include "ast.h"

enum {
    MAX_TEXT = 16 << 20,   /* bytes of one text                        */
    MAX_TOKENS = 2 << 20,  /* words of one text                        */
    MAX_NESTING = 256,     /* brackets and blocks inside one another   */
    MAX_HEIGHT = 1000,     /* of an expression, counted in operators   */
};

typedef struct Token {
    int kind;          /* of parse.y; single characters stand for themselves     */
    bool first;        /* the first on its line                                  */
    bool made_up;      /* put there to mend what was reported already            */
    bool is_int;
    uint32_t depth;    /* brackets open before it                                */
    uint32_t at;       /* where it starts in the text                            */
    Loc loc;
    union {
        const char *name; /* names, keywords, pieces of paths                    */
        double num;
    };
} Token;
typedef VEC(Token) Tokens;

typedef struct Parse {
    Arena *arena;
    Names *names;
    Diag *diag;
    uint32_t file;
    const char *text;
    size_t n;
    Tokens tokens;
    uint32_t next;      /* the word the grammar gets next                        */
    uint32_t statement; /* the first word of the statement it is in              */
    uint32_t wrong;     /* the word that was wrong last                          */
    uint32_t missing_block; /* made-up braces still to be given: 2, 1, 0         */
    uint32_t stuck;     /* how often it was the same: guards against standing still */
    bool too_high;      /* an expression was too high; said once                 */
    Token brace;        /* room for a made-up brace                              */
    File *out;
} Parse;

/* scan.l: all words of the text, ends of lines included, an end word last. */
void scan_text(Parse *p);
/* layout.c: drops line ends that end no statement, pairs brackets; false when nested too deeply. */
bool layout(Parse *p);
/* parse.y, by bison. */
int grammar_parse(Parse *p);
/* parse.c: the next word for the grammar. */
const Token *parse_next(Parse *p);
/* Sets the place where parsing goes on after a mistake in the word given last. */
void parse_recover(Parse *p);
/* After a recovery: true when it led nowhere. */
bool parse_stuck(const Parse *p);

/* What may follow at a place of the grammar, as a set of bits. */
typedef enum Want {
    W_EXPR = 1 << 0,     /* an expression              */
    W_NAME = 1 << 1,
    W_NUM = 1 << 2,      /* a number, not any expression */
    W_OP = 1 << 3,       /* an operator                */
    W_COMPARE = 1 << 4,  /* a comparison               */
    W_ASSIGN = 1 << 5,   /* =                          */
    W_CHANGE = 1 << 6,   /* += -= *=                   */
    W_TILDE = 1 << 7,
    W_COMMA = 1 << 8,
    W_SEMI = 1 << 9,     /* ; inside brackets          */
    W_LPAREN = 1 << 10,
    W_RPAREN = 1 << 11,
    W_LBRACKET = 1 << 12,
    W_RBRACKET = 1 << 13,
    W_COLON = 1 << 14,
    W_ARROW = 1 << 15,
    W_BLOCK = 1 << 16,   /* {                          */
    W_CLOSE = 1 << 17,   /* }                          */
    W_END = 1 << 18,     /* the end of the statement   */
    W_STATEMENT = 1 << 19,
    W_DECL = 1 << 20,
    W_PATH = 1 << 21,
    W_PATTERN = 1 << 22,
    W_IN = 1 << 23,
    W_SPLICE = 1 << 24,  /* } of a path                */
    W_ELSE = 1 << 25,
    W_AS = 1 << 26,
    W_ALONG = 1 << 27,
} Want;

/* mistake.c: says what is wrong with word p->wrong, where `want` was possible. Called after
 * parse_recover. */
void mistake(Parse *p, unsigned want);
/* "a product is meant?": two values stand side by side, the second at loc. */
void mistake_no_operator(Parse *p, Loc loc, const char *name, const Ast *before);
bool is_keyword(int kind);

/* ---- build.c: nodes -------------------------------------------------------------------------- */

typedef VEC(Ast *) AstList;
typedef VEC(Sub) Subs;
typedef VEC(Word) Words;
typedef VEC(Opt) Opts;
typedef VEC(Attr) Attrs;
typedef VEC(PathPart) PathParts;
typedef VEC(ParamDecl) ParamDecls;
typedef VEC(AxisDecl) AxisDecls;

/* Arrays of the tree have types of their own; their parts are the same. */
#define TAKE(to, from)                                                                            \
    ((to).data = (from).data, (to).n = (from).n, (to).cap = (from).cap)

Ast *ast_number(Parse *p, Loc loc, const Token *t);
Ast *ast_name(Parse *p, Loc loc, const char *name);
Ast *ast_unary(Parse *p, Loc loc, AstOp op, Ast *a);
Ast *ast_binary(Parse *p, Loc loc, AstOp op, Ast *a, Ast *b);
Ast *ast_reduce(Parse *p, Loc loc, AstRed red, Binders binders, Ast *body);
Ast *ast_call(Parse *p, Loc loc, const char *callee, Args args, Args opts);
Ast *ast_index(Parse *p, Loc loc, Ast *base, Subs subs);

/* Suffixes of a call; a second one of a kind is an error. */
void call_along(Parse *p, Loc at, Ast *call, bool reverse, Ast *size);
void call_where(Parse *p, Loc at, Ast *call, Ast *size);
void call_restart(Parse *p, Loc at, Ast *call, Ast *size);
void call_as(Parse *p, Loc at, Ast *call, Path *path);

Path *path_new(Parse *p, Loc loc, PathParts parts);
TypeRef type_named(Parse *p, Loc loc, const char *name, Ast *index);
Stmt *stmt_new(Parse *p, StmtKind kind, Loc loc);
Decl *decl_new(Parse *p, DeclKind kind, Loc loc, const char *name);

/* Checks of what the grammar leaves open. */
void params_check(Parse *p, ParamDecl *d);
void params_merge(Parse *p, ParamDecl *d, const Attrs *group);
void attrs_check(Parse *p, const Attrs *attrs);
void state_check(Parse *p, const Tensor *t);
Args after_of(Parse *p, const Ast *value, const Attrs *attrs);
bool call_check(Parse *p, const Ast *e, const char *why);
int64_t axis_multiple(Parse *p, const Token *t);

#endif
