/* The interpreter on recurrences, delays and scatters, random numbers, formulas, errors and limits. */
#include "interp_world.h"

/* ---- recurrences -------------------------------------------------------------------------------- */

/* s' = 0.5*s + x[t]; out s', final s. Also what was before: a delay of depth 3 of s', and one of x. */
static void test_time(int64_t T, bool reverse) {
    World w = world_new();
    Graph *g = w.g;
    Size t = size_axis(g->sizes, "T", 1), dims[3] = {num(&w, 2), t, num(&w, 5)},
         row[2] = {dims[0], dims[2]};
    Size back[3] = {num(&w, 3), dims[0], dims[2]};
    Value x = graph_input(g, "x", T_REAL, ST_DEFAULT, dims, 3, loc),
          s0 = graph_input(g, "s0", T_REAL, ST_DEFAULT, row, 2, loc);
    Value d0 = graph_input(g, "d0", T_REAL, ST_DEFAULT, back, 3, loc);
    NodeId r = graph_recur_begin(g, t, "T", reverse, false, 0, loc);
    uint32_t s = graph_recur_carry(g, r, s0, "s"), cls = graph_recur_class(g, r, NULL, 0);
    Recur *rec = graph_node(g, r)->recur;
    Value d = graph_delay(g, r, cls, 0, d0, 3, "d", loc),
          dd = graph_delay(g, r, cls, d,
                           graph_input(g, "dd0", T_REAL, ST_DEFAULT,
                                       (Size[]){num(&w, 1), back[0], back[1], back[2]}, 4, loc),
                           1, "dd", loc);
    Block *b = &rec->classes.data[cls].body;
    ExprId half =
        F(&w, F_mul, expr_num(g, 0.5), R(&w, rec->classes.data[cls].args[s], I(&w, 0), I(&w, 1)));
    ExprId e = F(&w, F_add, half, R(&w, x, I(&w, 0), expr_lvl(g, 0), I(&w, 1)));
    Value next = graph_eq(g, b, row, 2, RED_NONE, NULL, 0, e, 1, "s", loc);
    graph_node(g, graph_value(g, d)->node)->source = next;
    ExprId sum = F(&w, F_add, R(&w, d, N(&w, 0), I(&w, 0), I(&w, 1)),
                   F(&w, F_mul, expr_num(g, 10), R(&w, d, N(&w, 2), I(&w, 0), I(&w, 1))));
    sum = F(&w, F_add, sum,
            F(&w, F_mul, expr_num(g, 100), R(&w, dd, N(&w, 0), N(&w, 1), I(&w, 0), I(&w, 1))));
    sum = F(&w, F_add, sum, expr_real(g, expr_lvl(g, 0)));
    Value o = graph_eq(g, b, row, 2, RED_NONE, NULL, 0, sum, 1, "o", loc);
    graph_recur_next(g, r, cls, s, next);
    Value so = graph_recur_out(g, r, cls, next, 0), oo = graph_recur_out(g, r, cls, o, 1),
          last = graph_recur_out(g, r, cls, o, 2);
    graph_delay_final(g, d);
    graph_recur_end(g, r, &g->top);
    Value df = graph_node(g, graph_value(g, d)->node)->final,
          sf = graph_node(g, r)->recur->carry.data[s].final;
    Value outs[] = {so, oo, last, df, sf};
    for (int i = 0; i < 5; i++) output(&w, outs[i]);
    start(&w, T);
    if (run(&w, so)) {
        double S[10], D[3][10], DD[3][10];
        memcpy(S, w.data[s0], sizeof S);
        memcpy(D, w.data[d0], sizeof D);
        memcpy(DD,
               w.data[graph_value(g, graph_node(g, graph_value(g, dd)->node)->init) -
                      w.g->values.data],
               sizeof DD);
        for (int64_t k = 0; k < T; k++) {
            int64_t at = reverse ? T - 1 - k : k;
            for (int64_t i = 0; i < 10; i++) {
                S[i] = 0.5 * S[i] + w.data[x][(i / 5 * T + at) * 5 + i % 5];
                double y = D[0][i] + 10 * D[2][i] + 100 * DD[1][i] + (double)at;
                CHECK(interp_get(w.in, so)->real[at * 10 + i] == S[i], "state at %d", (int)at);
                CHECK(interp_get(w.in, oo)->real[(i / 5 * T + at) * 5 + i % 5] == y,
                      "delayed at %d", (int)at);
                CHECK(interp_get(w.in, last)->real[i * T + at] == y, "last axis at %d", (int)at);
            }
            memcpy(DD, D, sizeof DD);
            memmove(D[1], D[0], 2 * sizeof D[0]);
            memcpy(D[0], S, sizeof S);
        }
        for (int i = 0; i < 10; i++) CHECK(interp_get(w.in, sf)->real[i] == S[i], "final state");
        for (int i = 0; i < 30; i++)
            CHECK(interp_get(w.in, df)->real[i] == (&D[0][0])[i], "final delay");
    }
    world_free(&w);
}

/* Layers in classes: x = x*2 + p[pos] in class 0, x = x + y, y = old x in class 1 (carried values that
 * change places), and what class 1 saw is put out. Inside, a recurrence of its own over T. */
static void test_layers(bool reverse) {
    World w = world_new();
    Graph *g = w.g;
    Size t = size_axis(g->sizes, "T", 1), seven = num(&w, 7), three = num(&w, 3), four = num(&w, 4);
    Value x0 = graph_input(g, "x0", T_REAL, ST_DEFAULT, &t, 1, loc),
          y0 = graph_input(g, "y0", T_REAL, ST_DEFAULT, &t, 1, loc);
    Value p = graph_input(g, "p", T_REAL, ST_DEFAULT, &four, 1, loc),
          zero = graph_input(g, "z", T_REAL, ST_DEFAULT, NULL, 0, loc);
    (void)three;
    NodeId r = graph_recur_begin(g, seven, "layers", reverse, true, 0, loc);
    uint32_t cx = graph_recur_carry(g, r, x0, "x"), cy = graph_recur_carry(g, r, y0, "y");
    uint32_t even = graph_recur_class(g, r, (uint32_t[]){0, 2, 4, 6}, 4),
             odd = graph_recur_class(g, r, (uint32_t[]){1, 3, 5}, 3);
    Recur *rec = graph_node(g, r)->recur;
    RecurClass *a = &rec->classes.data[even], *b = &rec->classes.data[odd];
    ExprId e = F(&w, F_add, F(&w, F_mul, R(&w, a->args[cx], I(&w, 0)), expr_num(g, 2)),
                 R(&w, p, expr_pos(g, 0)));
    Value doubled = graph_eq(g, &a->body, &t, 1, RED_NONE, NULL, 0, e, 1, "doubled", loc);
    NodeId in = graph_recur_begin(g, t, "T", false, false, 1, loc); /* running sum */
    uint32_t cs = graph_recur_carry(g, in, zero, "sum"), ic = graph_recur_class(g, in, NULL, 0);
    RecurClass *inner = &graph_node(g, in)->recur->classes.data[ic];
    e = F(&w, F_add, R(&w, inner->args[cs]),
          F(&w, F_mul, R(&w, doubled, expr_lvl(g, 1)), expr_real(g, expr_lvl(g, 0))));
    Value sum = graph_eq(g, &inner->body, NULL, 0, RED_NONE, NULL, 0, e, 2, "sum", loc);
    graph_recur_next(g, in, ic, cs, sum);
    Value sums = graph_recur_out(g, in, ic, sum, 0);
    graph_recur_end(g, in, &a->body);
    graph_recur_next(g, r, even, cx, sums);
    graph_recur_next(g, r, even, cy, a->args[cy]);
    e = F(&w, F_add, R(&w, b->args[cx], I(&w, 0)), R(&w, b->args[cy], I(&w, 0)));
    Value added = graph_eq(g, &b->body, &t, 1, RED_NONE, NULL, 0, e, 1, "added", loc);
    graph_recur_next(g, r, odd, cx, added);
    graph_recur_next(g, r, odd, cy, b->args[cx]);
    Value seen = graph_recur_out(g, r, odd, b->args[cy], 0);
    graph_recur_end(g, r, &g->top);
    Value xf = graph_node(g, r)->recur->carry.data[cx].final,
          yf = graph_node(g, r)->recur->carry.data[cy].final;
    output(&w, xf);
    output(&w, yf);
    output(&w, seen);
    enum { T = 5 };
    start(&w, T);
    if (run(&w, xf)) {
        double X[T], Y[T], Z[T];
        memcpy(X, w.data[x0], sizeof X);
        memcpy(Y, w.data[y0], sizeof Y);
        for (int k = 0; k < 7; k++) {
            int l = reverse ? 6 - k : k;
            double run_sum = w.data[zero][0];
            memcpy(Z, X, sizeof X);
            for (int i = 0; i < T && l % 2; i++)
                CHECK(interp_get(w.in, seen)->real[l / 2 * T + i] == Y[i], "seen in %d", l);
            for (int i = 0; i < T; i++)
                X[i] = l % 2 ? X[i] + Y[i] : (run_sum += (X[i] * 2 + w.data[p][l / 2]) * l);
            if (l % 2) memcpy(Y, Z, sizeof Z);
        }
        for (int i = 0; i < T; i++)
            CHECK(interp_get(w.in, xf)->real[i] == X[i], "x %g %g", interp_get(w.in, xf)->real[i],
                  X[i]);
        for (int i = 0; i < T; i++) CHECK(interp_get(w.in, yf)->real[i] == Y[i], "y");
    }
    world_free(&w);
}

/* Values whose rooms must not be given away too soon: u and v are computed outside and used inside, a
 * is used by the next iteration (twice) and put out after b, c and d were computed. */
static void test_rooms(void) {
    enum { L = 4, D = 20 };
    World w = world_new();
    Graph *g = w.g;
    Size n = num(&w, D);
    Value x0 = input(&w, "x", T_REAL, 1, (int64_t[]){D});
    Value first = eq(&w, 1, 0, (int64_t[]){D}, RED_NONE, expr_num(g, 7));
    Value later = eq(&w, 1, 0, (int64_t[]){D}, RED_NONE, expr_num(g, 9));
    Value u =
        eq(&w, 1, 0, (int64_t[]){D}, RED_NONE, F(&w, F_mul, R(&w, x0, I(&w, 0)), expr_num(g, 3)));
    Value v =
        eq(&w, 1, 0, (int64_t[]){D}, RED_NONE, F(&w, F_add, R(&w, x0, I(&w, 0)), expr_num(g, 1)));
    NodeId r = graph_recur_begin(g, num(&w, L), "layers", false, true, 0, loc);
    uint32_t cp = graph_recur_carry(g, r, x0, "p"), cq = graph_recur_carry(g, r, x0, "q");
    uint32_t co = graph_recur_carry(g, r, first, "o");
    uint32_t cls = graph_recur_class(g, r, (uint32_t[]){0, 1, 2, 3}, L);
    RecurClass *k = &graph_node(g, r)->recur->classes.data[cls];
    Value from = u, made[4];
    for (int i = 0; i < 4; i++) {
        ExprId e = R(&w, i ? from : k->args[cp], I(&w, 0));
        if (i == 1) e = F(&w, F_add, e, R(&w, k->args[co], I(&w, 0)));
        if (i == 0)
            e = F(&w, F_add, e, F(&w, F_mul, R(&w, u, I(&w, 0)), R(&w, k->args[cq], I(&w, 0))));
        if (i == 3) e = F(&w, F_sub, e, R(&w, v, I(&w, 0)));
        from = made[i] = graph_eq(g, &k->body, &n, 1, RED_NONE, NULL, 0,
                                  F(&w, F_mul, e, expr_num(g, 0.5)), 1, "a", loc);
    }
    graph_recur_next(g, r, cls, cp, made[0]);
    graph_recur_next(g, r, cls, cq, made[0]);
    graph_recur_next(g, r, cls, co, later);
    Value a = graph_recur_out(g, r, cls, made[0], 1), d = graph_recur_out(g, r, cls, made[3], 1),
          d2 = graph_recur_out(g, r, cls, made[1], 1);
    graph_recur_end(g, r, &g->top);
    Value q = graph_node(g, r)->recur->carry.data[cq].final;
    Value o = graph_node(g, r)->recur->carry.data[co].final, outs[] = {a, d, d2, q, o};
    for (int i = 0; i < 5; i++) output(&w, outs[i]);
    start(&w, 0);
    run(&w, a);
    for (int i = 0; i < D; i++) {
        double x = w.data[x0][i], P = x, Q = x;
        for (int l = 0; l < L; l++) {
            P = Q = (P + x * 3 * Q) * 0.5;
            CHECK(interp_get(w.in, a)->real[i * L + l] == P, "a");
            double b = (P + (l ? 9 : 7)) * 0.5;
            CHECK(interp_get(w.in, d2)->real[i * L + l] == b, "b");
            CHECK(interp_get(w.in, d)->real[i * L + l] == (b * 0.5 - (x + 1)) * 0.5, "d");
        }
        CHECK(interp_get(w.in, q)->real[i] == Q && interp_get(w.in, o)->real[i] == 9, "q, o");
    }
    world_free(&w);
}

/* ---- scatter, random, errors, memory ------------------------------------------------------------- */

static void test_scatter(void) {
    World w = world_new();
    Value id = input(&w, "id", T_INT, 1, (int64_t[]){50}),
          x = input(&w, "x", T_REAL, 2, (int64_t[]){50, 9});
    ExprId subs[2] = {F(&w, F_add, R(&w, id, I(&w, 0)), N(&w, 1)),
                      F(&w, F_sub, N(&w, 8), I(&w, 1))};
    Size dims[2] = {num(&w, 7), num(&w, 9)}, iter[2] = {num(&w, 50), num(&w, 9)};
    Value y = graph_scatter(w.g, &w.g->top, dims, 2, iter, 2, subs, R(&w, x, I(&w, 0), I(&w, 1)), 0,
                            "y", loc);
    output(&w, y);
    start(&w, 0);
    for (int again = 0; again < 2; again++) {
        const double *got = run(&w, y);
        double want[63] = {0};
        for (int i = 0; i < 450; i++)
            want[(((int64_t *)(void *)w.data[id])[i / 9] + 1) * 9 + 8 - i % 9] += w.data[x][i];
        for (int i = 0; got && i < 63; i++) CHECK(got[i] == want[i], "scatter at %d", i);
    }
    ((int64_t *)(void *)w.data[id])[30] = 6;
    const char *error = interp_run(w.in);
    CHECK(error && strstr(error, "'y'") && strstr(error, "at 7 in axis 0") &&
              strstr(error, "7 items"),
          "%s", error ? error : "none");
    CHECK(interp_error_loc(w.in).line == 7, "line");
    CHECK(!interp_get(w.in, y), "no values after an error");
    world_free(&w);
}

static const char *error_of(World *w, ExprId e, const int64_t *dims, Array *bound, Value v) {
    Value y = eq(w, 1, 0, dims, RED_NONE, e);
    output(w, y);
    start(w, 0);
    if (bound) interp_bind(w->in, v, bound);
    const char *error = interp_run(w->in);
    return error ? error : "no error";
}

static void test_errors(void) {
    World w = world_new();
    Value x = input(&w, "table", T_REAL, 2, (int64_t[]){5, 3}),
          id = input(&w, "id", T_INT, 1, (int64_t[]){200});
    const char *e =
        error_of(&w, R(&w, x, R(&w, id, I(&w, 0)), N(&w, 1)), (int64_t[]){200}, NULL, 0);
    CHECK(strstr(e, "'y'") &&
              strstr(e, "the input 'table' is read at 5 in axis 0, which has 5 items"),
          "%s", e);
    world_free(&w);
    w = world_new();
    x = input(&w, "table", T_REAL, 1, (int64_t[]){5});
    e = error_of(&w, R(&w, x, F(&w, F_sub, I(&w, 0), N(&w, 2))), (int64_t[]){7}, NULL, 0);
    CHECK(strstr(e, "read at -2"), "%s", e);
    world_free(&w);
    w = world_new();
    x = input(&w, "table", T_REAL, 1, (int64_t[]){5});
    e = error_of(&w, R(&w, x, F(&w, F_add, I(&w, 0), N(&w, 1))), (int64_t[]){5}, NULL, 0);
    CHECK(strstr(e, "read at 5 in axis 0, which has 5 items"), "%s", e);
    world_free(&w);
    w = world_new();
    id = input(&w, "id", T_INT, 1, (int64_t[]){200});
    ExprId i = R(&w, id, I(&w, 0));
    e = error_of(&w, F(&w, F_idiv, N(&w, 9), i), (int64_t[]){200}, NULL, 0);
    CHECK(strstr(e, "'y': 9 is divided by 0"), "%s", e);
    world_free(&w);
    w = world_new(); /* but not where a condition keeps it away */
    id = input(&w, "id", T_INT, 1, (int64_t[]){200});
    i = R(&w, id, I(&w, 0));
    e = error_of(&w,
                 expr_select(w.g, F(&w, F_ne, i, N(&w, 0)), F(&w, F_imod, N(&w, -9), i), N(&w, 5)),
                 (int64_t[]){200}, NULL, 0);
    CHECK(!strcmp(e, "no error"), "%s", e);
    world_free(&w);
    w = world_new();
    id = input(&w, "token", T_INT, 2, (int64_t[]){2, 3});
    w.g->inputs.data[0].below = 12;
    int64_t tokens[6] = {0, 1, 2, 11, 12, 3};
    Array a = {.type = T_INT, .rank = 2, .dims = {2, 3}, .ints = tokens};
    e = error_of(&w, R(&w, id, I(&w, 0), N(&w, 0)), (int64_t[]){2}, &a, id);
    CHECK(strstr(e, "the input 'token' has 12 at [1,1]; its numbers must be in 0..11"), "%s", e);
    a.dims[1] = 2;
    CHECK(!interp_bind(w.in, id, &a), "bind");
    e = interp_run(w.in);
    CHECK(e && strstr(e, "the input 'token' is [2,2], but must be [2,3] = [2,3]"), "%s",
          e ? e : "none");
    a.type = T_REAL;
    CHECK(interp_bind(w.in, id, &a), "type");
    CHECK(interp_axis(w.in, "Q", 3), "unknown axis");
    world_free(&w);
}

static void test_axes_and_memory(void) {
    World w = world_new();
    Size t = size_axis(w.g->sizes, "T", 4);
    Value x = graph_input(w.g, "x", T_REAL, ST_DEFAULT, &t, 1, loc);
    Size big[2] = {t, size_mul(w.g->sizes, t, num(&w, 1000))};
    Value y = graph_eq(w.g, &w.g->top, big, 2, RED_NONE, NULL, 0, R(&w, x, I(&w, 0)), 0, "y", loc);
    Value z = graph_eq(w.g, &w.g->top, NULL, 0, RED_SUM, big, 2, R(&w, y, I(&w, 0), I(&w, 1)), 0,
                       "z", loc);
    output(&w, z);
    w.options.memory_limit = 1 << 20;
    w.in = interp_new(w.g, &w.options);
    const char *e = interp_run(w.in);
    CHECK(e && strstr(e, "axis T has no length"), "%s", e ? e : "none");
    e = interp_axis(w.in, "T", 6);
    CHECK(e && strstr(e, "multiple of 4"), "%s", e ? e : "none");
    double data[1000] = {1, 2, 3, 4};
    static const int64_t lengths[] = {8, 1000, 4};
    for (int i = 0; i < 3; i++) {
        Array a = {.type = T_REAL, .rank = 1, .dims = {lengths[i]}, .real = data};
        CHECK(!interp_axis(w.in, "T", lengths[i]) && !interp_bind(w.in, x, &a), "setting");
        e = interp_run(w.in);
        if (i == 1)
            CHECK(e && strstr(e, "7629.4 MiB") && strstr(e, "limit"), "%s", e ? e : "none");
        else
            CHECK(!e && interp_get(w.in, z)->real[0] == 10000.0 * (double)lengths[i], "%s",
                  e ? e : "sum");
    }
    Size huge[3] = {num(&w, (int64_t)1 << 40), num(&w, (int64_t)1 << 40), t};
    graph_eq(w.g, &w.g->top, huge, 3, RED_NONE, NULL, 0, expr_num(w.g, 1), 0, "huge", loc);
    interp_free(w.in);
    w.in = interp_new(w.g, NULL);
    interp_axis(w.in, "T", 4);
    e = interp_run(w.in);
    CHECK(e && strstr(e, "huge is too large"), "%s", e ? e : "none");
    world_free(&w);
}

static void test_random(void) {
    World w = world_new();
    ExprId args[2] = {I(&w, 1), F(&w, F_imod, I(&w, 0), N(&w, 3))};
    Value y = eq(&w, 2, 0, (int64_t[]){6, 1000}, RED_NONE, expr_random(w.g, 4, args, 2));
    output(&w, y);
    w.options.seed = 9;
    start(&w, 0);
    const double *got = run(&w, y);
    double mean = 0;
    for (int64_t i = 0; got && i < 6000; i++) {
        uint64_t h = random_next(random_next(random_begin(9, 4), i % 1000), i / 1000 % 3);
        CHECK(got[i] == random_end(h) && got[i] >= 0 && got[i] < 1, "random at %d", (int)i);
        mean += got[i] / 6000;
    }
    CHECK(fabs(mean - 0.5) < 0.02, "mean %g", mean);
    double before = got ? got[17] : 0;
    interp_seed(w.in, 10);
    got = run(&w, y);
    CHECK(got && got[17] != before, "another seed, other numbers");
    world_free(&w);
}

/* Random numbers of some lanes only are the same ones. */
static void test_random_lanes(void) {
    World w = world_new();
    ExprId args[1] = {I(&w, 0)}, late = F(&w, F_ge, I(&w, 0), N(&w, 70));
    Value y = eq(&w, 1, 0, (int64_t[]){100}, RED_NONE,
                 expr_select(w.g, late, expr_random(w.g, 1, args, 1), expr_num(w.g, 2)));
    output(&w, y);
    start(&w, 0);
    const double *got = run(&w, y);
    for (int64_t i = 0; got && i < 100; i++)
        CHECK(got[i] == (i < 70 ? 2 : random_end(random_next(random_begin(0, 1), i))),
              "random at %d", (int)i);
    world_free(&w);
}

static void count_tap(void *user, Value v, const Array *a, const int64_t *counters, uint32_t n) {
    (void)v;
    (void)n;
    double *sum = user;
    sum[0] += 1;
    sum[1] += a->rank == 0 ? a->real[0] * (double)(counters[0] + 1) : 0;
}

static void test_tap(void) {
    World w = world_new();
    Graph *g = w.g;
    Value x = graph_input(g, "x", T_REAL, ST_DEFAULT, NULL, 0, loc);
    NodeId r = graph_recur_begin(g, num(&w, 3), "layers", false, true, 0, loc);
    uint32_t c = graph_recur_carry(g, r, x, "x"),
             cls = graph_recur_class(g, r, (uint32_t[]){0, 1, 2}, 3);
    RecurClass *body = &graph_node(g, r)->recur->classes.data[cls];
    Value y = graph_eq(g, &body->body, NULL, 0, RED_NONE, NULL, 0, expr_real(g, expr_lvl(g, 0)), 1,
                       "y", loc);
    graph_recur_next(g, r, cls, c, y);
    graph_recur_end(g, r, &g->top);
    output(&w, graph_node(g, r)->recur->carry.data[c].final);
    double sum[2] = {0, 0};
    w.options.tap = count_tap;
    w.options.tap_user = sum;
    start(&w, 0);
    run(&w, x);
    CHECK(sum[0] == 4 && sum[1] == 0 + 1 * 2 + 2 * 3 + 2 * 3, "%g %g", sum[0], sum[1]);
    world_free(&w);
}

static void test_formulas(void) {
    World w = world_new();
    ExprId d = F(&w, F_div, I(&w, 1), expr_num(w.g, 300));
    ExprId e = expr_select(w.g, F(&w, F_lt, I(&w, 1), N(&w, 9)),
                           F(&w, F_pow, d, F(&w, F_add, expr_lvl(w.g, 0), I(&w, 0))),
                           F(&w, F_imod, I(&w, 1), N(&w, 5)));
    double out[600];
    int64_t levels[MAX_LEVELS] = {2}, dims[2] = {2, 300};
    const char *error = interp_fill_formula(w.a, w.g, e, dims, 2, levels, out);
    CHECK(!error, "%s", error);
    for (int64_t i = 0; i < 600; i++) {
        int64_t at[MAX_RANK] = {i / 300, i % 300};
        double want =
            at[1] < 9 ? pow((double)at[1] / 300, (double)(2 + at[0])) : (double)(at[1] % 5);
        CHECK(out[i] == want, "formula at %d: %g %g", (int)i, out[i], want);
        if (i % 37 == 0)
            CHECK(interp_eval_formula(w.g, e, at, levels) == want, "one point %d", (int)i);
    }
    CHECK(interp_eval_formula(w.g, expr_int(w.g, 3), NULL, NULL) == 3, "an int");
    world_free(&w);
}

int main(void) {
    for (int i = 0; i < 2; i++) {
        test_time(1, i);
        test_time(17, i);
        test_layers(i);
    }
    test_rooms();
    test_scatter();
    test_errors();
    test_axes_and_memory();
    test_random();
    test_random_lanes();
    test_tap();
    test_formulas();
    if (failures(0)) printf("%d failed\n", failures(0));
    return failures(0) ? 1 : 0;
}
