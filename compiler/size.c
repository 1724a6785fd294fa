/* Sizes as formulas (size.h): interned Laurent polynomials with rational coefficients.
 *
 * A polynomial is a sorted list of terms; a term is a fraction times a sorted list of atoms with
 * exponents. Atoms are numbered in the order they are first met, which makes the form canonical. */
#include "size_impl.h"

#include <stdlib.h>
#include <string.h>

Sizes *sizes_new(Arena *a) {
    Sizes *s = NEW(a, Sizes);
    s->arena = a;
    (void)PUSH(a, &s->sizes);
    s->table_cap = 256;
    s->table = NEWN(a, uint32_t, s->table_cap);
    return s;
}

/* Work polynomials are taken and given back like a stack. */
Poly *poly_take(Sizes *s) {
    static const uint32_t deepest = sizeof((Sizes *)0)->pool / sizeof((Sizes *)0)->pool[0];
    if (s->depth >= deepest) return NULL;
    if (!s->pool[s->depth]) s->pool[s->depth] = NEW(s->arena, Poly);
    Poly *p = s->pool[s->depth++];
    p->n = 0;
    p->bad = false;
    return p;
}

void poly_give(Sizes *s, uint32_t k) { s->depth -= k; }

/* ---- terms --------------------------------------------------------------------------------- */

bool fraction(__int128 num, __int128 den, int64_t *n, int64_t *d) {
    if (den < 0) num = -num, den = -den;
    __int128 a = num < 0 ? -num : num, b = den;
    while (b) {
        __int128 r = a % b;
        a = b;
        b = r;
    }
    if (a > 1) num /= a, den /= a;
    if (num > LIMIT || num < -LIMIT || den > LIMIT) return false;
    *n = (int64_t)num;
    *d = (int64_t)den;
    return true;
}

/* Order of monomials; the fractions do not take part. */
static int term_compare(const Term *a, const Term *b) {
    for (uint32_t i = 0; i < a->n && i < b->n; i++) {
        if (a->f[i].atom != b->f[i].atom) return a->f[i].atom < b->f[i].atom ? -1 : 1;
        if (a->f[i].exp != b->f[i].exp) return a->f[i].exp > b->f[i].exp ? -1 : 1;
    }
    return a->n == b->n ? 0 : a->n > b->n ? -1 : 1;
}

static bool term_mul(const Term *a, const Term *b, Term *out) {
    Term r;
    memset(&r, 0, sizeof r);
    if (!fraction((__int128)a->num * b->num, (__int128)a->den * b->den, &r.num, &r.den))
        return false;
    uint32_t i = 0, j = 0;
    while (i < a->n || j < b->n) {
        Factor f;
        if (j >= b->n || (i < a->n && a->f[i].atom < b->f[j].atom))
            f = a->f[i++];
        else if (i >= a->n || b->f[j].atom < a->f[i].atom)
            f = b->f[j++];
        else {
            f = a->f[i++];
            f.exp += b->f[j++].exp;
        }
        if (f.exp == 0) continue;
        if (r.n == MAX_FACTORS || abs(f.exp) > MAX_EXP) return false;
        r.f[r.n++] = f;
    }
    *out = r;
    return true;
}

static bool term_inverse(const Term *a, Term *out) {
    if (a->num == 0) return false;
    *out = *a;
    out->num = a->num < 0 ? -a->den : a->den;
    out->den = a->num < 0 ? -a->num : a->num;
    for (uint32_t i = 0; i < out->n; i++) out->f[i].exp = -out->f[i].exp;
    return true;
}

/* ---- polynomials --------------------------------------------------------------------------- */

void poly_add_term(Poly *p, const Term *t) {
    if (t->num == 0) return;
    uint32_t i = 0;
    while (i < p->n && term_compare(&p->t[i], t) < 0) i++;
    if (i < p->n && term_compare(&p->t[i], t) == 0) {
        Term *u = &p->t[i];
        __int128 num = (__int128)u->num * t->den + (__int128)t->num * u->den;
        if (!fraction(num, (__int128)u->den * t->den, &u->num, &u->den)) p->bad = true;
        if (u->num == 0) {
            memmove(u, u + 1, sizeof(Term) * (p->n - i - 1));
            p->n--;
        }
        return;
    }
    if (p->n == MAX_TERMS) {
        p->bad = true;
        return;
    }
    memmove(&p->t[i + 1], &p->t[i], sizeof(Term) * (p->n - i));
    p->t[i] = *t;
    p->n++;
}

static void poly_add_size(Sizes *s, Poly *p, Size a, int64_t sign) {
    const Entry *e = &s->sizes.data[a];
    for (uint32_t i = 0; i < e->n; i++) {
        Term t = e->t[i];
        t.num *= sign;
        poly_add_term(p, &t);
    }
}

void poly_add_product(Poly *p, const Term *a, uint32_t na, const Term *b, uint32_t nb) {
    for (uint32_t i = 0; i < na; i++)
        for (uint32_t j = 0; j < nb; j++) {
            Term t;
            if (!term_mul(&a[i], &b[j], &t))
                p->bad = true;
            else
                poly_add_term(p, &t);
        }
}

static uint64_t term_hash(uint64_t h, const Term *t) {
    h = hash_mix(hash_mix(hash_mix(h, (uint64_t)t->num), (uint64_t)t->den), t->n);
    for (uint32_t i = 0; i < t->n; i++)
        h = hash_mix(h, ((uint64_t)t->f[i].atom << 32) ^ (uint32_t)t->f[i].exp);
    return h;
}

static bool same_terms(const Entry *e, const Poly *p) {
    if (e->n != p->n) return false;
    for (uint32_t i = 0; i < p->n; i++)
        if (e->t[i].num != p->t[i].num || e->t[i].den != p->t[i].den ||
            term_compare(&e->t[i], &p->t[i]))
            return false;
    return true;
}

static void table_double(Sizes *s) {
    uint32_t cap = s->table_cap * 2;
    uint32_t *table = NEWN(s->arena, uint32_t, cap);
    for (uint32_t i = 1; i < s->sizes.n; i++) {
        uint32_t at = (uint32_t)s->sizes.data[i].hash & (cap - 1);
        while (table[at]) at = (at + 1) & (cap - 1);
        table[at] = i;
    }
    s->table = table;
    s->table_cap = cap;
}

static Size intern(Sizes *s, const Poly *p) {
    if (p->bad) return 0;
    uint64_t h = p->n;
    for (uint32_t i = 0; i < p->n; i++) h = term_hash(h, &p->t[i]);
    if (s->sizes.n * 2 >= s->table_cap) table_double(s);
    uint32_t at = (uint32_t)h & (s->table_cap - 1);
    for (; s->table[at]; at = (at + 1) & (s->table_cap - 1)) {
        const Entry *e = &s->sizes.data[s->table[at]];
        if (e->hash == h && same_terms(e, p)) return s->table[at];
    }
    Entry *e = PUSH(s->arena, &s->sizes);
    e->n = p->n;
    e->t = arena_copy(s->arena, p->t, sizeof(Term) * p->n);
    e->hash = h;
    s->table[at] = s->sizes.n - 1;
    return s->sizes.n - 1;
}

/* ---- atoms --------------------------------------------------------------------------------- */

uint32_t atom_find(Sizes *s, AtomKind kind, const char *name, int64_t number, Size p, Size q) {
    for (uint32_t i = 0; i < s->atoms.n; i++) {
        const Atom *a = &s->atoms.data[i];
        if (a->kind != kind || a->p != p || a->q != q) continue;
        if (name ? strcmp(a->name, name) == 0 && (kind == ATOM_AXIS || a->number == number)
                 : a->number == number)
            return i;
    }
    Atom *a = PUSH(s->arena, &s->atoms);
    a->kind = kind;
    a->name = name ? arena_str(s->arena, name) : NULL;
    a->number = number;
    a->p = p;
    a->q = q;
    if (kind == ATOM_AXIS) {
        a->axis = s->axes.n;
        *PUSH(s->arena, &s->axes) = s->atoms.n - 1;
    }
    return s->atoms.n - 1;
}

static Term atom_term(uint32_t atom) {
    Term t;
    memset(&t, 0, sizeof t);
    t.num = t.den = 1;
    t.n = 1;
    t.f[0] = (Factor){atom, 1};
    return t;
}

Size atom_size(Sizes *s, uint32_t atom) {
    Poly *p = poly_take(s);
    if (!p) return 0;
    Term t = atom_term(atom);
    poly_add_term(p, &t);
    Size r = intern(s, p);
    poly_give(s, 1);
    return r;
}

Size size_num(Sizes *s, int64_t n) {
    Poly *p = poly_take(s);
    if (!p) return 0;
    Term t;
    memset(&t, 0, sizeof t);
    t.num = n;
    t.den = 1;
    if (n > LIMIT || n < -LIMIT) p->bad = true;
    poly_add_term(p, &t);
    Size r = intern(s, p);
    poly_give(s, 1);
    return r;
}

Size size_axis(Sizes *s, const char *name, int64_t multiple) {
    return atom_size(s, atom_find(s, ATOM_AXIS, name, multiple < 1 ? 1 : multiple, 0, 0));
}

Size size_const(Sizes *s, const char *name, int64_t value) {
    return atom_size(s, atom_find(s, ATOM_CONST, name, value, 0, 0));
}

/* ---- arithmetic ---------------------------------------------------------------------------- */

static Size add_signed(Sizes *s, Size a, Size b, int64_t sign) {
    if (!a || !b) return 0;
    Poly *p = poly_take(s);
    if (!p) return 0;
    poly_add_size(s, p, a, 1);
    poly_add_size(s, p, b, sign);
    Size r = intern(s, p);
    poly_give(s, 1);
    return r;
}

Size size_add(Sizes *s, Size a, Size b) { return add_signed(s, a, b, 1); }
Size size_sub(Sizes *s, Size a, Size b) { return add_signed(s, a, b, -1); }

Size size_mul(Sizes *s, Size a, Size b) {
    if (!a || !b) return 0;
    Poly *p = poly_take(s);
    if (!p) return 0;
    const Entry ea = s->sizes.data[a], eb = s->sizes.data[b];
    poly_add_product(p, ea.t, ea.n, eb.t, eb.n);
    Size r = intern(s, p);
    poly_give(s, 1);
    return r;
}

static int64_t floor_div(int64_t a, int64_t b) {
    int64_t q = a / b;
    return (a % b != 0 && (a < 0) != (b < 0)) ? q - 1 : q;
}

/* Is fraction * product of atoms a whole number whatever the axes are? */
static bool term_is_whole(Sizes *s, const Term *t) {
    __int128 num = t->num, den = t->den;
    for (uint32_t i = 0; i < t->n; i++) {
        const Atom *a = &s->atoms.data[t->f[i].atom];
        int64_t known = a->kind == ATOM_QUOTIENT ? 1 : a->number;
        if (a->kind == ATOM_QUOTIENT) {
            int64_t v;
            if (size_value(s, atom_size(s, t->f[i].atom), &v)) known = v;
        }
        bool fixed = a->kind == ATOM_CONST;
        if (t->f[i].exp < 0 && !fixed) return false;
        if (known == 0) return t->f[i].exp > 0;
        for (int32_t k = 0; k < abs(t->f[i].exp); k++) {
            if (t->f[i].exp > 0)
                num *= known;
            else
                den *= known;
            if (num > LIMIT || num < -LIMIT || den > LIMIT || den < -LIMIT) return false;
        }
    }
    return num % den == 0;
}

static Size quotient_atom(Sizes *s, Size p, Size q) {
    int64_t a, b;
    if (size_is_num(s, p, &a) && size_is_num(s, q, &b) && b) return size_num(s, floor_div(a, b));
    /* -q <= p < q needs no atom. */
    if (!size_has_axis(s, p, NULL) && !size_has_axis(s, q, NULL))
        return atom_size(s, atom_find(s, ATOM_QUOTIENT, NULL, 0, p, q));
    Size one = size_num(s, 1);
    if (size_nonneg(s, p) && size_nonneg(s, size_sub(s, size_sub(s, q, one), p)))
        return size_num(s, 0);
    if (size_nonneg(s, size_add(s, p, q)) && size_nonneg(s, size_sub(s, size_num(s, -1), p)))
        return size_num(s, -1);
    return atom_size(s, atom_find(s, ATOM_QUOTIENT, NULL, 0, p, q));
}

/* floor(a/b) = (terms that divide) + floor(rest/b). */
static Size divide_terms(Sizes *s, Size a, Size b) {
    const Entry eb = s->sizes.data[b];
    Term inv;
    if (eb.n != 1 || !term_inverse(&eb.t[0], &inv)) return quotient_atom(s, a, b);
    Poly *whole = poly_take(s), *rest = poly_take(s);
    if (!whole || !rest) return poly_give(s, whole != NULL), 0;
    const Entry ea = s->sizes.data[a];
    int64_t by, va, vb;
    bool exact = size_value(s, a, &va) && size_value(s, b, &vb) && vb && va % vb == 0;
    for (uint32_t i = 0; i < ea.n; i++) {
        Term q;
        if (!term_mul(&ea.t[i], &inv, &q))
            whole->bad = true;
        else if (exact || term_is_whole(s, &q))
            poly_add_term(whole, &q);
        else
            poly_add_term(rest, &ea.t[i]);
    }
    /* 2*Y + 7 over 4: the number's own quotient comes out, so that equal formulas look equal. */
    if (size_is_num(s, b, &by) && by > 1)
        for (uint32_t i = 0; i < rest->n; i++) {
            Term *t = &rest->t[i];
            if (t->n || t->den != 1) continue;
            Term q = *t, back = *t;
            q.num = floor_div(t->num, by);
            back.num = -q.num * by;
            poly_add_term(whole, &q);
            poly_add_term(rest, &back);
            break;
        }
    Size w = intern(s, whole), r = intern(s, rest);
    bool done = rest->n == 0;
    poly_give(s, 2);
    return done || !w || !r ? w : size_add(s, w, quotient_atom(s, r, b));
}

Size size_floordiv(Sizes *s, Size a, Size b) {
    int64_t n;
    if (!a || !b || (size_value(s, b, &n) && n == 0)) return 0;
    return divide_terms(s, a, b);
}

Size size_mod(Sizes *s, Size a, Size b) {
    return size_sub(s, a, size_mul(s, b, size_floordiv(s, a, b)));
}

/* ---- questions ----------------------------------------------------------------------------- */

bool size_is_num(Sizes *s, Size a, int64_t *n) {
    if (!a) return false;
    const Entry *e = &s->sizes.data[a];
    if (e->n == 0) return *n = 0, true;
    if (e->n > 1 || e->t[0].n || e->t[0].den != 1) return false;
    *n = e->t[0].num;
    return true;
}

typedef struct EvalArgs {
    const int64_t *axes; /* NULL: an axis has no number */
} EvalArgs;

static bool eval(Sizes *s, Size a, const EvalArgs *x, int64_t *out);

static bool atom_eval(Sizes *s, uint32_t atom, const EvalArgs *x, int64_t *out) {
    const Atom a = s->atoms.data[atom];
    int64_t p, q;
    switch (a.kind) {
    case ATOM_CONST: *out = a.number; return true;
    case ATOM_AXIS:
        if (!x->axes) return false;
        *out = x->axes[a.axis];
        return true;
    case ATOM_QUOTIENT:
        if (!eval(s, a.p, x, &p) || !eval(s, a.q, x, &q) || q == 0) return false;
        *out = floor_div(p, q);
        return true;
    default: return false;
    }
}

static bool eval(Sizes *s, Size a, const EvalArgs *x, int64_t *out) {
    if (!a) return false;
    const Entry e = s->sizes.data[a];
    int64_t num = 0, den = 1;
    for (uint32_t i = 0; i < e.n; i++) {
        int64_t tn = e.t[i].num, td = e.t[i].den;
        for (uint32_t k = 0; k < e.t[i].n; k++) {
            int64_t v;
            if (!atom_eval(s, e.t[i].f[k].atom, x, &v)) return false;
            int32_t exp = e.t[i].f[k].exp;
            if (v == 0 && exp < 0) return false;
            for (int32_t j = 0; j < abs(exp); j++)
                if (!fraction(exp > 0 ? (__int128)tn * v : tn, exp > 0 ? td : (__int128)td * v, &tn,
                              &td))
                    return false;
        }
        if (!fraction((__int128)num * td + (__int128)tn * den, (__int128)den * td, &num, &den))
            return false;
    }
    *out = num;
    return den == 1;
}

bool size_value(Sizes *s, Size a, int64_t *n) { return eval(s, a, &(EvalArgs){NULL}, n); }

bool size_eval(Sizes *s, Size a, const int64_t *axes, int64_t *out) {
    return eval(s, a, &(EvalArgs){axes}, out);
}

bool size_has_axis(Sizes *s, Size a, const char *axis) {
    if (!a) return false;
    const Entry e = s->sizes.data[a];
    for (uint32_t i = 0; i < e.n; i++)
        for (uint32_t k = 0; k < e.t[i].n; k++) {
            const Atom *at = &s->atoms.data[e.t[i].f[k].atom];
            if (at->kind == ATOM_AXIS && (!axis || strcmp(at->name, axis) == 0)) return true;
            if (at->kind == ATOM_QUOTIENT) {
                Size p = at->p, q = at->q;
                if (size_has_axis(s, p, axis) || size_has_axis(s, q, axis)) return true;
            }
        }
    return false;
}

/* ---- substitution -------------------------------------------------------------------------- */

typedef struct Subst {
    AtomKind kind;
    const char *axis; /* ATOM_AXIS: this one becomes `by` */
    Size by;
} Subst;

static Size substitute(Sizes *s, Size a, const Subst *x);

static Size atom_substitute(Sizes *s, uint32_t atom, const Subst *x) {
    const Atom a = s->atoms.data[atom];
    if (a.kind == ATOM_QUOTIENT)
        return size_floordiv(s, substitute(s, a.p, x), substitute(s, a.q, x));
    if (a.kind != x->kind) return atom_size(s, atom);
    if (a.kind == ATOM_CONST) return size_num(s, a.number);
    return strcmp(a.name, x->axis) == 0 ? x->by : atom_size(s, atom);
}

bool poly_times(Sizes *s, Poly *p, Size f, int32_t exp) {
    Poly *q = poly_take(s);
    if (!q || !f) return poly_give(s, q != NULL), false;
    const Entry e = s->sizes.data[f];
    Term inv;
    bool ok = true;
    for (int32_t k = 0; k < abs(exp) && ok; k++) {
        q->n = 0;
        q->bad = false;
        if (exp > 0)
            poly_add_product(q, p->t, p->n, e.t, e.n);
        else if (e.n == 1 && term_inverse(&e.t[0], &inv))
            poly_add_product(q, p->t, p->n, &inv, 1);
        else
            ok = false;
        if (ok) {
            p->n = q->n;
            p->bad = p->bad || q->bad;
            memcpy(p->t, q->t, sizeof(Term) * q->n);
        }
    }
    poly_give(s, 1);
    return ok;
}

static Size substitute(Sizes *s, Size a, const Subst *x) {
    if (!a) return 0;
    Poly *sum = poly_take(s), *term = poly_take(s);
    if (!sum || !term) return poly_give(s, sum != NULL), 0;
    const Entry e = s->sizes.data[a];
    bool ok = true;
    for (uint32_t i = 0; i < e.n && ok; i++) {
        Term unit = e.t[i];
        unit.n = 0;
        term->n = 0;
        term->bad = false;
        poly_add_term(term, &unit);
        for (uint32_t k = 0; k < e.t[i].n && ok; k++)
            ok = poly_times(s, term, atom_substitute(s, e.t[i].f[k].atom, x), e.t[i].f[k].exp);
        for (uint32_t k = 0; k < term->n; k++) poly_add_term(sum, &term->t[k]);
        sum->bad = sum->bad || term->bad;
    }
    Size r = ok ? intern(s, sum) : 0;
    poly_give(s, 2);
    return r;
}

/* Remembered: the quotients of a size ask for it over and over. */
Size size_ground(Sizes *s, Size a) {
    int64_t n;
    if (!a) return 0;
    Size known = s->sizes.data[a].ground;
    if (known) return known == NO_SIZE ? 0 : known;
    Size r = size_value(s, a, &n) ? size_num(s, n) : substitute(s, a, &(Subst){.kind = ATOM_CONST});
    s->sizes.data[a].ground = r ? r : NO_SIZE;
    if (r) s->sizes.data[r].ground = r;
    return r;
}

Size size_subst(Sizes *s, Size a, const char *axis, Size by) {
    return substitute(s, a, &(Subst){.kind = ATOM_AXIS, .axis = axis, .by = by});
}

bool size_linear_in(Sizes *s, Size a, const char *axis, Size *coef, Size *rest) {
    if (!a) return false;
    Poly *c = poly_take(s), *r = poly_take(s);
    if (!c || !r) return poly_give(s, c != NULL), false;
    const Entry e = s->sizes.data[a];
    bool ok = true;
    for (uint32_t i = 0; i < e.n; i++) {
        Term t = e.t[i];
        uint32_t hit = UINT32_MAX;
        for (uint32_t k = 0; k < t.n; k++) {
            const Atom *at = &s->atoms.data[t.f[k].atom];
            if (at->kind == ATOM_AXIS && strcmp(at->name, axis) == 0) hit = k;
            if (at->kind == ATOM_QUOTIENT && size_has_axis(s, atom_size(s, t.f[k].atom), axis))
                ok = false;
        }
        if (hit == UINT32_MAX) {
            poly_add_term(r, &t);
            continue;
        }
        if (t.f[hit].exp != 1) ok = false;
        memmove(&t.f[hit], &t.f[hit + 1], sizeof(Factor) * (t.n - hit - 1));
        t.n--;
        poly_add_term(c, &t);
    }
    *coef = intern(s, c);
    *rest = intern(s, r);
    poly_give(s, 2);
    return ok && *coef && *rest;
}

uint32_t size_axes(const Sizes *s) { return s->axes.n; }
const char *size_axis_name(const Sizes *s, uint32_t i) {
    return s->atoms.data[s->axes.data[i]].name;
}
int64_t size_axis_multiple(const Sizes *s, uint32_t i) {
    return s->atoms.data[s->axes.data[i]].number;
}

/* ---- terms for those who write them down ---------------------------------------------------- */

uint32_t size_terms(const Sizes *s, Size a) { return s->sizes.data[a].n; }

bool size_term(const Sizes *s, Size a, uint32_t i, SizeTerm *out) {
    const Term *t = &s->sizes.data[a].t[i];
    memset(out, 0, sizeof *out);
    out->num = t->num;
    out->den = t->den;
    out->n = t->n;
    for (uint32_t k = 0; k < t->n; k++) {
        const Atom *at = &s->atoms.data[t->f[k].atom];
        if (at->kind != ATOM_AXIS && at->kind != ATOM_QUOTIENT) return false;
        out->f[k] = (SizeFactor){at->kind == ATOM_QUOTIENT, at->axis, at->p, at->q, t->f[k].exp};
    }
    return true;
}

/* ---- text ---------------------------------------------------------------------------------- */

static void atom_print(Sizes *s, Text *t, uint32_t atom, int32_t exp) {
    const Atom a = s->atoms.data[atom];
    for (int32_t k = 0; k < exp; k++) {
        if (k) text_add(t, "*");
        if (a.kind == ATOM_QUOTIENT)
            text_printf(t, "((%s)//(%s))", size_str(s, a.p), size_str(s, a.q));
        else if (a.kind == ATOM_EXCESS)
            text_printf(t, "%s'", s->atoms.data[a.number].name);
        else
            text_add(t, a.name);
    }
}

static void term_print(Sizes *s, Text *t, const Term *x, bool first) {
    if (x->num < 0)
        text_add(t, first ? "-" : " - ");
    else if (!first)
        text_add(t, " + ");
    int64_t num = x->num < 0 ? -x->num : x->num;
    uint32_t above = 0, below = x->den != 1;
    for (uint32_t i = 0; i < x->n; i++) {
        if (x->f[i].exp > 0)
            above++;
        else
            below++;
    }
    bool any = false;
    if (num != 1 || !above) text_printf(t, "%lld", (long long)num), any = true;
    for (uint32_t i = 0; i < x->n; i++)
        if (x->f[i].exp > 0) {
            if (any) text_add(t, "*");
            atom_print(s, t, x->f[i].atom, x->f[i].exp);
            any = true;
        }
    if (!below) return;
    text_add(t, below > 1 ? "//(" : "//");
    any = false;
    if (x->den != 1) text_printf(t, "%lld", (long long)x->den), any = true;
    for (uint32_t i = 0; i < x->n; i++)
        if (x->f[i].exp < 0) {
            if (any) text_add(t, "*");
            atom_print(s, t, x->f[i].atom, -x->f[i].exp);
            any = true;
        }
    if (below > 1) text_add(t, ")");
}

const char *size_str(Sizes *s, Size a) {
    if (!a) return "?";
    if (s->sizes.data[a].text) return s->sizes.data[a].text;
    Text t = text_new(s->arena);
    const Entry e = s->sizes.data[a];
    if (e.n == 0) text_add(&t, "0");
    bool first = true;
    for (int pass = 0; pass < 2; pass++) /* positive terms first: "T - 1" */
        for (uint32_t i = 0; i < e.n; i++)
            if ((e.t[i].num < 0) == (pass == 1)) {
                term_print(s, &t, &e.t[i], first);
                first = false;
            }
    s->sizes.data[a].text = t.data;
    return t.data;
}
