/* Formulas of first values, node by node for each element. */
#include "formula.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    uint8_t n_args;
    char type;
} table[FORMULA_OPS] = {{"num", 1, 'r'},
                        {"int", 1, 'i'},
                        {"idx", 1, 'i'},
                        {"lvl", 1, 'i'},
#define FORMULA(name, n, type) {#name, n, type},
                        FORMULA_FUNCTIONS
#undef FORMULA
};

bool formula_op(formula_node *f, const char *name, size_t n) {
    for (unsigned i = 0; i < FORMULA_OPS; i++)
        if (strlen(table[i].name) == n && memcmp(table[i].name, name, n) == 0) {
            f->op = (uint8_t)i;
            f->n_args = table[i].n_args;
            return true;
        }
    return false;
}

void formula_type(const formula_node *all, formula_node *f) {
    char type = table[f->op].type;
    f->is_int = type == 'i' || type == 'z';
    if (type != 's') return;
    f->is_int = true;
    for (unsigned i = f->op == FORMULA_select; i < f->n_args; i++)
        f->is_int = f->is_int && all[f->arg[i]].is_int;
}

/* ---- values ---------------------------------------------------------------------------------- */

typedef struct value {
    int64_t i;
    double r;
} value;

static int64_t floor_div(int64_t a, int64_t b) {
    if (b == -1) return (int64_t)(0 - (uint64_t)a);
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static bool int_fn(uint8_t fn, int64_t x, int64_t y, int64_t *out) {
    uint64_t a = (uint64_t)x, b = (uint64_t)y;
    switch (fn) {
    case FORMULA_neg: *out = (int64_t)(0 - a); return true;
    case FORMULA_add: *out = (int64_t)(a + b); return true;
    case FORMULA_sub: *out = (int64_t)(a - b); return true;
    case FORMULA_mul: *out = (int64_t)(a * b); return true;
    case FORMULA_idiv: *out = y != 0 ? floor_div(x, y) : 0; return y != 0;
    case FORMULA_imod:
        *out = y != 0 ? (int64_t)(a - b * (uint64_t)floor_div(x, y)) : 0;
        return y != 0;
    case FORMULA_eq: *out = x == y; return true;
    case FORMULA_ne: *out = x != y; return true;
    case FORMULA_lt: *out = x < y; return true;
    case FORMULA_le: *out = x <= y; return true;
    case FORMULA_gt: *out = x > y; return true;
    case FORMULA_ge: *out = x >= y; return true;
    case FORMULA_and: *out = x != 0 && y != 0; return true;
    case FORMULA_or: *out = x != 0 || y != 0; return true;
    case FORMULA_not: *out = x == 0; return true;
    case FORMULA_max: *out = x >= y ? x : y; return true;
    case FORMULA_min: *out = x <= y ? x : y; return true;
    case FORMULA_relu: *out = x > 0 ? x : 0; return true;
    case FORMULA_abs: *out = x < 0 ? (int64_t)(0 - a) : x; return true;
    default: *out = x; return true;
    }
}

static bool compare(uint8_t fn, double x, double y) {
    switch (fn) {
    case FORMULA_eq: return x == y;
    case FORMULA_ne: return x != y;
    case FORMULA_lt: return x < y;
    case FORMULA_le: return x <= y;
    case FORMULA_gt: return x > y;
    case FORMULA_ge: return x >= y;
    case FORMULA_and: return x != 0 && y != 0;
    case FORMULA_or: return x != 0 || y != 0;
    default: return x == 0; /* not */
    }
}

static double real_fn(uint8_t fn, double x, double y) {
    switch (fn) {
    case FORMULA_neg: return -x;
    case FORMULA_add: return x + y;
    case FORMULA_sub: return x - y;
    case FORMULA_mul: return x * y;
    case FORMULA_div: return x / y;
    case FORMULA_pow: return y == 2 ? x * x : pow(x, y);
    case FORMULA_max: return x >= y || x != x ? x : y;
    case FORMULA_min: return x <= y || x != x ? x : y;
    case FORMULA_exp: return exp(x);
    case FORMULA_log: return log(x);
    case FORMULA_tanh: return tanh(x);
    case FORMULA_sigmoid: return 1 / (1 + exp(-x));
    case FORMULA_softplus: return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
    case FORMULA_relu: return x > 0 || x != x ? x : 0;
    case FORMULA_erf: return erf(x);
    case FORMULA_sin: return sin(x);
    case FORMULA_cos: return cos(x);
    case FORMULA_sqrt: return sqrt(x);
    case FORMULA_abs: return fabs(x);
    case FORMULA_round: return rint(x);
    case FORMULA_floor: return floor(x);
    default: return x; /* real, stop */
    }
}

static bool apply(const formula_node *all, const formula_node *f, const value *v, value *out) {
    const value *a = &v[f->arg[0]], *b = &v[f->arg[f->n_args > 1]];
    if (f->op == FORMULA_select) {
        *out = a->i != 0 || (!all[f->arg[0]].is_int && a->r != 0) ? v[f->arg[1]] : v[f->arg[2]];
        return true;
    }
    bool ints = all[f->arg[0]].is_int && (f->n_args < 2 || all[f->arg[1]].is_int);
    if (ints && table[f->op].type != 'r') {
        bool good = int_fn(f->op, a->i, b->i, &out->i);
        out->r = (double)out->i;
        return good;
    }
    if (f->is_int) {
        out->i = compare(f->op, a->r, b->r);
        out->r = (double)out->i;
    } else {
        out->r = real_fn(f->op, a->r, b->r);
        out->i = 0;
    }
    return true;
}

/* ---- elements ---------------------------------------------------------------------------------- */

/* Dividing by zero inside an arm of select that is not chosen is no mistake: such a node has no value,
 * and what uses it has none, unless select leaves it out. */
static bool evaluate(const param *p, const int64_t *idx, const int64_t *counters, value *v,
                     bool *has) {
    for (uint32_t i = 0; i < p->n_formula; i++) {
        const formula_node *f = &p->formula[i];
        has[i] = true;
        switch (f->op) {
        case FORMULA_NUM: v[i] = (value){0, f->num}; break;
        case FORMULA_INT: v[i] = (value){f->i, (double)f->i}; break;
        case FORMULA_IDX: v[i] = (value){idx[f->i], (double)idx[f->i]}; break;
        case FORMULA_LVL: v[i] = (value){counters[f->i], (double)counters[f->i]}; break;
        case FORMULA_select:
            (void)apply(p->formula, f, v, &v[i]);
            has[i] = has[f->arg[0]] && has[f->arg[v[f->arg[0]].r != 0 ? 1 : 2]];
            break;
        default:
            for (unsigned k = 0; k < f->n_args; k++) has[i] = has[i] && has[f->arg[k]];
            has[i] = has[i] && apply(p->formula, f, v, &v[i]);
            if (!has[i]) v[i] = (value){0, 0};
        }
    }
    return has[p->n_formula - 1];
}

static bool reads_index(const param *p) {
    for (uint32_t i = 0; i < p->n_formula; i++)
        if (p->formula[i].op == FORMULA_IDX) return true;
    return false;
}

rw_status formula_fill(const param *p, uint32_t which, float *out, rw_message *m) {
    const member *k = &p->members[which];
    int64_t idx[RW_FILE_RANK] = {0};
    value *v = malloc(p->n_formula * sizeof *v);
    bool *has = malloc(p->n_formula);
    bool same = !reads_index(p), good = v != NULL && has != NULL;
    for (size_t at = 0; at < p->count && good; at++) {
        if (at > 0 && same) {
            out[at] = out[0];
            continue;
        }
        good = evaluate(p, idx, k->counters, v, has);
        out[at] = (float)v[p->n_formula - 1].r;
        for (unsigned d = p->rank; d-- > 0 && ++idx[d] == p->shape[d];) idx[d] = 0;
    }
    bool no_memory = v == NULL || has == NULL;
    free(v);
    free(has);
    if (no_memory) return rw_fail(m, RW_NO_MEMORY, "first value of '%s': no memory", k->name);
    if (!good)
        return rw_fail(m, RW_BAD_FILE, "first value of '%s': it divides an int by 0", k->name);
    return RW_OK;
}
