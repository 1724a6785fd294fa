/* The syntax tree: what the parser makes of a text, nothing checked yet. */
#ifndef RWKVC_AST_H
#define RWKVC_AST_H

#include "../compiler/base.h"
#include "../compiler/diag.h"

typedef struct Ast Ast; /* expression */
typedef struct Stmt Stmt;
typedef struct Decl Decl;

typedef enum AstKind {
    A_NUM,   /* number: num; is_int when written without point or exponent */
    A_NAME,  /* name                                                       */
    A_UNARY, /* op a          op: "-" "not"                                 */
    A_BINARY, /* a op b        op: "+" "-" "*" "/" "//" "%" "@" "^" "==" "!=" "<" "<=" ">" ">=" "and" "or" */
    A_REDUCE, /* red[binders] a      red: "sum" "mean" "prod" "max" "min" "argmax" */
    A_CALL,   /* name(args; opts) and its suffixes                           */
    A_INDEX,  /* a[subs]       each sub with an optional else                */
} AstKind;

typedef enum AstOp {
    OP_NEG,
    OP_NOT,
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_IDIV,
    OP_MOD,
    OP_MATMUL,
    OP_POW,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_AND,
    OP_OR,
    OP_COUNT
} AstOp;
extern const char *const ast_op_name[OP_COUNT];

typedef enum AstRed { AR_SUM, AR_MEAN, AR_PROD, AR_MAX, AR_MIN, AR_ARGMAX, AR_COUNT } AstRed;
extern const char *const ast_red_name[AR_COUNT];

/* i  or  i:size */
typedef struct Binder {
    const char *name;
    Ast *size; /* NULL: from the tensors it subscripts */
    Loc loc;
} Binder;
typedef VEC(Binder) Binders;

/* A path after `as`: literal pieces and {expr} splices in order. */
typedef struct PathPart {
    const char *text; /* literal, or NULL */
    Ast *splice;      /* or this          */
} PathPart;
typedef struct Path {
    VEC(PathPart) parts;
    Loc loc;
} Path;

typedef struct Arg {
    const char *name; /* key of name = value, or NULL */
    Ast *value;
    Loc loc;
} Arg;
typedef VEC(Arg) Args;

typedef struct Sub { /* one subscript; an else, at the last only, covers them all */
    Ast *value, *otherwise;
    Loc loc;
} Sub;

struct Ast {
    AstKind kind;
    uint32_t height; /* of the tree below: 1 for a leaf; the parser bounds it at 1000 */
    Loc loc;         /* of the operator, the name, the number: where a caret should stand */
    union {
        struct {
            double num;
            bool is_int;
        };
        const char *name;
        struct {
            AstOp op;
            Ast *a, *b;
        };
        struct {
            AstRed red;
            Binders binders;
            Ast *body;
        };
        struct {
            const char *callee;
            Args args;  /* before ';' (never named)                                   */
            Args opts;  /* after ';' : compile-time arguments; name NULL = positional, a
                                   bare NAME is also `NAME = NAME`: the checker decides       */
            Ast *along; /* size, or NULL */
            bool reverse;
            Ast *where, *restart;
            Path *as; /* or NULL */
        } call;
        struct {
            Ast *base;
            VEC(Sub) subs;
        } index;
    };
};

typedef struct Dims {
    bool given; /* brackets were written (x[] is given with n = 0)                 */
    VEC(Binder)
    axes; /* name NULL: only a size; name without size never occurs here: a
                                bare NAME is a size expression                                   */
} Dims;

typedef enum TypeKind { TY_NONE, TY_F32, TY_BF16, TY_F16, TY_INT, TY_INDEX } TypeKind;
typedef struct TypeRef {
    TypeKind kind;
    Ast *index; /* TY_INDEX: index(e) */
    Loc loc;
} TypeRef;

/* A parameter of a signature, a result, a state. */
typedef struct Tensor {
    const char *name;
    Dims dims;
    TypeRef type;
    Ast *value; /* default or initial value, or NULL */
    Loc loc;
} Tensor;
typedef VEC(Tensor) Tensors;

typedef struct Opt { /* compile-time parameter of a signature */
    const char *name;
    Ast *value; /* default or NULL */
    Loc loc;
} Opt;

typedef struct Sig {
    Tensors tensors;
    VEC(Opt) opts;
    Loc loc;
} Sig;

typedef struct Attr {
    const char *name;  /* lr decay frozen stored */
    VEC(Ast *) values; /* lr 2, decay [x], stored [1,1,D] */
    Loc loc;
} Attr;

typedef struct ParamDecl {
    const char *name;
    Dims dims;
    TypeRef type;
    Ast *formula; /* = e   */
    Ast *draw;    /* ~ call (an A_CALL) */
    VEC(Attr) attrs;
    Loc loc;
} ParamDecl;

typedef enum StmtKind {
    S_PARAMS, /* param or params { }: decls, each with its own attributes merged in          */
    S_STATE,  /* state: tensors with initial values                                          */
    S_ASSIGN, /* name [binders] op e                                                         */
    S_MULTI,  /* (a, b) = call                                                               */
    S_FOR,
    S_IF,
    S_FN,
    S_METRIC,
    S_ONLY,
    S_FREEZE
} StmtKind;

typedef VEC(Stmt *) Stmts;

typedef struct Word {
    const char *name;
    Loc loc;
} Word;

struct Stmt {
    StmtKind kind;
    Loc loc;
    union {
        VEC(ParamDecl) params;
        Tensors states;
        struct {
            const char *name;
            bool has_binders;
            Binders binders;
            int op; /* '=' '+' '-' '*' */
            Ast *value;
            Args after; /* update = adamw() clip 1: attributes after a call: {clip, 1} */
        } assign;
        struct {
            VEC(Word) targets;
            Ast *value;
        } multi;
        struct {
            const char *var;
            Ast *count;
            Path *as;
            Stmts body;
        } loop;
        struct {
            Ast *cond;
            Stmts then, otherwise;
        } branch; /* else if: otherwise holds one S_IF */
        Decl *fn;
        struct {
            const char *name;
            Ast *value;
        } metric;
        VEC(Word) patterns;
    };
};

typedef enum DeclKind { D_USE, D_CONST, D_AXIS, D_FN, D_CELL, D_MODEL, D_TRAIN } DeclKind;

typedef struct AxisDecl {
    const char *name;
    int64_t multiple;
    Loc loc;
} AxisDecl;

struct Decl {
    DeclKind kind;
    Loc loc; /* of the name */
    const char *name;
    Sig sig;
    bool has_binders; /* fn f(x)[i,j] = e */
    Binders binders;
    Ast *expr;         /* fn ... = e */
    Tensors outs;      /* -> outs */
    const char *along; /* model ... along T */
    Path *as;          /* train NAME as PATH */
    Stmts body;
    bool has_body;
    /* D_USE: one entry a name, with the constants replaced */
    Args uses; /* value NULL; name = file; see use_args */
    VEC(Args) use_args;
    /* D_CONST: name = e list in `consts`; D_AXIS: names with multiples */
    Args consts;
    VEC(AxisDecl) axes;
};

typedef struct File {
    uint32_t number; /* in the diagnostics */
    const char *name;
    VEC(Decl *) decls;
} File;

/* Parses one text (registered as diag file `number`). Syntax errors go to d; returns what could be
 * understood, never NULL. Depth of nesting is bounded (256): deeper is an error, not a crash. */
File *parse_text(Arena *a, Names *names, Diag *d, uint32_t number, const char *name,
                 const char *text, size_t n);

/* --emit=ast: one S-expression-like line a construct, indented; stable, for tests. */
void ast_print(const File *f, Text *out);

#endif
