/* More statements for compose.c's texts: what a model of documents, pictures or experts would use. */
#include "compose.h"

/* The shape of the last made tensor again, but a function of it bounded by a few units. */
static const char *like(Gen *g, const Var *a) { return var_new(g, a->rank, a->dim)->name; }

/* A tensor run along T: [T,..], its last axis a constant and T nowhere else. */
static bool sequence(Gen *g, uint32_t most, Var *a) {
    uint32_t from = below(g, g->n);
    for (uint32_t i = 0; i < g->n; i++) {
        *a = g->v[(from + i) % g->n];
        bool ok = a->rank >= 2 && a->rank <= most && a->dim[0] == DT;
        for (uint32_t k = 1; ok && k < a->rank; k++) ok = is_const(a->dim[k]);
        if (ok) return true;
    }
    return false;
}

static const char *backwards(Gen *g) { return !g->stream && chance(g, 30) ? "reverse " : ""; }

static const char *masks(Gen *g) {
    static const char *const m[] = {"",
                                    "",
                                    " where keep",
                                    " restart fresh",
                                    " where (id != 0) restart fresh",
                                    " where keep restart (id == 1)"};
    return pick(g, m, 6);
}

/* ---- cells ---------------------------------------------------------------------------------------- */

/* Packed documents: whole-number states, delays of several depths, a first state that is trained. */
static void make_document(Gen *g) {
    Var a;
    if (!sequence(g, 2, &a)) return;
    uint32_t id = ++g->next, far = 1 + below(g, 5);
    bool given = chance(g, 50);
    text_printf(&g->fns,
                "cell d%u(x[A], n[]: int) -> y[A] {\n    param h0[A] ~ uniform(-1, 1)\n"
                "    state h[A] = %s, c[]: int = 3\n    z = tanh(x + 0.5*h*h0)\n"
                "    h = 0.5*h + 0.3*z\n    c = (c + n) %% 7\n    seen = c\n"
                "    y = tanh(h + prev(z, %u) + prev(x, 2)*prev(n) + 0.1*c + 0.2*prev(seen))\n}\n",
                id, given ? "h0" : "0.1", far);
    char u[WORD], named[2 * WORD];
    const char *way = backwards(g);
    line(g, "%s = d%u(%s, id) along %sT%s as %s", like(g, &a), id, a.name, way, masks(g),
         path(g, u));
    snprintf(named, sizeof named, "%s.%s", u, given ? "h0" : "h");
    note_trained(g, named);
}

/* A cell with two results, one of them a number a step. */
static void make_two_results(Gen *g) {
    Var a;
    if (!sequence(g, 3, &a)) return;
    uint32_t id = ++g->next, n = g->next++;
    text_printf(&g->fns,
                "cell q%u(x[A]) -> (y[A], s[]) {\n    state n[A] = 0.5\n    n = 0.9*n + 0.1*x^2\n"
                "    s = mean[k] n[k]\n    y = x/sqrt(abs(n) + 0.2)\n}\n",
                id);
    char u[WORD], all[96], lead[96];
    Var front = a;
    front.rank--;
    axes(all, sizeof all, &a, false);
    axes(lead, sizeof lead, &front, false);
    const char *way = backwards(g);
    line(g, "(r%u, n%u) = q%u(%s) along %sT as %s", n, n, id, a.name, way, path(g, u));
    line(g, "%s[%s] = tanh(r%u[%s]*cos(n%u[%s]))", like(g, &a), all, n, all, n, lead);
}

/* A first state that comes as an argument, and a cell whose result goes round through two others. */
static void make_feedback(Gen *g) {
    Var a;
    if (!sequence(g, 3, &a)) return;
    Var p = param(g, 1, (Dim[]){last(&a)});
    uint32_t id = ++g->next;
    text_printf(
        &g->fns,
        "cell i%u(x[A]) -> y[A] {\n    state h[A] = 0.1\n"
        "    h = 0.7*h + 0.3*tanh(x + prev(x))\n    y = h\n}\n"
        "cell b%u(x[A], g0[A]) -> y[A] {\n    state g[A] = tanh(g0)\n    z = i%u(x + g) as one\n"
        "    w = i%u(0.5*z - x) as two\n    g = 0.3*prev(z) + 0.1*w*sigmoid(x)\n    y = g\n}\n",
        id, id, id, id);
    char u[WORD];
    const char *way = backwards(g);
    line(g, "%s = b%u(%s, %s) along %sT%s as %s", like(g, &a), id, a.name, p.name, way, masks(g),
         path(g, u));
}

/* A loop whose counter decides how far a cell looks back. */
static void make_far(Gen *g) {
    Var a;
    if (!sequence(g, 3, &a) || g->loops) return;
    uint32_t id = ++g->next;
    text_printf(&g->fns,
                "cell e%u(x[A]; far) -> y[A] {\n    param gain[A] ~ uniform(-1, 1)\n"
                "    y = tanh(x + gain*prev(x, far))\n}\n",
                id);
    line(g, "for l in %u as far%u.{l} {", 1 + below(g, 4), id);
    const char *how = chance(g, 50) ? "1 + l" : "2";
    line(g, "    %s = e%u(%s; far = %s) along T as c", a.name, id, a.name, how);
    if (chance(g, 50))
        line(g, "    if l %% 2 == 1 { %s = e%u(%s; far = 4) along T as d }", a.name, id, a.name);
    line(g, "}");
}

/* A cell along two axes that are joined to one, and taken apart again. */
static void make_flat_run(Gen *g) {
    Var a;
    if (!with_axes(g, 3, 3, &a) || !is_const(a.dim[1]) || !is_const(a.dim[2])) return;
    uint32_t id = ++g->next, n = g->next++;
    const char *I = dim_text[a.dim[0]], *J = dim_text[a.dim[1]];
    text_printf(
        &g->fns,
        "cell w%u(x[A]) -> y[A] {\n    state h[A] = 0\n    h = tanh(0.6*h + x - 0.2*prev(x))\n"
        "    y = h\n}\n",
        id);
    line(g, "j%u[s:(%s)*%s,k] = %s[s//%s, s%%%s, k]", n, I, J, a.name, J, J);
    line(g, "r%u = w%u(j%u) along %s((%s)*%s) as w%u", n, id, n, backwards(g), I, J, n);
    line(g, "%s[i:%s,j:%s,k] = r%u[i*%s + j, k]", like(g, &a), I, J, n, J);
}

/* ---- layers --------------------------------------------------------------------------------------- */

/* Attention that sees what was before, with a mask that is a select. */
static void make_causal(Gen *g) {
    Var a;
    if (!with_axes(g, 2, 2, &a) || !is_const(last(&a))) return;
    const char *I = dim_text[a.dim[0]];
    uint32_t n = g->next++;
    line(g, "s%u[i:%s,j:%s] = select(j <= i, sum[k] %s[i,k]*%s[j,k], -1e30)", n, I, I, a.name,
         a.name);
    line(g, "%s[i:%s,k] = sum[j] softmax(s%u)[i,j]*%s[j,k]", like(g, &a), I, n, a.name);
}

/* The largest or smallest of a window of two by three. */
static void make_pool(Gen *g) {
    Var a;
    if (!with_axes(g, 2, 3, &a)) return;
    char left[96], lead[96];
    Var front = a;
    front.rank -= 2;
    axes(left, sizeof left, &a, true);
    axes(lead, sizeof lead, &front, false);
    uint32_t i = a.rank - 2;
    line(g, "%s[%s] = %s[u:2,v:3] (1 + 0.1*u)*%s[%s%s%c%u + u, %c%u + v - 1 else -0.4]",
         like(g, &a), left, chance(g, 50) ? "max" : "min", a.name, lead, i ? "," : "",
         'a' + (char)i, i, 'b' + (char)i, i + 1);
}

/* A picture of parameters through convolutions in groups, kept whole. */
static void make_picture(Gen *g) {
    Var p = param(g, 3, (Dim[]){DR, DM, DK});
    uint32_t w = g->next++;
    bool deep = chance(g, 50);
    line(g, "param p%u[R,%s,3,3] ~ normal(0.4)", w, deep ? "R//2" : "1");
    line(g, "%s = tanh(conv2d(%s, p%u; pad = 1))", like(g, &p), p.name, w);
}

/* Rows of a table by the counter of a loop. */
static void make_table(Gen *g) {
    Var a;
    if (!with_axes(g, 1, MOST_AXES, &a) || !is_const(last(&a)) || g->loops || a.name[0] == 'p')
        return;
    uint32_t n = 1 + below(g, 4), w = g->next++;
    line(g, "param p%u[%u,%s] ~ uniform(-1, 1)", w, n, dim_text[last(&a)]);
    line(g, "for l in %u { %s = %s(%s*0.7 + p%u[%s]) }", n, a.name, smooth(g), a.name, w,
         chance(g, 50) ? "l" : "0");
}

/* A sum in which each term has a sum of its own. */
static void make_nested(Gen *g) {
    Var a;
    if (!with_axes(g, 1, 3, &a) || !is_const(last(&a))) return;
    Var w = param(g, 2, (Dim[]){last(&a), last(&a)});
    char lead[96];
    Var front = a;
    front.rank--;
    axes(lead, sizeof lead, &front, false);
    const char *c = front.rank ? "," : "", *x = a.name, *p = w.name;
    if (chance(g, 50))
        line(
            g,
            "%s[%s%sn] = %s[%s%sn]*tanh(sum[m] %s[n,m]*max(%s[%s%sm] + 0.21, mean[k] %s[%s%sk]*%s[k,m]))",
            like(g, &a), lead, c, x, lead, c, p, x, lead, c, x, lead, c, p);
    else
        line(g, "%s[%s%sn] = tanh(log(sum[m] exp(%s[n,m]*%s[%s%sm] - (max[k] %s[n,k]))))",
             like(g, &a), lead, c, p, x, lead, c, p);
}

/* ---- data ----------------------------------------------------------------------------------------- */

/* What has no derivative, of inputs only, so that differences see the same. */
static void make_data(Gen *g) {
    static const struct {
        Dim end;
        const char *name;
    } from[] = {{DK, "e0"}, {DM, "e1"}, {DR, "e4"}};
    uint32_t k = below(g, 3);
    Var a;
    if (!with_dims(g, 2, DT, from[k].end, &a)) return;
    const char *e = from[k].name, *y = like(g, &a);
    switch (below(g, 5)) {
    case 0: line(g, "%s = tanh(%s*(1 + 0.3*stop(round(3*%s))))", y, a.name, e); break;
    case 1: line(g, "%s = sin(%s + 0.2*floor(2.5*%s + 0.3))", y, a.name, e); break;
    case 2: line(g, "%s = tanh(%s)*abs(%s)^1.5", y, a.name, e); break;
    case 3:
        line(g, "%s = %s*((%s > 0.2) - (%s < -0.2 or not (%s > -0.7)))", y, a.name, e, e, e);
        break;
    default: line(g, "%s = %s(%s)*(2 + %s)^(-0.5)", y, smooth(g), a.name, e);
    }
}

/* Whole numbers made of others, as places and as numbers. */
static void make_ints(Gen *g) {
    Dim d = (Dim)below(g, CONSTS);
    Var w = param(g, 2, (Dim[]){DM, d});
    uint32_t n = g->next++;
    line(g, "n%u[t:T] = (id[t]*3 + t//2) %% M", n);
    const char *y = var_new(g, 2, (Dim[]){DT, d})->name;
    switch (g->stream ? below(g, 2) : below(g, 4)) {
    case 0: line(g, "%s[t,k] = %s[n%u[t],k else 0]*(n%u[t] - id[t])/M", y, w.name, n, n); break;
    case 1:
        line(g, "%s[t,k] = tanh(%s[n%u[t] - 1,k else 0.3] + %s[min(n%u[t], id[t]),k else 0])", y,
             w.name, n, w.name, n);
        break;
    case 2: /* how often each occurs */
        line(g, "q%u[m:M] = sum[t] (id[t] == m)", n);
        line(g, "%s[t:T,k] = %s[id[t],k]/(1 + q%u[id[t]])", y, w.name, n);
        break;
    default:
        line(g, "q%u = (max[t] id[t]*t %% 5) - (min[t] id[t])", n);
        line(g, "%s[t:T,k] = %s[t %% M,k]*cos(0.3*q%u + id[t])", y, w.name, n);
    }
}

static void make_random(Gen *g) {
    Var a = any(g);
    line(g, "%s = tanh(%s + 0.3*random(%s))", like(g, &a), a.name, a.name);
}

void compose_more(Gen *g) {
    static void (*const make[])(Gen *) = {
        make_document, make_two_results, make_feedback, make_far,   make_flat_run,
        make_causal,   make_pool,        make_picture,  make_table, make_nested,
        make_data,     make_ints,        make_random};
    static void (*const streaming[])(Gen *) = {make_document, make_two_results, make_feedback,
                                               make_far,      make_table,       make_nested,
                                               make_data,     make_ints};
    if (g->stream)
        streaming[below(g, sizeof streaming / sizeof *streaming)](g);
    else
        make[below(g, sizeof make / sizeof *make)](g);
}
