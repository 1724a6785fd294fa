/* Random texts of a richer language than generate.c's: layers of the standard library, functions with
 * functions inside, calls mapped over several axes, cells in cells, runs along other axes than T,
 * loops in loops, and gradients of a part of the parameters. Every statement takes tensors that
 * exist and makes one more, so that the text is always right. */
#include "compose.h"

/* ---- pointwise, reads, sums ------------------------------------------------------------------- */

static void make_pointwise(Gen *g) {
    Var a = any(g), b = any(g);
    bool tail = a.rank >= b.rank;
    for (uint32_t i = 0; tail && i < b.rank; i++) tail = a.dim[a.rank - b.rank + i] == b.dim[i];
    if (!tail) b = a;
    const char *y = var_new(g, a.rank, a.dim)->name, *f = smooth(g), *x = a.name, *z = b.name;
    switch (below(g, 6)) {
    case 0: line(g, "%s = %s(%s*%s - 0.2)", y, f, x, z); break;
    case 1: line(g, "%s = %s(max(%s, %s + 0.37))", y, f, x, z); break;
    case 2: line(g, "%s = %s(%s)/(2 + cos(%s))", y, f, x, z); break;
    case 3: line(g, "%s = select(%s > 0.11, %s(%s), 0.3*%s)", y, z, f, x, x); break;
    case 4: line(g, "%s = softplus(%s) - log(1.5 + %s^2)", y, x, z); break;
    default: line(g, "%s = %s(min(%s, %s - 0.1)) + (%s > 0.2)*%s", y, f, x, z, z, x); break;
    }
}

static void make_param(Gen *g) {
    Dim dim[3];
    uint32_t rank = below(g, 4);
    for (uint32_t i = 0; i < rank; i++) dim[i] = (Dim)below(g, CONSTS);
    Var p = param(g, rank, dim);
    if (g->n == MAX_VARS) g->n--;
    g->v[g->n++] = p;
}

/* y[a,b] = x[..] with one subscript of another form. */
static void make_read(Gen *g) {
    Var a;
    if (!with_axes(g, 1, MOST_AXES, &a)) return;
    uint32_t at = below(g, a.rank);
    const char *size = dim_text[a.dim[at]];
    char left[96], right[160] = "", sub[64], i[8];
    snprintf(i, sizeof i, "%c%u", 'a' + (char)at, at);
    const char *other = chance(g, 50) ? "0" : "0.3";
    switch (below(g, 8)) {
    case 0: snprintf(sub, sizeof sub, "%s - %u", i, 1 + below(g, 3)); break;
    case 1: snprintf(sub, sizeof sub, "%s - 1 - %s", size, i), other = NULL; break;
    case 2: snprintf(sub, sizeof sub, "2*%s + 1", i); break;
    case 3: snprintf(sub, sizeof sub, "%s//2", i), other = NULL; break;
    case 4: snprintf(sub, sizeof sub, "3*%s - 2", i); break;
    case 5: snprintf(sub, sizeof sub, "(%s + 1) %% (%s)", i, size), other = NULL; break;
    case 6: snprintf(sub, sizeof sub, "%s//3 + %s//2", i, i); break;
    default: snprintf(sub, sizeof sub, "2 - %s", i); break;
    }
    for (uint32_t k = 0; k < a.rank; k++) {
        size_t n = strlen(right);
        if (k == at)
            snprintf(right + n, sizeof right - n, "%s%s", k ? "," : "", sub);
        else
            snprintf(right + n, sizeof right - n, "%s%c%u", k ? "," : "", 'a' + (char)k, k);
    }
    const char *y = var_new(g, a.rank, a.dim)->name;
    axes(left, sizeof left, &a, true);
    line(g, "%s[%s] = %s[%s%s%s]*(1 + 0.1*%s)", y, left, a.name, right, other ? " else " : "",
         other ? other : "", i);
}

/* A window: sum over j of x[.., i + j - 1]*w[j]. */
static void make_window(Gen *g) {
    Var a;
    if (!with_axes(g, 1, 3, &a)) return;
    Var w = param(g, 1, (Dim[]){(Dim)below(g, CONSTS)});
    char left[96], lead[96];
    Var front = a;
    front.rank--;
    axes(left, sizeof left, &a, true);
    axes(lead, sizeof lead, &front, false);
    const char *y = var_new(g, a.rank, a.dim)->name;
    uint32_t i = a.rank - 1;
    line(g, "%s[%s] = tanh(sum[j] %s[j]*%s[%s%s%s*%c%u + j - 1 else 0])", y, left, w.name, a.name,
         lead, i ? "," : "", chance(g, 30) ? "2" : "1", 'a' + (char)i, i);
}

static void make_permuted(Gen *g) {
    Var a;
    if (!with_axes(g, 2, MOST_AXES, &a)) return;
    uint32_t order[MOST_AXES] = {0, 1, 2, 3};
    for (uint32_t i = a.rank - 1; i > 0; i--) {
        uint32_t k = below(g, i + 1), t = order[i];
        order[i] = order[k], order[k] = t;
    }
    char left[96] = "", right[96];
    Dim dim[MOST_AXES];
    for (uint32_t i = 0; i < a.rank; i++) {
        size_t n = strlen(left);
        dim[i] = a.dim[order[i]];
        snprintf(left + n, sizeof left - n, "%s%c%u", i ? "," : "", 'a' + (char)order[i], order[i]);
    }
    axes(right, sizeof right, &a, false);
    line(g, "%s[%s] = %s(%s[%s])", var_new(g, a.rank, dim)->name, left, smooth(g), a.name, right);
}

static void make_reduce(Gen *g) {
    static const char *const reds[] = {"sum", "mean", "max", "min", "prod", "mean"};
    Var a;
    if (!with_axes(g, 1, MOST_AXES, &a)) return;
    const char *red = pick(g, reds, 6);
    uint32_t gone = 1 + below(g, a.rank > 1 ? 2 : 1), first = below(g, a.rank - gone + 1);
    char left[96] = "", over[96] = "", all[96];
    Dim dim[MOST_AXES];
    uint32_t n = 0;
    for (uint32_t i = 0; i < a.rank; i++) {
        char *to = i >= first && i < first + gone ? over : left;
        size_t at = strlen(to);
        snprintf(to + at, sizeof left - at, "%s%c%u", at ? "," : "", 'a' + (char)i, i);
        if (to == left) dim[n++] = a.dim[i];
    }
    axes(all, sizeof all, &a, false);
    bool prod = strcmp(red, "prod") == 0;
    line(g, "%s%s%s%s = tanh(%s[%s] %s%s[%s]%s)", var_new(g, n, dim)->name, n ? "[" : "", left,
         n ? "]" : "", red, over, prod ? "(1 + 0.2*" : "", a.name, all, prod ? ")" : "");
}

/* y over the axes of a and those of b that a lacks, summed over what they share last. */
static void make_product(Gen *g) {
    Var a;
    if (!with_axes(g, 1, 3, &a) || !is_const(last(&a))) return;
    Var w = param(g, 2, (Dim[]){last(&a), (Dim)below(g, CONSTS)});
    Dim dim[MOST_AXES];
    memcpy(dim, a.dim, sizeof dim);
    dim[a.rank - 1] = w.dim[1];
    if (chance(g, 20)) {
        line(g, "%s = tanh(%s @ %s @ turn(%s))", var_new(g, a.rank, a.dim)->name, a.name, w.name,
             w.name);
        return;
    }
    const char *y = var_new(g, a.rank, dim)->name;
    char u[WORD];
    switch (below(g, 4)) {
    case 0: line(g, "%s = tanh(%s @ %s)", y, a.name, w.name); break;
    case 1:
        line(g, "%s = softmax(dense(%s; m = %s) as %s)", y, a.name, dim_text[w.dim[1]], path(g, u));
        break;
    case 2:
        line(g, "%s = tanh(lora_linear(%s, turn(%s); r = 2) as %s)", y, a.name, w.name, path(g, u));
        break;
    default: line(g, "%s = tanh(linear(%s, turn(%s)))", y, a.name, w.name); break;
    }
}

static void make_outer(Gen *g) {
    Var a, b;
    if (!with_axes(g, 1, 2, &a) || !with_axes(g, 1, 2, &b)) return;
    char la[48], lb[48] = "";
    Dim dim[MOST_AXES];
    for (uint32_t i = 0; i < a.rank; i++) dim[i] = a.dim[i];
    for (uint32_t i = 0; i < b.rank; i++) {
        size_t at = strlen(lb);
        dim[a.rank + i] = b.dim[i];
        snprintf(lb + at, sizeof lb - at, "%s%c%u", i ? "," : "", 'q' + (char)i, i);
    }
    axes(la, sizeof la, &a, false);
    line(g, "%s[%s,%s] = %s(%s[%s]*%s[%s])", var_new(g, a.rank + b.rank, dim)->name, la, lb,
         smooth(g), a.name, la, b.name, lb);
}

/* ---- layers of the library -------------------------------------------------------------------- */

static void make_norm(Gen *g) {
    Var a;
    if (!with_axes(g, 1, MOST_AXES, &a)) return;
    char u[WORD];
    const char *y = var_new(g, a.rank, a.dim)->name;
    switch (below(g, 6)) {
    case 0: line(g, "%s = softmax(%s)", y, a.name); break;
    case 1: line(g, "%s = 0.3*log_softmax(%s)", y, a.name); break;
    case 2: line(g, "%s = l2_normalize(%s + 0.1)", y, a.name); break;
    case 3: line(g, "%s = standardize(%s; eps = 0.1)", y, a.name); break;
    default:
        if (!is_const(last(&a)))
            line(g, "%s = tanh(%s)", y, a.name);
        else
            line(g, "%s = %s_norm(%s; eps = 0.05) as %s", y, chance(g, 50) ? "layer" : "rms",
                 a.name, path(g, u));
    }
}

static void make_heads(Gen *g) {
    Var a;
    if (!with_axes(g, g->stream ? 3 : 2, 3, &a) || !is_const(last(&a))) return;
    const char *y = var_new(g, a.rank, a.dim)->name, *n = dim_text[last(&a)];
    char u[WORD];
    if (is_const(a.dim[a.rank - 2]) && chance(g, 50))
        line(g, "%s = group_norm(%s; eps = 0.1, scale = 0.7) as %s", y, a.name, path(g, u));
    else
        line(g, "%s = split(%s(join(%s)); %s)", y, smooth(g), a.name, n);
}

static void make_attention(Gen *g) {
    Var a;
    if (!with_axes(g, 3, 3, &a) || !is_const(last(&a))) return;
    Var p = param(g, 1, (Dim[]){last(&a)}), q = param(g, 1, (Dim[]){last(&a)});
    const char *y = var_new(g, 3, a.dim)->name;
    line(g, "%s = attention(%s*%s, tanh(%s + %s), %s)", y, a.name, p.name, a.name, q.name, a.name);
}

static void make_rope(Gen *g) {
    Var a;
    if (!with_dims(g, 2, DT, DR, &a)) return;
    line(g, "%s = rope(%s, place; base = 100)", var_new(g, 2, a.dim)->name, a.name);
}

static void make_conv(Gen *g) {
    Var a;
    if (!with_axes(g, 3, 3, &a) || !is_const(a.dim[0])) return;
    Dim m = (Dim)below(g, CONSTS);
    const char *k = dim_text[a.dim[0]];
    uint32_t form = below(g, 3), p = g->next++, size = 1 + below(g, 3), stride = 1 + below(g, 2);
    if (form == 2) { /* a transposed one: twice as large, averaged at once */
        line(g, "param p%u[%s,%s,2,2] ~ normal(0.5)", p, k, dim_text[m]);
        line(g, "%s[m] = mean[i,j] tanh(conv2d_up(%s, p%u))[m,i,j]", var_new(g, 1, &m)->name,
             a.name, p);
        return;
    }
    if (form == 1) m = a.dim[0]; /* a kernel a channel */
    line(g, "param p%u[%s,%s,%u,%u] ~ normal(0.5)", p, dim_text[m], form ? "1" : k, size,
         1 + below(g, 3));
    line(g, "%s[m] = mean[i,j] tanh(conv2d(%s, p%u; stride = %u, pad = 1))[m,i,j]",
         var_new(g, 1, &m)->name, a.name, p, stride);
}

static void make_dropout(Gen *g) {
    Var a = any(g);
    line(g, "%s = tanh(dropout(%s; p = 0.3))", var_new(g, a.rank, a.dim)->name, a.name);
}

/* ---- data ------------------------------------------------------------------------------------- */

static void make_gather(Gen *g) {
    Dim d = (Dim)below(g, CONSTS);
    Var w = param(g, 2, (Dim[]){DM, d}), a = {.rank = 0};
    bool found = with_dims(g, 2, DT, DM, &a);
    const char *y = var_new(g, 2, (Dim[]){DT, d})->name;
    switch (below(g, 4)) {
    case 0: line(g, "%s = embed(id, %s)", y, w.name); break;
    case 1: line(g, "%s[t,k] = %s[id[t],k]*%s[(id[t] + t) %% M,k]", y, w.name, w.name); break;
    case 2:
        line(g, "%s[t,k] = select(id[t] > 0, %s[id[t] - 1, k else 0.2], %s[0,k])", y, w.name,
             w.name);
        break;
    default: /* by a place that data say */
        if (found)
            line(g, "%s[t,k] = %s[argmax[m] %s[t,m], k]", y, w.name, a.name);
        else
            line(g, "%s = 0.5*embed((id + 1) %% M, %s)", y, w.name);
    }
}

static void make_loss(Gen *g) {
    Var a;
    if (!with_dims(g, 2, DT, DIMS, &a) || !is_const(last(&a))) return;
    Var w = param(g, 2, (Dim[]){DM, last(&a)});
    line(g, "%s = tanh(0.3*cross_entropy(linear(%s, %s), id))", var_new(g, 1, (Dim[]){DT})->name,
         a.name, w.name);
}

static void make_concat(Gen *g) {
    Var a, b;
    if (!with_axes(g, 1, 2, &a) || !with_axes(g, 1, 2, &b) || a.rank != b.rank) return;
    if (a.rank == 2 && a.dim[1] != b.dim[1]) return;
    const char *A = dim_text[a.dim[0]], *B = dim_text[b.dim[0]], *rest = a.rank == 2 ? ",j" : "";
    uint32_t c = g->next++;
    line(g, "c%u[i:%s+%s%s] = select(i < %s, %s[i%s], %s[i-(%s)%s])", c, A, B, rest, A, a.name,
         rest, b.name, A, rest);
    line(g, "%s[i:%s%s] = c%u[i+%s-1%s]*%s(c%u[i%s])", var_new(g, a.rank, a.dim)->name, A, rest, c,
         B, rest, smooth(g), c, rest);
}

/* Before T stand P places that a parameter fills; and back. */
static void make_prefix(Gen *g) {
    Var a;
    if (!with_axes(g, 2, 2, &a)) return;
    if (a.dim[0] == DT && is_const(a.dim[1])) {
        uint32_t p = g->next++;
        const char *d = dim_text[a.dim[1]];
        line(g, "param p%u[P,%s] ~ uniform(-1, 1)", p, d);
        line(g, "%s[s:P+T,k] = select(s < P, p%u[s,k], %s[s-P,k])",
             var_new(g, 2, (Dim[]){DPT, a.dim[1]})->name, p, a.name);
    } else if (a.dim[0] == DPT) {
        line(g, "%s[t:T,k] = %s[t+P,k]", var_new(g, 2, (Dim[]){DT, a.dim[1]})->name, a.name);
    }
}

/* ---- functions -------------------------------------------------------------------------------- */

/* A function of a vector, with a sum, a function inside that sees its names, and a number at
 * compile time; called on what has more axes. */
static void make_function(Gen *g) {
    Var a;
    if (!with_axes(g, 1, MOST_AXES, &a)) return;
    uint32_t id = g->next++;
    Text *f = &g->fns;
    bool own = is_const(last(&a)) && chance(g, 60), deep = chance(g, 40);
    text_printf(f, "fn f%u(x[A]; n = 2) -> y[A] {\n", id);
    if (own) text_add(f, "    param mu[A] ~ uniform(-1, 1)\n");
    text_printf(f, "    s = mean[k] x[k]%s\n", own ? "*mu[k]" : "^2");
    text_printf(f, "    fn inner(z, c) -> u { u = tanh(z - s*c) }\n");
    text_add(f, "    y = inner(x, 0.5)*inner(0.3*x, 1)\n");
    if (deep) text_printf(f, "    if n > 0 { y = f%u(y; n = n - 1) as in{n} }\n", id);
    text_add(f, "}\n");
    char u[WORD];
    line(g, "%s = f%u(%s) as %s", var_new(g, a.rank, a.dim)->name, id, a.name, path(g, u));
}

/* A function of two, the first with more axes to be mapped over than the second. */
static void make_pair(Gen *g) {
    Var a, b;
    if (!with_axes(g, 2, MOST_AXES, &a) || !with_axes(g, 1, 3, &b)) return;
    if (b.rank > a.rank) return;
    for (uint32_t i = 0; i < b.rank; i++)
        if (a.dim[a.rank - b.rank + i] != b.dim[i]) return;
    uint32_t id = g->next++;
    text_printf(&g->fns, "fn g%u(x[A], z[A]) -> y { y = tanh(sum[k] x[k]*z[k]) }\n", id);
    line(g, "%s = g%u(%s, %s)", var_new(g, a.rank - 1, a.dim)->name, id, a.name, b.name);
}

/* ---- cells ------------------------------------------------------------------------------------ */

static void cell_body(Gen *g, bool own, uint32_t inner) {
    Text *f = &g->fns;
    text_printf(f, own ? "    param mu[A] ~ uniform(-1, 1)\n    z = tanh(x + (prev(x) - x)*mu)\n"
                       : "    z = x\n");
    if (inner) text_printf(f, "    z += k%u(z) as in\n", inner);
    switch (below(g, 6)) {
    case 0:
        text_add(f, "    state h[A] = 0.2\n    h = 0.8*h + 0.3*sin(z)*(1 - 0.5*h)\n    y = h\n");
        break;
    case 1:
        text_add(f, "    state S[i:A, j:A] = 0.1*(i + 1)/(j + 2)\n    d = sigmoid(z)\n"
                    "    S[i,j] = S[i,j]*d[j] - 0.1*(sum[m] S[i,m]*z[m])*z[j] + 0.3*z[i]*z[j]\n"
                    "    y[i] = tanh(sum[j] S[i,j]*z[j])\n");
        break;
    case 2: text_add(f, "    q[c] = sum[j:3] cos(0.5*j)*prev(z, 2-j)[c]\n    y = tanh(q)\n"); break;
    case 3:
        text_add(f, "    state m[A] = -0.5\n    state n[] = 0\n    m = max(0.9*m, z)\n    n += 1\n"
                    "    y = m*tanh(1/n)\n");
        break;
    case 4:
        text_add(f, "    state h[A] = 0\n    w = tanh(z + 0.5*h)\n    h = 0.5*w + 0.2*prev(w)\n"
                    "    y = h - 0.3*prev(w, 2)\n");
        break;
    default:
        text_add(f, "    fn step(c) = c + 0.5*prev(z)\n    state a[A] = 0\n"
                    "    a = select(z > 0, 0.7*a + step(z), 0.4*a)\n    y = tanh(a)\n");
    }
}

/* An axis before the last that no other before the last equals. */
static bool axis_to_run(Gen *g, const Var *a, Dim *out) {
    if (g->stream) return *out = DT, a->dim[0] == DT;
    uint32_t from = below(g, a->rank - 1);
    for (uint32_t i = 0; i + 1 < a->rank; i++) {
        uint32_t at = (from + i) % (a->rank - 1), same = 0;
        for (uint32_t k = 0; k + 1 < a->rank; k++) same += a->dim[k] == a->dim[at];
        if (same == 1) return *out = a->dim[at], true;
    }
    return false;
}

static void make_cell(Gen *g) {
    Var a;
    Dim t;
    if (!with_axes(g, 2, MOST_AXES, &a) || !axis_to_run(g, &a, &t)) return;
    bool own = is_const(last(&a)) && chance(g, 60);
    uint32_t inner = 0, id;
    if (chance(g, 35)) {
        inner = ++g->next;
        text_printf(&g->fns, "cell k%u(x[A]) -> y[A] {\n", inner);
        cell_body(g, own, 0);
        text_add(&g->fns, "}\n");
    }
    id = ++g->next;
    text_printf(&g->fns, "cell k%u(x[A]) -> y[A] {\n", id);
    cell_body(g, own, inner);
    text_add(&g->fns, "}\n");
    static const char *const masks[] = {
        "", "", "", " where keep", " restart fresh", " where keep restart fresh"};
    char u[WORD], named[2 * WORD];
    line(g, "%s = k%u(%s) along %s(%s)%s as %s", var_new(g, a.rank, a.dim)->name, id, a.name,
         chance(g, 30) && !g->stream ? "reverse " : "", dim_text[t],
         t == DT ? pick(g, masks, 6) : "", path(g, u));
    snprintf(named, sizeof named, "%s.mu", u);
    if (own) note_trained(g, named);
}

/* Cells of the library: a convolution in time, and matrix states of several heads. */
static void make_library_cell(Gen *g) {
    Var a;
    Dim t;
    if (!with_axes(g, chance(g, 60) ? 3 : 2, 3, &a) || !is_const(last(&a)) ||
        !axis_to_run(g, &a, &t))
        return;
    const char *y = var_new(g, a.rank, a.dim)->name, *x = a.name;
    char u[WORD];
    if (a.rank == 3 && t == a.dim[0] && chance(g, 70)) {
        if (chance(g, 50))
            line(g,
                 "%s = tanh(wkv7(%s, sigmoid(%s), tanh(%s), %s, -0.3*%s, 0.5*%s) along (%s) as %s)",
                 y, x, x, x, x, x, x, dim_text[t], path(g, u));
        else {
            uint32_t p = g->next++;
            line(g, "param p%u[%s] ~ uniform(-1, 1)", p, dim_text[last(&a)]);
            line(g, "%s = tanh(wkv6(%s, sigmoid(%s), %s, tanh(%s), 0*%s + p%u) along (%s) as %s)",
                 y, x, x, x, x, x, p, dim_text[t], path(g, u));
        }
        return;
    }
    uint32_t p = g->next++;
    line(g, "param p%u[%s,3] ~ uniform(-1, 1)", p, dim_text[last(&a)]);
    line(g, "%s = tanh(causal_conv(%s, p%u) along (%s) as %s)", y, x, p, dim_text[t], path(g, u));
}

/* ---- loops ------------------------------------------------------------------------------------ */

static void statement(Gen *g);

static void loop_body(Gen *g, const Var *a, const char *l, uint32_t statements) {
    for (uint32_t k = 0; k < statements; k++) statement(g);
    static const char *const how[] = {" == 0", " % 2 == 0", " < 2", " > 0"};
    char cond[32];
    snprintf(cond, sizeof cond, "%s%s", l, pick(g, how, 4));
    Var p = param(g, a->rank && is_const(last(a)) ? 1 : 0, a->rank ? (Dim[]){last(a)} : NULL);
    if (chance(g, 60))
        line(g, "if %s { %s = tanh(%s + %s) } else { %s = %s*cos(%s)*(1 + %s)/3 }", cond, a->name,
             a->name, p.name, a->name, a->name, p.name, l);
    else
        line(g, "%s = tanh(%s*%s + %s/4)", a->name, a->name, p.name, l);
}

static void open_loop(Gen *g, char l, uint32_t most) {
    line(g, "for %c in %u as loop%u.{%c} {", l, 1 + below(g, most), g->next++, l);
    g->indent++;
    g->loops++;
}

static void close_loop(Gen *g, uint32_t outer) {
    g->n = outer; /* names of the body are gone */
    g->indent--;
    g->loops--;
    line(g, "}");
}

static void make_loop(Gen *g) {
    if (g->loops) return;
    Var a = any(g);
    if (a.name[0] == 'p') return;
    uint32_t outer = g->n;
    open_loop(g, 'l', 3);
    if (chance(g, 40)) {
        uint32_t middle = g->n;
        open_loop(g, 'o', 3);
        loop_body(g, &a, "o", below(g, 2));
        if (chance(g, 50))
            line(g, "if l == o { %s = sin(%s + l - o) }", a.name, a.name);
        else
            line(g, "if l + o > 1 { %s = 0.9*%s + 0.1*o }", a.name, a.name);
        close_loop(g, middle);
    }
    loop_body(g, &a, "l", 1 + below(g, 2));
    close_loop(g, outer);
}

/* ---- a text ----------------------------------------------------------------------------------- */

static void statement(Gen *g) {
    static void (*const make[])(Gen *) = {
        make_pointwise, make_pointwise,    make_param,   make_read,      make_read,
        make_window,    make_permuted,     make_reduce,  make_product,   make_product,
        make_outer,     make_norm,         make_heads,   make_attention, make_rope,
        make_conv,      make_dropout,      make_gather,  make_loss,      make_concat,
        make_prefix,    make_function,     make_pair,    make_cell,      make_cell,
        make_cell,      make_library_cell, make_loop,    compose_more,   compose_more,
        compose_more,   compose_more,      compose_more, compose_more,   compose_more,
        compose_more,
    };
    static void (*const streaming[])(Gen *) = {
        make_pointwise, make_pointwise, make_product,  make_norm,    make_heads,
        make_rope,      make_gather,    make_function, make_cell,    make_library_cell,
        make_loop,      compose_more,   compose_more,  compose_more, compose_more,
    };
    if (g->stream)
        streaming[below(g, sizeof streaming / sizeof *streaming)](g);
    else
        make[below(g, sizeof make / sizeof *make)](g);
}

static void write_result(Gen *g) {
    text_add(&g->body, "    out = 0.5*x0[0,0]");
    for (uint32_t i = 0; i < g->n; i++) {
        const Var *v = &g->v[i];
        char all[96];
        if (v->rank == 0) {
            text_printf(&g->body, " + %s", v->name);
            continue;
        }
        axes(all, sizeof all, v, false);
        text_printf(&g->body, " +\n        (mean[%s] %s[%s]*cos(%u + a0))", all, v->name, all, i);
    }
    text_add(&g->body, "\n}\n");
}

/* One number a position. */
static void write_rows(Gen *g) {
    text_add(&g->body, "    out[a0:T] = 0.5*x0[a0,0]");
    for (uint32_t i = 0; i < g->n; i++) {
        const Var *v = &g->v[i];
        char all[96];
        axes(all, sizeof all, v, false);
        text_printf(&g->body, " +\n        (mean[%s] %s[%s]*cos(%u + b1))", strchr(all, ',') + 1,
                    v->name, all, i);
    }
    text_add(&g->body, "\n}\n");
}

static void write_train(Gen *g, Text *t) {
    text_add(t, "train composed() {\n");
    if (g->n_trained > 1 && chance(g, 25)) {
        bool state = false; /* those are named by `only` alone */
        const char *name[2] = {NULL, NULL};
        for (uint32_t i = 0, n = 1 + below(g, 2); i < n; i++) {
            name[i] = g->trained[below(g, g->n_trained)];
            state |= strcmp(name[i] + strlen(name[i]) - 2, ".h") == 0;
        }
        text_printf(t, "    %s %s %s\n", state || chance(g, 50) ? "only" : "freeze", name[0],
                    name[1] ? name[1] : "");
    }
    text_add(t, "    loss = 0.3*(mean[b] out[b])");
    text_add(t, chance(g, 40) ? " + 0.1*(mean[b] tanh(out[b])^2)\n" : "\n");
    if (chance(g, 30)) text_add(t, "    penalty = 0.1*(max[b] tanh(out[b]))^2\n");
    static const char *const how[] = {"adamw(beta2 = 0.9)  clip 0.5", "adamw()", "lion()"};
    if (chance(g, 25)) text_printf(t, "    update = %s\n", pick(g, how, 3));
    text_add(t, "    metric most = argmax[b] out[b]\n}\n");
}

static const char *text_of(Arena *a, uint64_t seed, bool stream) {
    Gen g = {.state = seed * 0x9e3779b97f4a7c15u + 777 + stream,
             .body = text_new(a),
             .fns = text_new(a),
             .stream = stream};
    for (int i = 0; i < 3; i++) below(&g, 2);
    Text all = text_new(a);
    text_printf(&all, "use std\nconst K = %u, M = %u, N = %u, R = %u, P = %u\naxis T\n",
                2 + below(&g, 3), 2 + below(&g, 3), 1 + below(&g, 3), 2 * (1 + below(&g, 2)),
                1 + below(&g, 2));
    text_add(&all, "fn turn(W[A,C])[c,a] = W[a,c]\n");
    g.indent = 1;
    line(&g, "place[t:T] = 0.3*t");
    line(&g, "e0 = x0; e1 = x1; e4 = x4");
    var_new(&g, 2, (Dim[]){DT, DK});
    var_new(&g, 2, (Dim[]){DT, DM});
    var_new(&g, 3, (Dim[]){DT, DN, DM});
    var_new(&g, 3, (Dim[]){DK, DM, DT});
    var_new(&g, 2, (Dim[]){DT, DR});
    if (stream) g.v[3] = g.v[--g.n]; /* x3 runs the other way */
    for (uint32_t k = 0, n = 3 + below(&g, 9); k < n; k++) statement(&g);
    if (stream)
        write_rows(&g);
    else
        write_result(&g);
    text_add(&all, g.fns.data ? g.fns.data : "");
    text_printf(
        &all,
        "model composed(x0[T,K], x1[T,M], x2[T,N,M], %sx4[T,R], id[T]: index(M), keep[T]: int, "
        "fresh[T]: int) -> %s {\n",
        stream ? "" : "x3[K,M,T], ", stream ? "out[T] along T" : "out[]");
    text_add(&all, g.body.data);
    if (!stream) write_train(&g, &all);
    return all.data;
}

const char *compose_text(Arena *a, uint64_t seed) { return text_of(a, seed, false); }
const char *stream_text(Arena *a, uint64_t seed) { return text_of(a, seed, true); }
