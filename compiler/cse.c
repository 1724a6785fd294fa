/* Common subexpressions: equal equations (and scatters) in scope, found by hashing. Two are
 * equal when dims, reduction, reduced axes, storage and the expression's id agree; expressions
 * are hash-consed. */
#include "simplify.h"

#include <string.h>

static uint32_t node_hash(Graph *g, const Node *n) {
    const ValueInfo *v = graph_value(g, n->out);
    uint64_t h = hash_mix(n->kind, n->red);
    h = hash_mix(h, n->expr);
    h = hash_mix(h, v->store);
    h = hash_bytes(v->dims, v->rank * sizeof *v->dims, h);
    h = hash_bytes(n->extra, n->n_extra * sizeof *n->extra, h);
    if (n->kind == N_SCATTER) h = hash_bytes(n->subs, v->rank * sizeof *n->subs, h);
    return (uint32_t)(h ^ h >> 32);
}

static bool same_node(Graph *g, const Node *a, const Node *b) {
    const ValueInfo *v = graph_value(g, a->out), *w = graph_value(g, b->out);
    if (a->kind != b->kind || a->red != b->red || a->expr != b->expr || a->n_extra != b->n_extra)
        return false;
    if (v->type != w->type || v->store != w->store || !graph_same_dims(g, a->out, b->out))
        return false;
    if (memcmp(a->extra, b->extra, a->n_extra * sizeof *a->extra) != 0) return false;
    return a->kind != N_SCATTER || memcmp(a->subs, b->subs, v->rank * sizeof *a->subs) == 0;
}

NodeId simplify_find(Simplify *s, NodeId id) {
    const Node *n = graph_node(s->g, id);
    uint32_t hash = node_hash(s->g, n), *head = &s->heads[hash % CSE_HEADS];
    for (uint32_t k = *head; k; k = s->seen.data[k - 1].next)
        if (s->seen.data[k - 1].hash == hash &&
            same_node(s->g, n, graph_node(s->g, s->seen.data[k - 1].node)))
            return s->seen.data[k - 1].node;
    *PUSH(s->scratch, &s->seen) = (CseEntry){hash, *head, id};
    *head = s->seen.n;
    return 0;
}

uint32_t simplify_scope(const Simplify *s) { return s->seen.n; }

void simplify_leave(Simplify *s, uint32_t scope) {
    while (s->seen.n > scope) {
        CseEntry e = s->seen.data[--s->seen.n];
        s->heads[e.hash % CSE_HEADS] = e.next;
    }
}
