/* Whole values of one point of the grid, copied between arguments and scratch. */
#include "contract.h"
#include "gpu.h"

typedef struct Copy {
    Work *w;
    uint32_t from, to;        /* local + 1; 0: the argument */
    uint32_t arg, rank, lead; /* lead: axes of the argument before the extra one */
    int extra_axis;
    Val extra;
    Val idx[MAX_RANK];
} Copy;

static void one(Copy *c, uint32_t width, V tail) {
    Emit *e = c->w->e;
    At at = {.width = width, .tail = tail};
    Val subs[MAX_RANK + 4];
    for (uint32_t i = 0; i < c->lead; i++) subs[i] = val_int(emit_const(e, 0));
    for (uint32_t i = c->lead, k = 0; k < c->rank || (int)i == c->extra_axis; i++)
        subs[i] = (int)i == c->extra_axis ? c->extra : c->idx[k++];
    emit_fresh(e);
    Val v = c->from ? emit_read_local(e, &at, &e->locals.data[c->from - 1], c->idx)
                    : emit_read_arg(e, &at, c->arg, subs);
    if (c->to)
        emit_store_local(e, &at, &e->locals.data[c->to - 1], c->idx, v);
    else
        emit_store_arg(e, &at, c->arg, subs, v);
}

static void in_lanes(Copy *c, uint32_t axis, Size size) {
    Emit *e = c->w->e;
    V all = emit_size(e, size);
    uint32_t width = e->lanes;
    while (width > 2 && size_guess(e, size) <= width / 2) width /= 2;
    Loop l = loop_begin(e, emit_const(e, 0), all, width);
    c->idx[axis] = val_lane(l.i, width);
    int64_t n;
    bool full = emit_known(e, size, &n) && n % width == 0;
    one(c, width, full ? NULL : lanes_below(e, width, LLVMBuildSub(e->b, all, l.i, "")));
    loop_end(e, &l);
}

static void loops(Copy *c, const Size *dims, const bool *grid, uint32_t a, int lane) {
    Emit *e = c->w->e;
    while (a < c->rank && (grid[a] || (int)a == lane)) a++;
    if (a < c->rank) {
        Loop l = loop_begin(e, emit_const(e, 0), emit_size(e, dims[a]), 1);
        c->idx[a] = val_int(l.i);
        loops(c, dims, grid, a + 1, lane);
        loop_end(e, &l);
    } else if (c->w->grid_lane) {
        for (uint32_t u = 0; u < c->w->vectors; u++) {
            grid_vector(c->w, u);
            for (uint32_t k = 0; k < c->rank; k++)
                for (uint32_t j = 0; grid[k] && j < c->w->n_par; j++)
                    if (c->w->par_axis[j] == k) c->idx[k] = c->w->grid[j];
            one(c, e->lanes, c->w->tail);
        }
    } else if (lane >= 0) {
        in_lanes(c, (uint32_t)lane, dims[lane]);
    } else {
        one(c, 1, NULL);
    }
}

/* Of a value that lies in registers, a row a thread; or -1. */
static int column_axis(const Copy *c) {
    const Work *w = c->w;
    uint8_t a = c->from ? w->column_axis[w->same_as[c->from - 1]] : 0;
    if (!a && c->to) a = w->column_axis[w->same_as[c->to - 1]];
    return a - 1;
}

static void by_columns(Copy *c, uint32_t column, Size size) {
    Emit *e = c->w->e;
    int64_t n = 0;
    size_is_num(e->g->sizes, size_ground(e->g->sizes, size), &n);
    for (int64_t i = 0; i < n; i++) {
        c->idx[column] = val_const(e, i);
        one(c, 1, NULL);
    }
}

/* Dealt to the threads. */
static void by_threads(Copy *c, const Size *dims, const bool *grid) {
    Emit *e = c->w->e;
    Box b = {.w = c->w, .share = 1};
    uint32_t axis[MAX_RANK];
    uint32_t from = c->from ? e->locals.data[c->from - 1].scope : e->args[c->arg].scope;
    uint32_t to = c->to ? e->locals.data[c->to - 1].scope : e->args[c->arg].scope;
    gpu_meet_if(e, gpu_clashes(e, from, TOUCH_READ) || gpu_clashes(e, to, TOUCH_WRITE));
    int column = column_axis(c);
    for (uint32_t a = 0; a < c->rank; a++)
        if (!grid[a] && (int)a != column) {
            axis[b.n] = a;
            b.size[b.n++] = dims[a];
        }
    box_begin(&b);
    for (uint32_t i = 0; i < b.n; i++) c->idx[axis[i]] = b.idx[i];
    if (column >= 0) {
        by_columns(c, (uint32_t)column, dims[column]);
        box_end(&b);
        gpu_note(e, from, TOUCH_READ);
        gpu_note(e, to, TOUCH_WRITE);
        return;
    }
    bool all = c->to && gpu_place_of(e, to) == GPU_IN_REGISTERS;
    V first = LLVMBuildICmp(e->b, LLVMIntEQ, e->gpu->thread, LLVMConstInt(e->i32, 0, false), "");
    If one_only = {0};
    if (b.solo && !all && !e->gpu->point) one_only = if_begin(e, first);
    one(c, 1, NULL);
    if (b.solo && !all && !e->gpu->point) if_end(e, &one_only);
    box_end(&b);
    gpu_note(e, from, TOUCH_READ);
    gpu_note(e, to, TOUCH_WRITE);
}

static void copy(Copy *c, Value v, const uint8_t *par) {
    Work *w = c->w;
    const ValueInfo i = *graph_value(w->e->g, v);
    bool grid[MAX_RANK] = {false};
    int lane = LANE_NONE;
    c->rank = i.rank;
    for (uint32_t j = 0; j < w->n_par; j++) {
        grid[par[j]] = true;
        w->par_axis[j] = par[j];
        c->idx[par[j]] = w->grid[j];
    }
    if (w->e->gpu) {
        by_threads(c, i.dims, grid);
        return;
    }
    for (uint32_t a = 0; a < i.rank && !w->grid_lane; a++)
        if (!grid[a] && size_guess(w->e, i.dims[a]) > 1) lane = (int)a;
    loops(c, i.dims, grid, 0, lane);
}

void copy_in(Work *w, uint32_t arg, uint32_t local, const uint8_t *par) {
    Copy c = {.w = w, .arg = arg, .to = local + 1, .extra_axis = -1};
    copy(&c, w->e->locals.data[local].value, par);
}

void copy_in_item(Work *w, uint32_t arg, uint32_t lead, Val at, uint32_t local,
                  const uint8_t *par) {
    Copy c = {
        .w = w, .arg = arg, .to = local + 1, .lead = lead, .extra_axis = (int)lead, .extra = at};
    copy(&c, w->e->locals.data[local].value, par);
}

void copy_out(Work *w, uint32_t local, uint32_t arg, const uint8_t *par, int extra_axis,
              Val extra) {
    Copy c = {.w = w, .arg = arg, .from = local + 1, .extra_axis = extra_axis, .extra = extra};
    copy(&c, w->e->locals.data[local].value, par);
}

void copy_locals(Work *w, uint32_t from, uint32_t to, const uint8_t *par) {
    Copy c = {.w = w, .from = from + 1, .to = to + 1, .extra_axis = -1};
    copy(&c, w->e->locals.data[to].value, par);
}
