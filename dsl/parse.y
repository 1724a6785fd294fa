/* The grammar: words to a tree. Requires: the words of layout(). Maintains: declarations understood
 * stand in p->out; a mistake is reported once, and parsing goes on at the next statement or block.
 * Cost: linear. docs/language.md has the same grammar for readers. */
%code requires {
#include "syntax.h"
}
%code top {
/* What bison makes is not written by our rules. */
#if defined __GNUC__
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wnull-dereference"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#pragma GCC diagnostic ignored "-Wfree-nonheap-object"
#endif
}
%code {
static int grammar_lex(GRAMMAR_STYPE *value, Loc *loc, Parse *p);
static void grammar_error(const Loc *at, Parse *p, const char *message);
static Loc span(Loc first, Loc last);

#define YYMAXDEPTH 8000
#define YYLLOC_DEFAULT(to, rhs, n)                                                                \
    ((to) = (n) ? span(YYRHSLOC(rhs, 1), YYRHSLOC(rhs, n))                                        \
                : span(YYRHSLOC(rhs, 0), YYRHSLOC(rhs, 0)))
/* After a mistake: the next word comes from where parse_recover has gone. */
#define RESUME                                                                                    \
    do {                                                                                          \
        if (parse_stuck(p)) YYABORT;                                                              \
        yyerrok;                                                                                  \
        yyclearin;                                                                                \
    } while (0)
}

%define api.pure full
%define api.prefix {grammar_}
%define api.location.type {Loc}
%define parse.error custom
%define parse.lac full
%locations
%parse-param {Parse *p}
%lex-param {Parse *p}

%union {
    const Token *token;
    Ast *e;
    AstRed red;
    int op;
    Args args;
    struct { Args args, opts; } call;
    Arg arg;
    Binders binders;
    Binder binder;
    Subs subs;
    Sub sub;
    AstList list;
    Dims dims;
    TypeRef type;
    Tensor tensor;
    Tensors tensors;
    Sig sig;
    Opts opts;
    Opt opt;
    Attr attr;
    Attrs attrs;
    ParamDecl param;
    ParamDecls params;
    PathParts parts;
    PathPart part;
    Path *path;
    Words words;
    AxisDecls axes;
    Stmt *stmt;
    Stmts stmts;
    Decl *decl;
}

%token END 0 NL SEMI BAD
%token <token> NAME NUM PATH_TEXT PATTERN
%token PATH_END SPLICE SPLICE_END
%token ARROW ADD_TO SUB_FROM MUL_BY
%token '=' '~' ',' ':' '(' ')' '[' ']' '{' '}'
/* reserved words, USE to ARGMAX */
%token USE CONST AXIS FN CELL MODEL TRAIN PARAM PARAMS STATE FOR IN IF ELSE NOT AND OR
%token ALONG REVERSE WHERE RESTART AS METRIC ONLY FREEZE
%token <token> SUM MEAN PROD MAX MIN ARGMAX

%left OR
%left AND
%precedence NOT
%nonassoc EQ NE '<' LE '>' GE
%left '+' '-'
%precedence RED
%left '*' '/' IDIV '%' '@'
%precedence UMINUS
%right '^'

%type <e> e prim call size count otherwise default splice
%type <red> red
%type <token> callee
%type <op> assign
%type <call> arguments
%type <args> args consts
%type <arg> arg const
%type <binders> binders left
%type <binder> binder dim
%type <subs> subs
%type <sub> sub
%type <list> list
%type <dims> dims dim_list
%type <type> type
%type <tensor> tensor out
%type <tensors> tensors outs out_list
%type <sig> sig
%type <opts> opts
%type <opt> opt
%type <attr> attr
%type <attrs> attrs
%type <param> pdecl
%type <params> pdecls
%type <parts> parts
%type <part> part
%type <path> path as
%type <words> names patterns
%type <axes> axes
%type <stmt> stmt if
%type <stmts> stmts block
%type <decl> fn uses

%%

file
    : %empty
    | decls
    ;

decls
    : decl
    | decls NL decl
    ;

/* ---- declarations ---------------------------------------------------------------------------- */

decl
    : USE uses { $2->loc = @1; *PUSH(p->arena, &p->out->decls) = $2; }
    | CONST consts {
          Decl *d = decl_new(p, D_CONST, @1, NULL);
          d->consts = $2;
          *PUSH(p->arena, &p->out->decls) = d;
      }
    | AXIS axes {
          Decl *d = decl_new(p, D_AXIS, @1, NULL);
          TAKE(d->axes, $2);
          *PUSH(p->arena, &p->out->decls) = d;
      }
    | fn { if ($1) *PUSH(p->arena, &p->out->decls) = $1; }
    | CELL NAME '(' sig ')' ARROW outs block {
          Decl *d = decl_new(p, D_CELL, @2, $2->name);
          d->sig = $4, d->outs = $7, d->body = $8, d->has_body = true;
          *PUSH(p->arena, &p->out->decls) = d;
      }
    | MODEL NAME '(' sig ')' ARROW outs block {
          Decl *d = decl_new(p, D_MODEL, @2, $2->name);
          d->sig = $4, d->outs = $7, d->body = $8, d->has_body = true;
          *PUSH(p->arena, &p->out->decls) = d;
      }
    | MODEL NAME '(' sig ')' ARROW outs ALONG NAME block {
          Decl *d = decl_new(p, D_MODEL, @2, $2->name);
          d->sig = $4, d->outs = $7, d->along = $9->name, d->body = $10, d->has_body = true;
          *PUSH(p->arena, &p->out->decls) = d;
      }
    | TRAIN NAME as '(' sig ')' block {
          Decl *d = decl_new(p, D_TRAIN, @2, $2->name);
          d->as = $3, d->sig = $5, d->body = $7, d->has_body = true;
          *PUSH(p->arena, &p->out->decls) = d;
      }
    | CELL error resume block
    | MODEL error resume block
    | TRAIN error resume block
    | error { RESUME; }
    ;

resume
    : %empty { RESUME; }
    ;

fn
    : FN NAME '(' sig ')' '=' e {
          $$ = decl_new(p, D_FN, @2, $2->name);
          $$->sig = $4, $$->expr = $7;
      }
    | FN NAME '(' sig ')' '[' binders ']' '=' e {
          $$ = decl_new(p, D_FN, @2, $2->name);
          $$->sig = $4, $$->has_binders = true, $$->binders = $7, $$->expr = $10;
      }
    | FN NAME '(' sig ')' ARROW outs block {
          $$ = decl_new(p, D_FN, @2, $2->name);
          $$->sig = $4, $$->outs = $7, $$->body = $8, $$->has_body = true;
      }
    | FN error resume block { $$ = NULL; }
    ;

uses
    : NAME {
          $$ = decl_new(p, D_USE, @1, NULL);
          *PUSH(p->arena, &$$->uses) = (Arg){$1->name, NULL, @1};
          PUSH(p->arena, &$$->use_args);
      }
    | NAME '(' consts ')' {
          $$ = decl_new(p, D_USE, @1, NULL);
          *PUSH(p->arena, &$$->uses) = (Arg){$1->name, NULL, @1};
          *PUSH(p->arena, &$$->use_args) = $3;
      }
    | uses ',' NAME {
          *PUSH(p->arena, &$1->uses) = (Arg){$3->name, NULL, @3};
          PUSH(p->arena, &$1->use_args);
          $$ = $1;
      }
    | uses ',' NAME '(' consts ')' {
          *PUSH(p->arena, &$1->uses) = (Arg){$3->name, NULL, @3};
          *PUSH(p->arena, &$1->use_args) = $5;
          $$ = $1;
      }
    ;

consts
    : const { $$ = (Args){0}; *PUSH(p->arena, &$$) = $1; }
    | consts ',' const { $$ = $1; *PUSH(p->arena, &$$) = $3; }
    ;

const
    : NAME '=' e { $$ = (Arg){$1->name, $3, @1}; }
    ;

axes
    : NAME { $$ = (AxisDecls){0}; *PUSH(p->arena, &$$) = (AxisDecl){$1->name, 1, @1}; }
    | NAME '%' NUM {
          $$ = (AxisDecls){0};
          *PUSH(p->arena, &$$) = (AxisDecl){$1->name, axis_multiple(p, $3), @1};
      }
    | axes ',' NAME { $$ = $1; *PUSH(p->arena, &$$) = (AxisDecl){$3->name, 1, @3}; }
    | axes ',' NAME '%' NUM {
          $$ = $1;
          *PUSH(p->arena, &$$) = (AxisDecl){$3->name, axis_multiple(p, $5), @3};
      }
    ;

/* ---- signatures ------------------------------------------------------------------------------ */

sig
    : %empty { $$ = (Sig){.loc = @$}; }
    | tensors { $$ = (Sig){.tensors = $1, .loc = @$}; }
    | SEMI opts { $$ = (Sig){.loc = @$}; TAKE($$.opts, $2); }
    | tensors SEMI opts { $$ = (Sig){.tensors = $1, .loc = @$}; TAKE($$.opts, $3); }
    ;

tensors
    : tensor { $$ = (Tensors){0}; *PUSH(p->arena, &$$) = $1; }
    | tensors ',' tensor { $$ = $1; *PUSH(p->arena, &$$) = $3; }
    ;

tensor
    : NAME dims type default { $$ = (Tensor){$1->name, $2, $3, $4, @1}; }
    ;

default
    : %empty { $$ = NULL; }
    | '=' e { $$ = $2; }
    ;

opts
    : opt { $$ = (Opts){0}; *PUSH(p->arena, &$$) = $1; }
    | opts ',' opt { $$ = $1; *PUSH(p->arena, &$$) = $3; }
    ;

opt
    : NAME default { $$ = (Opt){$1->name, $2, @1}; }
    ;

dims
    : %empty { $$ = (Dims){0}; }
    | '[' ']' { $$ = (Dims){.given = true}; }
    | '[' dim_list ']' { $$ = $2; }
    ;

dim_list
    : dim { $$ = (Dims){.given = true}; *PUSH(p->arena, &$$.axes) = $1; }
    | dim_list ',' dim { $$ = $1; *PUSH(p->arena, &$$.axes) = $3; }
    ;

dim
    : e { $$ = (Binder){NULL, $1, @1}; }
    | NAME ':' e { $$ = (Binder){$1->name, $3, @1}; }
    ;

type
    : %empty { $$ = (TypeRef){0}; }
    | ':' NAME { $$ = type_named(p, @2, $2->name, NULL); }
    | ':' NAME '(' e ')' { $$ = type_named(p, @2, $2->name, $4); }
    ;

outs
    : out { $$ = (Tensors){0}; *PUSH(p->arena, &$$) = $1; }
    | '(' out_list ')' { $$ = $2; }
    ;

out_list
    : out { $$ = (Tensors){0}; *PUSH(p->arena, &$$) = $1; }
    | out_list ',' out { $$ = $1; *PUSH(p->arena, &$$) = $3; }
    ;

out
    : NAME dims type { $$ = (Tensor){$1->name, $2, $3, NULL, @1}; }
    ;

/* ---- statements ------------------------------------------------------------------------------ */

block
    : '{' '}' { $$ = (Stmts){0}; }
    | '{' stmts '}' { $$ = $2; }
    ;

stmts
    : stmt { $$ = (Stmts){0}; if ($1) *PUSH(p->arena, &$$) = $1; }
    | stmts NL stmt { $$ = $1; if ($3) *PUSH(p->arena, &$$) = $3; }
    ;

stmt
    : PARAM pdecl {
          $$ = stmt_new(p, S_PARAMS, @1);
          if ($2.name) *PUSH(p->arena, &$$->params) = $2;
      }
    | PARAMS attrs '{' pdecls '}' {
          $$ = stmt_new(p, S_PARAMS, @1);
          attrs_check(p, &$2);
          for (uint32_t i = 0; i < $4.n; i++) params_merge(p, &$4.data[i], &$2);
          TAKE($$->params, $4);
      }
    | PARAMS error resume '{' pdecls '}' { $$ = NULL; }
    | STATE tensors {
          $$ = stmt_new(p, S_STATE, @1);
          for (uint32_t i = 0; i < $2.n; i++) state_check(p, &$2.data[i]);
          $$->states = $2;
      }
    | NAME left assign e attrs {
          $$ = stmt_new(p, S_ASSIGN, @1);
          $$->assign.name = $1->name;
          $$->assign.has_binders = $2.n > 0;
          $$->assign.binders = $2;
          $$->assign.op = $3;
          $$->assign.value = $4;
          $$->assign.after = after_of(p, $4, &$5);
      }
    | '(' names ')' '=' e {
          $$ = NULL;
          if (call_check(p, $5, "several names are defined together by a call")) {
              $$ = stmt_new(p, S_MULTI, @2);
              TAKE($$->multi.targets, $2);
              $$->multi.value = $5;
          }
      }
    | FOR NAME IN count as block {
          $$ = stmt_new(p, S_FOR, @1);
          $$->loop.var = $2->name;
          $$->loop.count = $4;
          $$->loop.as = $5;
          $$->loop.body = $6;
      }
    | FOR error resume block { $$ = NULL; }
    | if
    | fn {
          $$ = NULL;
          if ($1) {
              $$ = stmt_new(p, S_FN, @1);
              $$->fn = $1;
          }
      }
    | METRIC NAME '=' e {
          $$ = stmt_new(p, S_METRIC, @2);
          $$->metric.name = $2->name;
          $$->metric.value = $4;
      }
    | ONLY patterns { $$ = stmt_new(p, S_ONLY, @1); TAKE($$->patterns, $2); }
    | FREEZE patterns { $$ = stmt_new(p, S_FREEZE, @1); TAKE($$->patterns, $2); }
    | error { $$ = NULL; RESUME; }
    ;

if
    : IF e block {
          $$ = stmt_new(p, S_IF, @1);
          $$->branch.cond = $2, $$->branch.then = $3;
      }
    | IF e block ELSE block {
          $$ = stmt_new(p, S_IF, @1);
          $$->branch.cond = $2, $$->branch.then = $3, $$->branch.otherwise = $5;
      }
    | IF e block ELSE if {
          $$ = stmt_new(p, S_IF, @1);
          $$->branch.cond = $2, $$->branch.then = $3;
          if ($5) *PUSH(p->arena, &$$->branch.otherwise) = $5;
      }
    | IF error resume block { $$ = NULL; }
    | IF error resume block ELSE block { $$ = NULL; }
    | IF error resume block ELSE if { $$ = NULL; }
    ;

left
    : %empty { $$ = (Binders){0}; }
    | '[' binders ']' { $$ = $2; }
    ;

assign
    : '=' { $$ = '='; }
    | ADD_TO { $$ = '+'; }
    | SUB_FROM { $$ = '-'; }
    | MUL_BY { $$ = '*'; }
    ;

names
    : NAME { $$ = (Words){0}; *PUSH(p->arena, &$$) = (Word){$1->name, @1}; }
    | names ',' NAME { $$ = $1; *PUSH(p->arena, &$$) = (Word){$3->name, @3}; }
    ;

patterns
    : PATTERN { $$ = (Words){0}; *PUSH(p->arena, &$$) = (Word){$1->name, @1}; }
    | patterns PATTERN { $$ = $1; *PUSH(p->arena, &$$) = (Word){$2->name, @2}; }
    ;

count
    : NUM { $$ = ast_number(p, @1, $1); }
    | NAME { $$ = ast_name(p, @1, $1->name); }
    | '(' e ')' { $$ = $2; }
    ;

pdecls
    : %empty { $$ = (ParamDecls){0}; }
    | pdecl { $$ = (ParamDecls){0}; if ($1.name) *PUSH(p->arena, &$$) = $1; }
    | pdecls NL pdecl { $$ = $1; if ($3.name) *PUSH(p->arena, &$$) = $3; }
    ;

pdecl
    : NAME dims type '=' e attrs {
          $$ = (ParamDecl){.name = $1->name, .dims = $2, .type = $3, .formula = $5, .loc = @1};
          TAKE($$.attrs, $6);
          params_check(p, &$$);
      }
    | NAME dims type '~' e attrs {
          $$ = (ParamDecl){.name = $1->name, .dims = $2, .type = $3, .loc = @1};
          if (call_check(p, $5, "what follows '~' is a draw")) $$.draw = $5;
          else $$.formula = $5;
          TAKE($$.attrs, $6);
          params_check(p, &$$);
      }
    | NAME dims type attrs {
          $$ = (ParamDecl){.name = $1->name, .dims = $2, .type = $3, .loc = @1};
          TAKE($$.attrs, $4);
          params_check(p, &$$);
      }
    | error { $$ = (ParamDecl){0}; RESUME; }
    ;

attrs
    : %empty { $$ = (Attrs){0}; }
    | attrs attr { $$ = $1; *PUSH(p->arena, &$$) = $2; }
    ;

attr
    : NAME { $$ = (Attr){.name = $1->name, .loc = @1}; }
    | NAME NUM {
          $$ = (Attr){.name = $1->name, .loc = @1};
          *PUSH(p->arena, &$$.values) = ast_number(p, @2, $2);
      }
    | NAME '[' list ']' { $$ = (Attr){.name = $1->name, .loc = @1}; TAKE($$.values, $3); }
    ;

list
    : e { $$ = (AstList){0}; *PUSH(p->arena, &$$) = $1; }
    | list ',' e { $$ = $1; *PUSH(p->arena, &$$) = $3; }
    ;

/* ---- expressions ----------------------------------------------------------------------------- */

e
    : e OR e { $$ = ast_binary(p, @2, OP_OR, $1, $3); }
    | e AND e { $$ = ast_binary(p, @2, OP_AND, $1, $3); }
    | NOT e { $$ = ast_unary(p, @1, OP_NOT, $2); }
    | e EQ e { $$ = ast_binary(p, @2, OP_EQ, $1, $3); }
    | e NE e { $$ = ast_binary(p, @2, OP_NE, $1, $3); }
    | e '<' e { $$ = ast_binary(p, @2, OP_LT, $1, $3); }
    | e LE e { $$ = ast_binary(p, @2, OP_LE, $1, $3); }
    | e '>' e { $$ = ast_binary(p, @2, OP_GT, $1, $3); }
    | e GE e { $$ = ast_binary(p, @2, OP_GE, $1, $3); }
    | e '+' e { $$ = ast_binary(p, @2, OP_ADD, $1, $3); }
    | e '-' e { $$ = ast_binary(p, @2, OP_SUB, $1, $3); }
    | red '[' binders ']' e %prec RED { $$ = ast_reduce(p, @1, $1, $3, $5); }
    | e '*' e { $$ = ast_binary(p, @2, OP_MUL, $1, $3); }
    | e '/' e { $$ = ast_binary(p, @2, OP_DIV, $1, $3); }
    | e IDIV e { $$ = ast_binary(p, @2, OP_IDIV, $1, $3); }
    | e '%' e { $$ = ast_binary(p, @2, OP_MOD, $1, $3); }
    | e '@' e { $$ = ast_binary(p, @2, OP_MATMUL, $1, $3); }
    | '-' e %prec UMINUS { $$ = ast_unary(p, @1, OP_NEG, $2); }
    | e '^' e { $$ = ast_binary(p, @2, OP_POW, $1, $3); }
    | prim
    ;

red
    : SUM { $$ = AR_SUM; }
    | MEAN { $$ = AR_MEAN; }
    | PROD { $$ = AR_PROD; }
    | MAX { $$ = AR_MAX; }
    | MIN { $$ = AR_MIN; }
    | ARGMAX { $$ = AR_ARGMAX; }
    ;

prim
    : NUM { $$ = ast_number(p, @1, $1); }
    | NAME { $$ = ast_name(p, @1, $1->name); }
    | '(' e ')' { $$ = $2; }
    | call
    | prim '[' subs ']' { $$ = ast_index(p, @$, $1, $3); }
    ;

subs
    : sub { $$ = (Subs){0}; *PUSH(p->arena, &$$) = $1; }
    | subs ',' sub { $$ = $1; *PUSH(p->arena, &$$) = $3; }
    ;

sub
    : e otherwise { $$ = (Sub){$1, $2, @1}; }
    ;

otherwise
    : %empty { $$ = NULL; }
    | ELSE e { $$ = $2; }
    ;

call
    : callee '(' arguments ')' { $$ = ast_call(p, @1, $1->name, $3.args, $3.opts); }
    | call ALONG size { $$ = $1; call_along(p, @2, $1, false, $3); }
    | call ALONG REVERSE size { $$ = $1; call_along(p, @2, $1, true, $4); }
    | call WHERE size { $$ = $1; call_where(p, @2, $1, $3); }
    | call RESTART size { $$ = $1; call_restart(p, @2, $1, $3); }
    | call AS path { $$ = $1; call_as(p, @2, $1, $3); }
    ;

callee
    : NAME
    | MAX
    | MIN
    ;

size
    : NAME { $$ = ast_name(p, @1, $1->name); }
    | '(' e ')' { $$ = $2; }
    ;

arguments
    : %empty { $$.args = $$.opts = (Args){0}; }
    | args { $$.args = $1; $$.opts = (Args){0}; }
    | SEMI args { $$.args = (Args){0}; $$.opts = $2; }
    | args SEMI args { $$.args = $1; $$.opts = $3; }
    ;

args
    : arg { $$ = (Args){0}; *PUSH(p->arena, &$$) = $1; }
    | args ',' arg { $$ = $1; *PUSH(p->arena, &$$) = $3; }
    ;

arg
    : e { $$ = (Arg){NULL, $1, @1}; }
    | NAME '=' e { $$ = (Arg){$1->name, $3, @1}; }
    ;

binders
    : binder { $$ = (Binders){0}; *PUSH(p->arena, &$$) = $1; }
    | binders ',' binder { $$ = $1; *PUSH(p->arena, &$$) = $3; }
    ;

binder
    : NAME { $$ = (Binder){$1->name, NULL, @1}; }
    | NAME ':' e { $$ = (Binder){$1->name, $3, @1}; }
    ;

as
    : %empty { $$ = NULL; }
    | AS path { $$ = $2; }
    ;

path
    : parts PATH_END { $$ = path_new(p, @1, $1); }
    ;

parts
    : part { $$ = (PathParts){0}; *PUSH(p->arena, &$$) = $1; }
    | parts part { $$ = $1; *PUSH(p->arena, &$$) = $2; }
    ;

part
    : PATH_TEXT { $$ = (PathPart){$1->name, NULL}; }
    | splice { $$ = (PathPart){NULL, $1}; }
    ;

splice
    : SPLICE e SPLICE_END { $$ = $2; }
    ;

%%

static int grammar_lex(GRAMMAR_STYPE *value, Loc *loc, Parse *p) {
    const Token *t = parse_next(p);
    value->token = t;
    *loc = t->loc;
    return t->kind;
}

/* From the start of first to the end of last, or to the end of first's line. */
static Loc span(Loc first, Loc last) {
    if (first.line == last.line && last.col >= first.col)
        first.len = last.col + last.len - first.col;
    return first;
}

/* Only when the parser's stack is full. */
static void grammar_error(const Loc *at, Parse *p, const char *message) {
    (void)message;
    diag_report(p->diag, E0119, *at, "the text is nested too deeply here");
    diag_help(p->diag, "give parts of it names of their own");
}

static unsigned want_of(yysymbol_kind_t symbol) {
    static const struct { int kind; Want want; } table[] = {
        {NOT, W_EXPR}, {NAME, W_NAME}, {NUM, W_NUM}, {'*', W_OP}, {'<', W_COMPARE},
        {'=', W_ASSIGN}, {ADD_TO, W_CHANGE}, {'~', W_TILDE}, {',', W_COMMA}, {SEMI, W_SEMI},
        {'(', W_LPAREN}, {')', W_RPAREN}, {'[', W_LBRACKET}, {']', W_RBRACKET}, {':', W_COLON},
        {ARROW, W_ARROW}, {'{', W_BLOCK}, {'}', W_CLOSE}, {NL, W_END}, {FOR, W_STATEMENT},
        {CELL, W_DECL}, {PATH_TEXT, W_PATH}, {PATTERN, W_PATTERN}, {IN, W_IN},
        {SPLICE_END, W_SPLICE}, {ELSE, W_ELSE}, {AS, W_AS}, {ALONG, W_ALONG},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (YYTRANSLATE(table[i].kind) == symbol) return table[i].want;
    return 0;
}

static int yyreport_syntax_error(const yypcontext_t *at, Parse *p) {
    yysymbol_kind_t symbols[YYNTOKENS];
    int n = yypcontext_expected_tokens(at, symbols, YYNTOKENS);
    unsigned want = 0;
    for (int i = 0; i < n; i++) want |= want_of(symbols[i]);
    parse_recover(p);
    mistake(p, want);
    return 0;
}
