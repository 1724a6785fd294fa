/* Least cuts by blocking flows (Dinic): paths of one length at a time, shortest first. Requires what cut.h
 * says; deterministic: edges are tried in their order. */
#include "cut.h"

#include <string.h>

typedef struct Net {
    uint32_t n_vertices;
    uint32_t n_arcs;         /* two an edge: 2*i and back 2*i + 1 */
    uint32_t *head;          /* by arc: where it leads */
    int64_t *room;           /* by arc: what may still flow */
    uint32_t *first, *order; /* by vertex: its arcs are order[first[v]] .. order[first[v + 1]] */
    uint32_t *level, *next, *queue;
} Net;

static Net net_of(Arena *a, uint32_t n_vertices, const CutEdge *edges, uint32_t n_edges) {
    Net t = {.n_vertices = n_vertices, .n_arcs = 2 * n_edges};
    t.head = NEWN(a, uint32_t, t.n_arcs + 1);
    t.room = NEWN(a, int64_t, t.n_arcs + 1);
    t.first = NEWN(a, uint32_t, n_vertices + 2);
    t.order = NEWN(a, uint32_t, t.n_arcs + 1);
    t.level = NEWN(a, uint32_t, n_vertices);
    t.next = NEWN(a, uint32_t, n_vertices + 1);
    t.queue = NEWN(a, uint32_t, n_vertices);
    for (uint32_t i = 0; i < n_edges; i++) {
        t.head[2 * i] = edges[i].to;
        t.head[2 * i + 1] = edges[i].from;
        t.room[2 * i] = edges[i].capacity;
        t.first[edges[i].from + 1]++;
        t.first[edges[i].to + 1]++;
    }
    for (uint32_t v = 0; v < n_vertices; v++) t.first[v + 1] += t.first[v];
    memcpy(t.next, t.first, n_vertices * sizeof *t.next);
    for (uint32_t i = 0; i < t.n_arcs; i++) t.order[t.next[t.head[i ^ 1]]++] = i;
    return t;
}

/* Steps from the source, from 1; 0: out of reach. */
static bool find_levels(Net *t) {
    memset(t->level, 0, t->n_vertices * sizeof *t->level);
    uint32_t n = 0;
    t->level[CUT_SOURCE] = 1;
    t->queue[n++] = CUT_SOURCE;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t v = t->queue[i];
        for (uint32_t k = t->first[v]; k < t->first[v + 1]; k++) {
            uint32_t arc = t->order[k], to = t->head[arc];
            if (t->level[to] || !t->room[arc]) continue;
            t->level[to] = t->level[v] + 1;
            t->queue[n++] = to;
        }
    }
    return t->level[CUT_SINK] != 0;
}

/* One path to the sink, as the arcs in path; the number of them, 0: none is left. */
static uint32_t find_path(Net *t, uint32_t *path) {
    uint32_t n = 0, v = CUT_SOURCE;
    while (v != CUT_SINK) {
        uint32_t *k = &t->next[v];
        while (*k < t->first[v + 1]) {
            uint32_t arc = t->order[*k];
            if (t->room[arc] && t->level[t->head[arc]] == t->level[v] + 1) break;
            ++*k;
        }
        if (*k < t->first[v + 1]) {
            path[n++] = t->order[*k];
            v = t->head[path[n - 1]];
            continue;
        }
        if (!n) return 0;
        v = t->head[path[--n] ^ 1]; /* a dead end: back, and past this arc */
        t->next[v]++;
    }
    return n;
}

static bool push_flows(Net *t, uint32_t *path) {
    memcpy(t->next, t->first, t->n_vertices * sizeof *t->next);
    for (uint32_t n; (n = find_path(t, path)) > 0;) {
        int64_t least = INT64_MAX;
        for (uint32_t i = 0; i < n; i++)
            if (t->room[path[i]] < least) least = t->room[path[i]];
        if (least > CUT_NEVER / 2) return false;
        for (uint32_t i = 0; i < n; i++) {
            t->room[path[i]] -= least;
            t->room[path[i] ^ 1] += least;
        }
    }
    return true;
}

/* What can still reach the sink. */
static void mark_sink_side(Net *t, bool *on_sink) {
    uint32_t n = 0;
    on_sink[CUT_SINK] = true;
    t->queue[n++] = CUT_SINK;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t v = t->queue[i];
        for (uint32_t k = t->first[v]; k < t->first[v + 1]; k++) {
            uint32_t arc = t->order[k], to = t->head[arc];
            if (on_sink[to] || !t->room[arc ^ 1]) continue;
            on_sink[to] = true;
            t->queue[n++] = to;
        }
    }
}

bool *cut_least(Arena *a, uint32_t n_vertices, const CutEdge *edges, uint32_t n_edges) {
    Arena *scratch = arena_new();
    Net t = net_of(scratch, n_vertices, edges, n_edges);
    uint32_t *path = NEWN(scratch, uint32_t, n_vertices + 1);
    bool *on_sink = NEWN(a, bool, n_vertices), ok = true;
    while (ok && find_levels(&t)) ok = push_flows(&t, path);
    if (ok) mark_sink_side(&t, on_sink);
    arena_free(scratch);
    return ok ? on_sink : NULL;
}
