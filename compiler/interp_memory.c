/* Where values stand: one slab for all that is computed, planned before anything runs.
 *
 * Requires: a graph that graph_verify accepts, lengths for all axes. Every value has its room from
 * its definition to its last use; values of a body do so within one iteration, what is defined
 * outside and used in a body stays until the recurrence ends. Rooms are taken best fit, in order of
 * definition. Cost: linear in the graph, times the number of gaps. */
#include "interp_impl.h"

#include <string.h>

typedef struct Request {
    uint32_t start, end;
    Value value; /* its end is its last use; 0: end as it stands */
    int64_t items;
    size_t *where;
} Request;

typedef struct Around { /* a block, by number; 0 is the top */
    uint32_t parent, exit;
} Around;

typedef struct Walk {
    Known *k;
    Graph *g;
    Arena *a, *scratch;
    Rooms *r;
    uint32_t now, block;
    uint32_t *block_of, *last; /* by Value */
    bool *placed;              /* by Value: a recurrence has chosen its place already */
    VEC(Around) around;
    VEC(Request) requests;
    uint32_t next_block; /* second walk */
} Walk;

/* ---- sizes ----------------------------------------------------------------------------------- */

static bool measure(Walk *w, Value v) {
    Room *room = &w->r->room[v];
    const ValueInfo *info = graph_value(w->g, v);
    room->items = 1;
    for (uint32_t i = 0; i < info->rank; i++) {
        int64_t n;
        if (!known_size(w->k, info->dims[i], &n)) return false;
        if (n < 1 || __builtin_mul_overflow(room->items, n, &room->items) ||
            room->items > (int64_t)1 << 48) {
            w->k->error = arena_printf(w->g->arena,
                                       n < 1 ? "%s has an axis of %lld items" : "%s is too large",
                                       info->name ? info->name : "a value", (long long)n);
            return false;
        }
        room->dims[i] = n;
    }
    return true;
}

static void ask(Walk *w, uint32_t start, uint32_t end, Value v, int64_t items, size_t *where) {
    *PUSH(w->scratch, &w->requests) = (Request){start, end, v, items, where};
}

/* v is defined in the current block, now. */
static bool define(Walk *w, Value v, uint8_t at) {
    if (!v || !measure(w, v)) return v == 0;
    w->r->room[v].at = at;
    w->block_of[v] = w->block;
    if (w->last[v] < w->now) w->last[v] = w->now;
    if (at == AT_SLAB) ask(w, w->now, 0, v, w->r->room[v].items, &w->r->room[v].offset);
    return true;
}

/* ---- first walk: definitions ------------------------------------------------------------------ */

static bool define_block(Walk *w, const Block *b);

/* A value whose memory the recurrence may choose: computed by a node of this very body. */
static bool may_place(Walk *w, Value v) {
    const ValueInfo *info = graph_value(w->g, v);
    uint8_t kind = graph_node(w->g, info->node)->kind;
    bool computed = kind == N_EQ || kind == N_SCATTER || kind == N_RECUR;
    if (!computed || w->block_of[v] != w->block || w->placed[v]) return false;
    w->placed[v] = true;
    w->r->room[v].at = AT_RECUR;
    return true;
}

static void place_class(Walk *w, const Recur *r, const RecurClass *c, ClassRoom *room, bool *both) {
    room->next = NEWN(w->a, uint8_t, r->carry.n + 1);
    room->out_placed = NEWN(w->a, bool, c->outs.n + 1);
    for (uint32_t i = 0; i < r->carry.n; i++) {
        bool same = c->next[i] == c->args[i];
        room->next[i] = same ? NEXT_SAME : may_place(w, c->next[i]) ? NEXT_PLACED : NEXT_COPY;
        both[i] = both[i] || !same;
    }
    for (uint32_t i = 0; i < c->outs.n; i++) {
        const RecurOut *o = &c->outs.data[i];
        room->out_placed[i] = o->axis == 0 && !o->every && may_place(w, o->body);
    }
    for (uint32_t i = 0; i < c->body.nodes.n; i++)
        if (graph_node(w->g, c->body.nodes.data[i])->kind == N_DELAY)
            *PUSH(w->a, &room->delays) = c->body.nodes.data[i];
}

static bool define_results(Walk *w, const Recur *r) {
    for (uint32_t i = 0; i < r->carry.n; i++)
        if (!define(w, r->carry.data[i].final, AT_SLAB)) return false;
    for (uint32_t i = 0; i < r->classes.n; i++) {
        const RecurClass *c = &r->classes.data[i];
        for (uint32_t j = 0; j < c->outs.n; j++)
            if (!define(w, c->outs.data[j].result, AT_SLAB)) return false;
        for (uint32_t j = 0; j < c->body.nodes.n; j++) {
            const Node *n = graph_node(w->g, c->body.nodes.data[j]);
            if (n->kind == N_DELAY && n->final && !define(w, n->final, AT_SLAB)) return false;
        }
    }
    return true;
}

static bool define_class(Walk *w, const Recur *r, const RecurClass *c, ClassRoom *room, bool *both,
                         uint32_t outer) {
    *PUSH(w->scratch, &w->around) = (Around){outer, 0};
    w->block = w->around.n - 1;
    for (uint32_t i = 0; i < r->carry.n; i++)
        if (!define(w, c->args[i], AT_RECUR)) return false;
    if (!define_block(w, &c->body)) return false;
    w->now++;
    place_class(w, r, c, room, both);
    return true;
}

/* What stays through all iterations: carried values, and the rows of delays. */
static bool ask_lasting(Walk *w, const Recur *r, RecurRoom *room) {
    for (uint32_t i = 0; i < 2 * r->carry.n; i++)
        ask(w, w->now, 0, 0, 0, &room->carry[i & 1][i / 2]);
    for (uint32_t i = 0; i < r->classes.n; i++) {
        const Block *b = &r->classes.data[i].body;
        for (uint32_t j = 0; j < b->nodes.n; j++) {
            const Node *n = graph_node(w->g, b->nodes.data[j]);
            if (n->kind != N_DELAY) continue;
            if (!measure(w, n->out)) return false;
            Room *rows = &w->r->room[n->out];
            ask(w, w->now, 0, 0, rows->items, &rows->offset);
            if (graph_node(w->g, graph_value(w->g, n->source)->node)->kind == N_DELAY)
                ask(w, w->now, 0, 0, rows->items / rows->dims[0], &w->r->delay[b->nodes.data[j]]);
        }
    }
    return true;
}

static bool define_recur(Walk *w, NodeId id) {
    const Recur *r = graph_node(w->g, id)->recur;
    RecurRoom *room = w->r->recur[id] = NEW(w->a, RecurRoom);
    uint32_t outer = w->block, first = w->around.n;
    if (!known_size(w->k, r->length, &room->length) || !define_results(w, r)) return false;
    room->both = NEWN(w->a, bool, r->carry.n + 1);
    for (uint32_t k = 0; k < 2; k++) room->carry[k] = NEWN(w->a, size_t, r->carry.n + 1);
    room->classes = NEWN(w->a, ClassRoom, r->classes.n + 1);
    uint32_t from = w->requests.n;
    if (!ask_lasting(w, r, room)) return false;
    uint32_t to = w->requests.n;
    for (uint32_t i = 0; i < r->classes.n; i++)
        if (!define_class(w, r, &r->classes.data[i], &room->classes[i], room->both, outer))
            return false;
    w->now++;
    for (uint32_t i = first; i < w->around.n; i++)
        if (w->around.data[i].exit == 0) w->around.data[i].exit = w->now;
    for (uint32_t i = from; i < to; i++) w->requests.data[i].end = w->now;
    for (uint32_t i = 0; i < 2 * r->carry.n; i++)
        if ((i & 1) == 0 || room->both[i / 2])
            w->requests.data[from + i].items = w->r->room[r->carry.data[i / 2].final].items;
    w->block = outer;
    return true;
}

static bool define_block(Walk *w, const Block *b) {
    bool ok = true;
    for (uint32_t i = 0; i < b->nodes.n && ok; i++) {
        NodeId id = b->nodes.data[i];
        const Node *n = graph_node(w->g, id);
        w->now++;
        switch ((NodeKind)n->kind) {
        case N_EQ:
        case N_SCATTER: ok = define(w, n->out, AT_SLAB); break;
        case N_RECUR: ok = define_recur(w, id); break;
        case N_DELAY: ok = define(w, n->out, AT_FIXED); break;
        default: break; /* what comes from outside has been seen to; arguments too */
        }
    }
    return ok;
}

static bool define_bound(Walk *w) {
    for (uint32_t i = 1; i < w->g->nodes.n; i++) {
        const Node *n = graph_node(w->g, i);
        bool bound = n->kind == N_INPUT || n->kind == N_PARAM || n->kind == N_STATE;
        if (bound && !define(w, n->out, AT_BOUND)) return false;
    }
    return true;
}

/* ---- second walk: uses ------------------------------------------------------------------------ */

typedef struct Use {
    Walk *w;
    uint32_t at, block;
} Use;

static void used_at(Walk *w, Value v, uint32_t at, uint32_t block) {
    if (!v) return;
    while (block != w->block_of[v] && block != 0) {
        at = w->around.data[block].exit;
        block = w->around.data[block].parent;
    }
    w->r->room[v].used = true;
    if (w->last[v] < at) w->last[v] = at;
}

static void see_read(Graph *g, ExprId e, void *user) {
    const Use *u = user;
    const Expr *x = graph_expr(g, e);
    if (x->op == X_READ) used_at(u->w, x->value, u->at, u->block);
}

static void use_block(Walk *w, const Block *b);

/* What leaves a body is wanted until the iteration ends, so its memory is not given away before. */
static void use_class(Walk *w, const Recur *r, const RecurClass *c, uint32_t outer) {
    w->block = w->next_block++;
    for (uint32_t j = 0; j < c->body.nodes.n; j++) {
        const Node *n = graph_node(w->g, c->body.nodes.data[j]);
        if (n->kind == N_DELAY) used_at(w, n->init, w->now, outer);
    }
    use_block(w, &c->body);
    w->now++;
    for (uint32_t j = 0; j < r->carry.n; j++) used_at(w, c->next[j], w->now, w->block);
    for (uint32_t j = 0; j < c->outs.n; j++) used_at(w, c->outs.data[j].body, w->now, w->block);
    for (uint32_t j = 0; j < c->body.nodes.n; j++) {
        const Node *n = graph_node(w->g, c->body.nodes.data[j]);
        if (n->kind == N_DELAY) used_at(w, n->source, w->now, w->block);
    }
}

static void use_recur(Walk *w, NodeId id) {
    const Recur *r = graph_node(w->g, id)->recur;
    uint32_t outer = w->block;
    for (uint32_t i = 0; i < r->carry.n; i++) used_at(w, r->carry.data[i].init, w->now, outer);
    for (uint32_t i = 0; i < r->classes.n; i++) use_class(w, r, &r->classes.data[i], outer);
    w->now++;
    w->block = outer;
    for (uint32_t i = 0; i < r->carry.n; i++) used_at(w, r->carry.data[i].final, w->now, outer);
    for (uint32_t i = 0; i < r->classes.n; i++) {
        const RecurClass *c = &r->classes.data[i];
        for (uint32_t j = 0; j < c->outs.n; j++) used_at(w, c->outs.data[j].result, w->now, outer);
        for (uint32_t j = 0; j < c->body.nodes.n; j++) {
            const Node *n = graph_node(w->g, c->body.nodes.data[j]);
            if (n->kind == N_DELAY) used_at(w, n->final, w->now, outer);
        }
    }
}

static void use_block(Walk *w, const Block *b) {
    for (uint32_t i = 0; i < b->nodes.n; i++) {
        const Node *n = graph_node(w->g, b->nodes.data[i]);
        w->now++;
        Use u = {w, w->now, w->block};
        if (n->kind == N_EQ || n->kind == N_SCATTER) expr_walk(w->g, n->expr, see_read, &u);
        for (uint32_t k = 0; n->kind == N_SCATTER && k < graph_value(w->g, n->out)->rank; k++)
            expr_walk(w->g, n->subs[k], see_read, &u);
        if (n->kind == N_RECUR) use_recur(w, b->nodes.data[i]);
    }
}

/* ---- rooms in the slab ------------------------------------------------------------------------ */

typedef struct Gap {
    size_t at, n;
} Gap;
typedef struct Gaps {
    Arena *a;
    VEC(Gap) gap; /* by place, never touching one another */
    size_t end;
} Gaps;

static void gaps_remove(Gaps *z, uint32_t i) {
    memmove(z->gap.data + i, z->gap.data + i + 1, (z->gap.n - i - 1) * sizeof(Gap));
    z->gap.n--;
}

static size_t gaps_take(Gaps *z, size_t n) {
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < z->gap.n; i++)
        if (z->gap.data[i].n >= n && (best == UINT32_MAX || z->gap.data[i].n < z->gap.data[best].n))
            best = i;
    if (best == UINT32_MAX) {
        size_t at = z->end;
        Gap *last = z->gap.n ? &z->gap.data[z->gap.n - 1] : NULL;
        if (last && last->at + last->n == z->end) { /* grow the gap at the end */
            at = last->at;
            z->gap.n--;
        }
        z->end = at + n;
        return at;
    }
    Gap *g = &z->gap.data[best];
    size_t at = g->at;
    g->at += n;
    g->n -= n;
    if (g->n == 0) gaps_remove(z, best);
    return at;
}

static void gaps_give(Gaps *z, size_t at, size_t n) {
    uint32_t i = 0;
    while (i < z->gap.n && z->gap.data[i].at < at) i++;
    PUSH(z->a, &z->gap);
    memmove(z->gap.data + i + 1, z->gap.data + i, (z->gap.n - 1 - i) * sizeof(Gap));
    z->gap.data[i] = (Gap){at, n};
    if (i + 1 < z->gap.n && at + n == z->gap.data[i + 1].at) {
        z->gap.data[i].n += z->gap.data[i + 1].n;
        gaps_remove(z, i + 1);
    }
    if (i > 0 && z->gap.data[i - 1].at + z->gap.data[i - 1].n == at) {
        z->gap.data[i - 1].n += z->gap.data[i].n;
        gaps_remove(z, i);
    }
}

static size_t rounded(int64_t items) { return ((size_t)items + 7) & ~(size_t)7; }

/* Requests in order of their start; those that end before another starts make room for it. */
static size_t give_rooms(Walk *w) {
    uint32_t n = w->requests.n;
    uint32_t *head = NEWN(w->scratch, uint32_t, w->now + 2),
             *next = NEWN(w->scratch, uint32_t, n + 1);
    Gaps z = {.a = w->scratch};
    uint32_t freed = 0;
    for (uint32_t i = 0; i < n; i++) {
        Request *q = &w->requests.data[i];
        if (q->value && w->r->room[q->value].at == AT_RECUR) continue;
        if (q->value) q->end = w->last[q->value];
        if (q->items == 0) continue;
        for (; freed < q->start; freed++)
            for (uint32_t j = head[freed]; j; j = next[j - 1])
                gaps_give(&z, *w->requests.data[j - 1].where,
                          rounded(w->requests.data[j - 1].items));
        *q->where = gaps_take(&z, rounded(q->items));
        next[i] = head[q->end];
        head[q->end] = i + 1;
    }
    return z.end;
}

Rooms *rooms_make(Known *k, Arena *a) {
    Arena *scratch = arena_new();
    Graph *g = k->g;
    Rooms *r = NEW(a, Rooms);
    r->room = NEWN(a, Room, g->values.n);
    r->recur = NEWN(a, RecurRoom *, g->nodes.n);
    r->delay = NEWN(a, size_t, g->nodes.n);
    Walk w = {.k = k, .g = g, .a = a, .scratch = scratch, .r = r};
    w.block_of = NEWN(scratch, uint32_t, g->values.n);
    w.last = NEWN(scratch, uint32_t, g->values.n);
    w.placed = NEWN(scratch, bool, g->values.n);
    PUSH(scratch, &w.around);
    bool ok = define_bound(&w) && define_block(&w, &g->top);
    if (ok) {
        uint32_t end = w.now + 1;
        w.now = 0;
        w.next_block = 1;
        use_block(&w, &g->top);
        for (uint32_t i = 0; i < g->outputs.n; i++) used_at(&w, g->outputs.data[i].value, end, 0);
        w.now = end;
        r->items = give_rooms(&w);
    }
    arena_free(scratch);
    return ok ? r : NULL;
}
