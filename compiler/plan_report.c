/* --report: launches of a plan and what they move, outside its layers and in each kind of layer. */
#include "work.h"

/* Of one list of ops, run once. A round: launches and copies beside each other. */
typedef struct Segment {
    int64_t launches[KERNEL_KINDS], copies, rounds;
    Size read[2], written[2]; /* bytes: by products, by the others */
} Segment;

static const char *const kind_word[KERNEL_KINDS] = {[K_ROW] = "rows",
                                                    [K_SCAN] = "recurrences",
                                                    [K_CONTRACT] = "products",
                                                    [K_SCATTER] = "scatters"};

typedef struct Report {
    Plan *p;
    PlanWork work;
    Text *out;
} Report;

static void add(Graph *g, Size *to, Size n, int64_t times) {
    *to = size_add(g->sizes, *to, size_mul(g->sizes, n, size_num(g->sizes, times)));
}

static void add_op(Report *r, Segment *s, const Op *o, int64_t times) {
    Graph *g = r->p->g;
    Work w;
    bool product = false;
    if (o->kind == OP_SWAP) return;
    s->rounds += o->beside ? 0 : times;
    if (o->kind == OP_COPY) {
        w = copy_work(r->p, o);
        s->copies += times;
    } else {
        w = r->work.kernel[o->kernel];
        product = r->p->kernels.data[o->kernel].kind == K_CONTRACT;
        s->launches[r->p->kernels.data[o->kernel].kind] += times;
    }
    add(g, &s->read[!product], w.of[WORK_GIVEN], times);
    add(g, &s->read[!product], w.of[WORK_MADE], times);
    add(g, &s->written[!product], w.of[WORK_WRITTEN], times);
}

static int64_t rounds_of(const Op *o, uint32_t k) {
    int64_t n = 0;
    for (uint32_t i = 0; i < o->count; i++) n += o->class_of[i] == k;
    return n;
}

/* Loops inside count as often as they run; those at the top are segments of their own. */
static void add_ops(Report *r, Segment *s, const Ops *ops, int64_t times, bool top) {
    for (uint32_t i = 0; i < ops->list.n; i++) {
        const Op *o = &ops->list.data[i];
        if (o->kind != OP_LOOP) add_op(r, s, o, times);
        for (uint32_t k = 0; !top && o->kind == OP_LOOP && k < o->n_classes; k++)
            add_ops(r, s, &o->bodies[k], times * rounds_of(o, k), false);
    }
}

static const char *formula(Graph *g, Size s) {
    return s ? size_str(g->sizes, s) : "more than 2^53";
}

static void print_segment(Report *r, const Ops *ops, bool top) {
    Graph *g = r->p->g;
    Size zero = size_num(g->sizes, 0);
    Segment s = {.read = {zero, zero}, .written = {zero, zero}};
    int64_t all = 0;
    add_ops(r, &s, ops, 1, top);
    for (int k = 0; k < KERNEL_KINDS; k++) all += s.launches[k];
    text_printf(r->out, "%lld launches", (long long)all);
    const char *mark = ":";
    for (int k = 0; k < KERNEL_KINDS; k++) {
        if (!s.launches[k]) continue;
        text_printf(r->out, "%s %lld %s", mark, (long long)s.launches[k], kind_word[k]);
        mark = ",";
    }
    text_printf(r->out, "; %lld copies; %lld rounds\n", (long long)s.copies, (long long)s.rounds);
    static const char *const who[2] = {"products", "the others"};
    for (int i = 0; i < 2; i++)
        text_printf(r->out, "      bytes of %-10s  read %s; written %s\n", who[i],
                    formula(g, s.read[i]), formula(g, s.written[i]));
}

/* "0", "1..11", "0, 3, 6": the iterations of a class. */
static void print_iterations(const Op *o, uint32_t k, Text *t) {
    const char *mark = "";
    for (uint32_t i = 0; i < o->count; i++) {
        if (o->class_of[i] != k || (i > 0 && o->class_of[i - 1] == k)) continue;
        uint32_t last = i;
        while (last + 1 < o->count && o->class_of[last + 1] == k) last++;
        text_printf(t, "%s%u", mark, i);
        if (last > i) text_printf(t, "..%u", last);
        mark = ", ";
    }
}

void plan_report(Plan *p, Text *out) {
    Report r = {.p = p, .work = plan_work(p), .out = out};
    text_add(out, "  outside the layers: ");
    print_segment(&r, &p->ops, true);
    for (uint32_t i = 0; i < p->ops.list.n; i++) {
        const Op *o = &p->ops.list.data[i];
        for (uint32_t k = 0; o->kind == OP_LOOP && k < o->n_classes; k++) {
            text_printf(out, "  a layer%s, of ", o->reverse ? " backward" : "");
            print_iterations(o, k, out);
            text_add(out, ": ");
            print_segment(&r, &o->bodies[k], false);
        }
    }
}
