/* How things are said: the place of an error and the way to it, shapes, and the names that may have
 * been meant.
 *
 * The user's own text comes first: a mistake that shows inside a function of another file is told at
 * the call in the main file, with the other file's line as a note. */
#include "check_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- errors ------------------------------------------------------------------------------------- */

static bool same_place(Loc a, Loc b) {
    return a.file == b.file && a.line == b.line && a.col == b.col;
}

static bool in_main(const Check *c, Loc at) {
    return !c->main || !at.line || at.file == c->main->file->number;
}

/* The innermost call whose text stands in the main file; UINT32_MAX if there is none. */
static uint32_t users_call(const Check *c) {
    for (uint32_t i = c->n_calls; i > 0; i--)
        if (c->calls[i - 1].loc.line && in_main(c, c->calls[i - 1].loc)) return i - 1;
    return UINT32_MAX;
}

Loc users_place(const Check *c) {
    uint32_t i = users_call(c);
    return i == UINT32_MAX ? (Loc){0} : c->calls[i].loc;
}

/* From the place of the error outwards, each place once; the outermost call is never left out. */
static void note_calls(Check *c, Loc at) {
    Loc last = at;
    for (uint32_t i = c->n_calls, shown = 0; i > 0; i--) {
        const CallSite *k = &c->calls[i - 1];
        if (!k->loc.line || same_place(k->loc, last) || (shown >= 2 && i > 1)) continue;
        diag_note(c->diag, k->loc, "in '%s', called here", k->name);
        last = k->loc;
        shown++;
    }
}

/* From the user's call inwards. */
static void note_descent(Check *c, uint32_t from, Loc at) {
    for (uint32_t i = from + 1; i < c->n_calls && i < from + 4; i++)
        if (c->calls[i].loc.line && !same_place(c->calls[i].loc, at))
            diag_note(c->diag, c->calls[i].loc, "'%s' is called here", c->calls[i].name);
    diag_note(c->diag, at, "in '%s' it happens here", c->calls[c->n_calls - 1].name);
}

void check_error(Check *c, ErrorCode code, Loc at, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    Text t = text_new(c->arena);
    text_vprintf(&t, fmt, ap);
    va_end(ap);
    uint32_t user = in_main(c, at) ? UINT32_MAX : users_call(c);
    if (user == UINT32_MAX) {
        diag_report(c->diag, code, at, "%s", t.data);
        note_calls(c, at);
    } else {
        diag_report(c->diag, code, c->calls[user].loc, "in '%s': %s", c->calls[c->n_calls - 1].name,
                    t.data);
        note_descent(c, user, at);
    }
}

bool check_work(Check *c, uint64_t units, Loc loc) {
    bool before = c->work <= WORK_MAX;
    c->work += units;
    if (c->work <= WORK_MAX) return true;
    if (!before) return false;
    check_error(c, E0308, loc, "this text is too large when its loops and calls are written out");
    diag_help(c->diag,
              "a loop whose iterations are alike is kept as one; conditions, subscripts and sizes "
              "of its counter tell them apart");
    return false;
}

/* "the left side got its shape here: [4*D] = [32]", where the place is known. */
void note_shape(Check *c, const Val *v, const char *what) {
    if (!v->loc.line) return;
    if (v->kind == V_TENSOR && v->rank)
        diag_note(c->diag, v->loc, "%s got its shape here: %s", what, shape_say(c, v));
    else
        diag_note(c->diag, v->loc, "%s comes from here", what);
}

/* What keeps a value from being known when compiling. */
const char *depends_say(Check *c, const Val *v) {
    if (v->kind == V_SIZE) return "an axis";
    if (v->kind != V_TENSOR || expr_reads(c, v->e)) return "data";
    return expr_free(c, v->e)[0] ? "an index" : "an axis";
}

void help_ints(Check *c) {
    diag_help(
        c->diag,
        "whole numbers are indices, sizes, comparisons, argmax, and inputs declared ': int' or ': index(N)'");
}

/* ---- shapes and sizes ----------------------------------------------------------------------------- */

static void shape_add(Check *c, Text *t, const Val *v, bool numbers) {
    text_add(t, "[");
    for (uint32_t i = 0; i < v->rank; i++) {
        int64_t n;
        if (i) text_add(t, ",");
        if (numbers && size_value(c->sizes, v->dims[i], &n))
            text_printf(t, "%lld", (long long)n);
        else
            text_add(t, size_text(c, v->dims[i]));
    }
    text_add(t, "]");
}

const char *val_shape(Check *c, const Val *v) {
    if (v->kind != V_TENSOR || v->rank == 0) return "a number";
    Text t = text_new(c->arena);
    shape_add(c, &t, v, false);
    return t.data;
}

const char *shape_say(Check *c, const Val *v) {
    if (v->kind != V_TENSOR || v->rank == 0) return "a number";
    Text t = text_new(c->arena), u = text_new(c->arena);
    shape_add(c, &t, v, false);
    shape_add(c, &u, v, true);
    return strcmp(t.data, u.data) == 0 ? t.data : arena_printf(c->arena, "%s = %s", t.data, u.data);
}

/* A size without the parentheses it does not need: "(D//N)" for the exact "((D)//(N))". */
const char *size_text(Check *c, Size s) {
    const char *from = size_str(c->sizes, s);
    size_t n = strlen(from), k = 0;
    char *to = arena_alloc(c->arena, n + 1);
    for (size_t i = 0; i < n; i++) {
        size_t word = from[i] == '(' ? strcspn(from + i + 1, " +-*/()") : 0;
        if (word && from[i + 1 + word] == ')') {
            memcpy(to + k, from + i + 1, word);
            k += word;
            i += word + 1;
        } else {
            to[k++] = from[i];
        }
    }
    to[k] = 0;
    int depth = 0;
    for (size_t i = 0; i < k; i++) { /* one pair around all of it */
        depth += to[i] == '(' ? 1 : to[i] == ')' ? -1 : 0;
        if (depth == 0 && i + 1 < k) return to;
    }
    if (k < 2 || to[0] != '(') return to;
    to[k - 1] = 0;
    return to + 1;
}

const char *size_say(Check *c, Size s) {
    int64_t n;
    if (size_is_num(c->sizes, s, &n) || !size_value(c->sizes, s, &n)) return size_text(c, s);
    return arena_printf(c->arena, "%s = %lld", size_text(c, s), (long long)n);
}

/* A size as the text has it. */
static void ast_say(Text *t, const Ast *x, uint32_t depth) {
    if (!x || depth > 8)
        text_add(t, "...");
    else if (x->kind == A_NAME)
        text_add(t, x->name);
    else if (x->kind == A_NUM)
        text_printf(t, "%.10g", x->num);
    else if (x->kind == A_BINARY) {
        bool sum = x->op == OP_ADD || x->op == OP_SUB;
        if (sum && depth) text_add(t, "(");
        ast_say(t, x->a, depth + 1);
        text_printf(t, sum ? " %s " : "%s", ast_op_name[x->op]);
        ast_say(t, x->b, depth + 1);
        if (sum && depth) text_add(t, ")");
    } else
        text_add(t, "...");
}

const char *dims_say(Check *c, const Dims *d) {
    if (d->axes.n == 0) return "a number";
    Text t = text_new(c->arena);
    text_add(&t, "[");
    for (uint32_t i = 0; i < d->axes.n; i++) {
        if (i) text_add(&t, ",");
        ast_say(&t, d->axes.data[i].size, 0);
    }
    text_add(&t, "]");
    return t.data;
}

/* y[i,j] = a[i,j] * b[j], where the axes of the lower rank can be found among the others; else NULL. */
const char *meet_say(Check *c, const char *what, const Val *a, const Val *b) {
    const Val *high = a->rank >= b->rank ? a : b, *low = a->rank >= b->rank ? b : a;
    bool word = what[0] >= 'a' && what[0] <= 'z', used[MAX_RANK] = {false};
    char subs[2][2 * MAX_RANK + 2] = {"", ""}, *s = subs[1];
    if (high->rank > 9) return NULL;
    for (uint32_t k = 0; k < low->rank; k++) {
        uint32_t j = 0;
        while (j < high->rank && (used[j] || !same_size(c, high->dims[j], low->dims[k]))) j++;
        if (j == high->rank) return NULL;
        used[j] = true;
        *s++ = (char)('i' + j);
        *s++ = k + 1 < low->rank ? ',' : 0;
    }
    s = subs[0];
    for (uint32_t j = 0; j < high->rank; j++)
        *s++ = (char)('i' + j), *s++ = j + 1 < high->rank ? ',' : 0;
    const char *l = high == a ? subs[0] : subs[1], *r = high == a ? subs[1] : subs[0];
    if (strncmp(what, "select", 6) == 0) return NULL;
    if (word) return arena_printf(c->arena, "y[%s] = %s(a[%s], b[%s])", subs[0], what, l, r);
    return arena_printf(c->arena, "y[%s] = a[%s] %s b[%s]", subs[0], l, what, r);
}

/* ---- names that may have been meant ------------------------------------------------------------------ */

static uint32_t edit_distance(const char *a, const char *b) {
    size_t n = strlen(a), m = strlen(b);
    if (n > 40 || m > 40) return 99;
    uint32_t row[42];
    for (uint32_t j = 0; j <= m; j++) row[j] = j;
    for (uint32_t i = 1; i <= n; i++) {
        uint32_t diagonal = row[0];
        row[0] = i;
        for (uint32_t j = 1; j <= m; j++) {
            uint32_t best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[m];
}

/* A name of one letter is near to none: every other is one letter away. */
uint32_t near_enough(const char *name) {
    size_t n = strlen(name);
    return n < 2 ? 1 : n < 5 ? 2 : 3;
}

void nearer(const char *name, const char *other, const char **best, uint32_t *d) {
    if (!other) return;
    uint32_t e = edit_distance(name, other);
    if (e < *d) *d = e, *best = other;
}

static void nearest_in_module(const Module *m, const char *name, bool fns, const char **best,
                              uint32_t *d) {
    if (!fns)
        for (uint32_t i = 0; i < m->consts.n; i++) nearer(name, m->consts.data[i].name, best, d);
    for (uint32_t i = 0; i < m->file->decls.n; i++) {
        const Decl *e = m->file->decls.data[i];
        if (fns && e->name && (e->kind == D_FN || e->kind == D_CELL || e->kind == D_MODEL))
            nearer(name, e->name, best, d);
        if (!fns && e->kind == D_AXIS)
            for (uint32_t k = 0; k < e->axes.n; k++) nearer(name, e->axes.data[k].name, best, d);
    }
}

/* The visible name most like this one, or NULL when none is near. */
const char *nearest_name(Check *c, Scope *s, const char *name, bool fns) {
    const char *best = NULL;
    uint32_t d = near_enough(name);
    for (Scope *t = s; t; t = t->up)
        for (uint32_t i = 0; i < t->syms.n; i++)
            if ((t->syms.data[i].kind == SYM_FN) == fns)
                nearer(name, t->syms.data[i].name, &best, &d);
    Reach r = {.n = 0};
    if (s) module_reach(s->module, &r);
    for (uint32_t i = 0; i < r.n; i++) nearest_in_module(r.m[i], name, fns, &best, &d);
    if (fns)
        for (int f = 1; f < F_COUNT; f++)
            if (fn_is_call((Fn)f)) nearer(name, fn_info[f].name, &best, &d);
    (void)c;
    return best;
}

void help_near(Check *c, Scope *s, const char *name, bool fns) {
    const char *near = nearest_name(c, s, name, fns);
    if (near) diag_help(c->diag, "did you mean '%s'?", near);
}
