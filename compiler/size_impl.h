/* Inside of sizes: terms, polynomials and atoms, shared by size.c and size_proof.c. */
#ifndef RWKVC_SIZE_IMPL_H
#define RWKVC_SIZE_IMPL_H

#include "size.h"

enum { MAX_FACTORS = SIZE_FACTORS, MAX_TERMS = 64, MAX_EXP = 16 };
#define LIMIT ((int64_t)1 << 53)
#define NO_SIZE UINT32_MAX

typedef enum AtomKind { ATOM_AXIS, ATOM_CONST, ATOM_QUOTIENT, ATOM_EXCESS } AtomKind;

typedef struct Atom {
    AtomKind kind;
    const char *name;
    int64_t number; /* AXIS: multiple; CONST: value; EXCESS: atom of the axis */
    Size p, q;      /* QUOTIENT: floor(p/q), not exact */
    uint32_t axis;  /* AXIS: rank among the axes */
} Atom;

typedef struct Factor {
    uint32_t atom;
    int32_t exp;
} Factor;

typedef struct Term {
    int64_t num, den; /* lowest terms, den > 0 */
    uint32_t n;
    Factor f[MAX_FACTORS];
} Term;

typedef struct Poly {
    uint32_t n;
    bool bad; /* overflow, too many terms */
    Term t[MAX_TERMS];
} Poly;

typedef struct Entry {
    uint32_t n;
    const Term *t;
    uint64_t hash;
    const char *text;
    Size ground;    /* what size_ground makes of it: 0 not asked, NO_SIZE none */
    uint8_t nonneg; /* 0 not asked, 1 proved, 2 not proved */
} Entry;

struct Sizes {
    Arena *arena;
    VEC(Atom) atoms;
    VEC(Entry) sizes; /* [0] unused */
    uint32_t *table, table_cap;
    VEC(uint32_t) axes;
    Poly *pool[24]; /* polynomials at work, by depth: too large for the stack many times over */
    uint32_t depth;
};

/* Work polynomials are taken and given back like a stack; NULL when they run out. */
Poly *poly_take(Sizes *s);
void poly_give(Sizes *s, uint32_t k);
bool fraction(__int128 num, __int128 den, int64_t *n, int64_t *d); /* lowest terms; false: too large */
void poly_add_term(Poly *p, const Term *t);
void poly_add_product(Poly *p, const Term *a, uint32_t na, const Term *b, uint32_t nb);
bool poly_times(Sizes *s, Poly *p, Size f, int32_t exp);
uint32_t atom_find(Sizes *s, AtomKind kind, const char *name, int64_t number, Size p, Size q);
Size atom_size(Sizes *s, uint32_t atom);

#endif
