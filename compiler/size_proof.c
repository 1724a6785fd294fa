/* What can be proved of sizes: that one is never negative, whatever the axes are. */
#include "size_impl.h"

#include <string.h>

/* Every axis is multiple*(1 + u) with u >= 0; a polynomial in the u with no negative coefficient is
 * never negative. A quotient floor(p/q) by a number lies in [(p - q + 1)/q, p/q]; the bound that
 * makes the sum smaller is taken. */
static bool bound_quotients(Sizes *s, Poly *p, const Entry *e, bool zero_floor) {
    for (uint32_t i = 0; i < e->n; i++) {
        Term t = e->t[i];
        uint32_t hit = UINT32_MAX, hits = 0;
        for (uint32_t k = 0; k < t.n; k++)
            if (s->atoms.data[t.f[k].atom].kind == ATOM_QUOTIENT) hit = k, hits++;
        if (hits > 1) return false; /* one could be negative and the other not */
        if (hit == UINT32_MAX) {
            poly_add_term(p, &t);
            continue;
        }
        const Atom at = s->atoms.data[t.f[hit].atom];
        int64_t q;
        if (t.f[hit].exp != 1 || !size_is_num(s, at.q, &q) || q < 1) return false;
        memmove(&t.f[hit], &t.f[hit + 1], sizeof(Factor) * (t.n - hit - 1));
        t.n--;
        if (t.num > 0 && zero_floor && size_nonneg(s, at.p)) continue;
        Size by = t.num > 0 ? size_sub(s, at.p, size_num(s, q - 1)) : at.p;
        if (!by || !fraction(t.num, (__int128)t.den * q, &t.num, &t.den)) return false;
        const Entry eb = s->sizes.data[by];
        poly_add_product(p, &t, 1, eb.t, eb.n);
    }
    return !p->bad;
}

static bool nonneg_try(Sizes *s, Size a, bool zero_floor) {
    Poly *p = poly_take(s), *sum = poly_take(s), *term = poly_take(s);
    bool ok = p && sum && term;
    const Entry e = s->sizes.data[a];
    ok = ok && bound_quotients(s, p, &e, zero_floor);
    for (uint32_t i = 0; ok && i < p->n; i++) {
        Term unit = p->t[i];
        unit.n = 0;
        term->n = 0;
        term->bad = false;
        poly_add_term(term, &unit);
        for (uint32_t k = 0; k < p->t[i].n && ok; k++) {
            const Factor f = p->t[i].f[k];
            const Atom at = s->atoms.data[f.atom];
            if (at.kind != ATOM_AXIS || f.exp < 1) {
                ok = false;
                break;
            }
            Size u = atom_size(s, atom_find(s, ATOM_EXCESS, NULL, (int64_t)f.atom, 0, 0));
            Size m = size_num(s, at.number);
            ok = poly_times(s, term, size_add(s, m, size_mul(s, m, u)), f.exp);
        }
        for (uint32_t k = 0; k < term->n; k++) poly_add_term(sum, &term->t[k]);
        ok = ok && !term->bad && !sum->bad;
    }
    for (uint32_t i = 0; ok && i < sum->n; i++) ok = sum->t[i].num >= 0;
    poly_give(s, (uint32_t)(p != NULL) + (uint32_t)(sum != NULL) + (uint32_t)(term != NULL));
    return ok;
}

bool size_nonneg(Sizes *s, Size a) {
    int64_t n;
    a = size_ground(s, a);
    if (!a) return false;
    if (size_is_num(s, a, &n)) return n >= 0;
    if (!s->sizes.data[a].nonneg) { /* quotients in quotients ask again and again */
        bool yes = nonneg_try(s, a, true) || nonneg_try(s, a, false);
        s->sizes.data[a].nonneg = yes ? 1 : 2;
    }
    return s->sizes.data[a].nonneg == 1;
}

bool size_positive(Sizes *s, Size a) { return size_nonneg(s, size_sub(s, a, size_num(s, 1))); }
