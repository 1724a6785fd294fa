/* The shape of a matrix product (contract_shape.h). */
#include "contract_shape.h"

static Size times(Emit *e, Size a, Size b) {
    return size_ground(e->g->sizes, size_mul(e->g->sizes, a, b));
}
static Size number(Emit *e, int64_t n) { return size_num(e->g->sizes, n); }
static bool is_number(Emit *e, Size s, int64_t n) {
    int64_t v;
    return size_is_num(e->g->sizes, s, &v) && v == n;
}

static bool add_atom(Emit *e, ShapeFactor *f, ExprId atom, Size coef) {
    const Expr *x = graph_expr(e->g, atom);
    if (x->op == X_IDX) {
        f->stride[x->i] = size_add(e->g->sizes, f->stride[x->i], coef);
        return f->stride[x->i] != 0;
    }
    if ((x->op != X_LVL && x->op != X_POS) || f->n_atoms == sizeof f->atoms / sizeof *f->atoms)
        return false;
    f->atoms[f->n_atoms].atom = atom;
    f->atoms[f->n_atoms++].coef = coef;
    return true;
}

static bool factor_of(Emit *e, ExprId read, ShapeFactor *f) {
    const Expr *x = graph_expr(e->g, read);
    if (x->op != X_READ || !e->arg_of[x->value] || e->local_of[x->value]) return false;
    const ValueInfo *v = graph_value(e->g, x->value);
    f->arg = e->arg_of[x->value] - 1;
    f->dtype = e->args[f->arg].dtype;
    if (f->dtype != DT_F32 && f->dtype != DT_BF16 && f->dtype != DT_F16) return false;
    f->base = number(e, 0);
    for (uint32_t i = 0; i < SHAPE_INDICES; i++) f->stride[i] = number(e, 0);
    Size stride = number(e, 1);
    for (uint32_t i = v->rank; i-- > e->args[f->arg].drop;) {
        Affine a;
        ExprId whole;
        if (i > e->args[f->arg].drop && read_joins_axes(e->g, read, i - 1, &whole)) {
            if (!add_atom(e, f, whole, stride)) return false;
            stride = times(e, times(e, stride, v->dims[i]), v->dims[i - 1]);
            i--;
            continue;
        }
        if (!expr_affine(e->g, expr_arg(e->g, read, i), &a)) return false;
        f->base = size_add(e->g->sizes, f->base, times(e, a.konst, stride));
        for (uint32_t j = 0; j < a.n; j++)
            if (!add_atom(e, f, a.atom[j], times(e, a.coef[j], stride))) return false;
        stride = times(e, stride, v->dims[i]);
    }
    f->base = size_ground(e->g->sizes, f->base);
    return f->base != 0 && stride != 0;
}

static bool axes_of(Emit *e, const Shape *s, ShapeAxes *a, const uint8_t *axis, uint32_t n) {
    a->total = number(e, 1);
    for (uint32_t i = 0; i < n; i++) {
        a->total = times(e, a->total, s->size[axis[i]]);
        if (!is_number(e, s->size[axis[i]], 1)) a->axis[a->n++] = axis[i];
    }
    return a->total != 0;
}

/* Two digits are one where the outer stride is the inner length. */
static void digits_of(Emit *e, const Shape *s, const ShapeFactor *f, const ShapeAxes *a,
                      ShapeDigits *d) {
    for (uint32_t i = 0; i < a->n; i++) {
        ShapeDigit next = {s->size[a->axis[i]], size_ground(e->g->sizes, f->stride[a->axis[i]])};
        ShapeDigit *last = d->n ? &d->d[d->n - 1] : NULL;
        if (last && last->stride == times(e, next.size, next.stride))
            *last = (ShapeDigit){times(e, last->size, next.size), next.stride};
        else
            d->d[d->n++] = next;
    }
    if (!d->n) d->d[d->n++] = (ShapeDigit){number(e, 1), number(e, 0)};
}

bool shape_is_run(Emit *e, const ShapeDigits *d) {
    return d->n == 1 && is_number(e, d->d[0].stride, 1);
}

bool shape_of(Emit *e, Shape *s) {
    const PlanContract *p = &e->k->contract;
    const Node *n = graph_node(e->g, e->k->members.data[0].node);
    const ValueInfo *out = graph_value(e->g, n->out);
    *s = (Shape){.rank = out->rank};
    for (uint32_t i = 0; i < out->rank + n->n_extra; i++)
        s->size[i] =
            size_ground(e->g->sizes, i < out->rank ? out->dims[i] : n->extra[i - out->rank]);
    if (!p->n_m || !p->n_n || !p->n_k) return false;
    bool swap = p->m[p->n_m - 1] > p->n[p->n_n - 1];
    if (!factor_of(e, swap ? p->b : p->a, &s->rows) || !factor_of(e, swap ? p->a : p->b, &s->cols))
        return false;
    if (!axes_of(e, s, &s->batch, p->batch, p->n_batch) || !axes_of(e, s, &s->k, p->k, p->n_k) ||
        !axes_of(e, s, &s->m, swap ? p->n : p->m, swap ? p->n_n : p->n_m) ||
        !axes_of(e, s, &s->n, swap ? p->m : p->n, swap ? p->n_m : p->n_n))
        return false;
    digits_of(e, s, &s->rows, &s->m, &s->rows.points);
    digits_of(e, s, &s->rows, &s->k, &s->rows.terms);
    digits_of(e, s, &s->cols, &s->n, &s->cols.points);
    digits_of(e, s, &s->cols, &s->k, &s->cols.terms);
    for (uint32_t i = 1; i < e->k->members.n; i++)
        if (graph_value(e->g, graph_node(e->g, e->k->members.data[i].node)->out)->rank != s->rank)
            return false;
    return true;
}

static V add(Emit *e, V a, V x, Size by) {
    return LLVMBuildAdd(e->b, a, LLVMBuildMul(e->b, x, emit_size(e, by), ""), "");
}

V shape_offset(Emit *e, const Shape *s, const ShapeFactor *f, const V *idx) {
    V at = emit_size(e, f->base);
    for (uint32_t i = 0; i < f->n_atoms; i++) {
        const Expr *x = graph_expr(e->g, f->atoms[i].atom);
        at = add(e, at, x->op == X_LVL ? e->lvl[x->i].v : e->pos[x->i].v, f->atoms[i].coef);
    }
    for (uint32_t i = 0; i < s->batch.n; i++)
        at = add(e, at, idx[s->batch.axis[i]], f->stride[s->batch.axis[i]]);
    return at;
}
