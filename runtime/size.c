/* Numbers and texts of sizes: sums of products of axes and floor quotients, exact. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

/* num/den in lowest terms; false if a part leaves 2^53. */
static bool reduce(__int128 num, __int128 den, int64_t *n, int64_t *d) {
    if (den < 0) {
        num = -num;
        den = -den;
    }
    __int128 a = num < 0 ? -num : num, b = den;
    while (b != 0) {
        __int128 r = a % b;
        a = b;
        b = r;
    }
    if (a > 1) {
        num /= a;
        den /= a;
    }
    const __int128 most = (__int128)1 << 53;
    if (num > most || num < -most || den > most) return false;
    *n = (int64_t)num;
    *d = (int64_t)den;
    return true;
}

static int64_t atom_value(const rw_program *p, int32_t atom, const int64_t *axes,
                          const int64_t *value) {
    if (atom >= 0) return axes != NULL && axes[atom] > 0 ? axes[atom] : SIZE_NONE;
    const quotient *q = &p->quotients[-1 - atom];
    int64_t a = value != NULL ? value[q->p] : SIZE_NONE,
            b = value != NULL ? value[q->q] : SIZE_NONE;
    if (a == SIZE_NONE || b == SIZE_NONE || b == 0) return SIZE_NONE;
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static bool term_value(const rw_program *p, const term *t, const int64_t *axes,
                       const int64_t *value, int64_t *num, int64_t *den) {
    *num = t->num;
    *den = t->den;
    for (uint32_t i = 0; i < t->n; i++) {
        int64_t v = atom_value(p, t->f[i].atom, axes, value);
        int32_t exp = t->f[i].exp;
        if (v == SIZE_NONE || (v == 0 && exp < 0)) return false;
        for (int32_t k = 0; k < abs(exp); k++)
            if (!reduce(exp > 0 ? (__int128)*num * v : *num, exp > 0 ? *den : (__int128)*den * v,
                        num, den))
                return false;
    }
    return true;
}

int64_t rw_size_eval(const rw_program *p, uint32_t number, const int64_t *axes,
                     const int64_t *value) {
    const size *s = &p->sizes[number];
    int64_t num = 0, den = 1;
    for (uint32_t i = 0; i < s->n; i++) {
        int64_t n, d;
        if (!term_value(p, &s->t[i], axes, value, &n, &d) ||
            !reduce((__int128)num * d + (__int128)n * den, (__int128)den * d, &num, &den))
            return SIZE_NONE;
    }
    return den == 1 ? num : SIZE_NONE;
}

double count_eval(const rw_program *p, uint32_t count, const int64_t *axes, const int64_t *value) {
    const size *s = &p->counts[count];
    double sum = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        const term *t = &s->t[i];
        double x = (double)t->num / (double)t->den;
        for (uint32_t k = 0; k < t->n; k++) {
            int64_t v = atom_value(p, t->f[k].atom, axes, value);
            x *= v == SIZE_NONE ? (double)NAN : pow((double)v, t->f[k].exp);
        }
        sum += x;
    }
    return isfinite(sum) ? sum : (double)NAN;
}

void sizes_eval(const rw_program *p, const int64_t *axes, int64_t *value) {
    for (uint32_t i = 0; i < p->n_sizes; i++) value[i] = rw_size_eval(p, i, axes, value);
}

bool size_uses(const rw_program *p, uint32_t number, uint32_t which) {
    return p->sizes[number].uses >> which & 1;
}

/* ---- texts ------------------------------------------------------------------------------------ */

typedef struct text {
    char *at;
    size_t cap, n;
} text;

static void add(text *t, const char *s) {
    size_t n = strlen(s);
    if (t->n + n + 1 > t->cap) n = t->cap - t->n - 1;
    memcpy(t->at + t->n, s, n);
    t->n += n;
    t->at[t->n] = '\0';
}

static void add_number(text *t, int64_t n) {
    char digits[24];
    snprintf(digits, sizeof digits, "%lld", (long long)n);
    add(t, digits);
}

static void add_size(const rw_program *p, text *t, const size *s, int depth);

static void add_atom(const rw_program *p, text *t, int32_t atom, int depth) {
    if (atom >= 0) {
        add(t, p->axes[atom].name);
        return;
    }
    if (depth > 4) {
        add(t, "...");
        return;
    }
    add(t, "((");
    add_size(p, t, &p->sizes[p->quotients[-1 - atom].p], depth + 1);
    add(t, ")//(");
    add_size(p, t, &p->sizes[p->quotients[-1 - atom].q], depth + 1);
    add(t, "))");
}

static void add_term(const rw_program *p, text *t, const term *x, bool first, int depth) {
    add(t, x->num < 0 ? first ? "-" : " - " : first ? "" : " + ");
    int64_t num = x->num < 0 ? -x->num : x->num, any = 0;
    if (num != 1 || x->n == 0) {
        add_number(t, num);
        any = 1;
    }
    for (uint32_t i = 0; i < x->n; i++)
        for (int32_t k = 0; k < abs(x->f[i].exp); k++) {
            add(t, x->f[i].exp < 0 ? "//" : any ? "*" : "");
            add_atom(p, t, x->f[i].atom, depth);
            any = 1;
        }
    if (x->den != 1) {
        add(t, "//");
        add_number(t, x->den);
    }
}

static void add_size(const rw_program *p, text *t, const size *s, int depth) {
    if (s->n == 0) add(t, "0");
    bool first = true;
    for (int negative = 0; negative < 2; negative++) /* "T - 1", not "-1 + T" */
        for (uint32_t i = 0; i < s->n; i++)
            if ((s->t[i].num < 0) == (negative == 1)) {
                add_term(p, t, &s->t[i], first, depth);
                first = false;
            }
}

void rw_size_text(const rw_program *p, uint32_t number, char *out, size_t cap) {
    text t = {out, cap, 0};
    out[0] = '\0';
    add_size(p, &t, &p->sizes[number], 0);
}

void rw_count_text(const rw_program *p, uint32_t count, char *out, size_t cap) {
    text t = {out, cap, 0};
    out[0] = '\0';
    add_size(p, &t, &p->counts[count], 0);
}

void rw_dims_text(const rw_program *p, const uint32_t *dims, uint32_t rank, char *out, size_t cap) {
    text t = {out, cap, 0};
    out[0] = '\0';
    add(&t, "[");
    for (uint32_t i = 0; i < rank; i++) {
        if (i > 0) add(&t, ",");
        add_size(p, &t, &p->sizes[dims[i]], 0);
    }
    add(&t, "]");
}
