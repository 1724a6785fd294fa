/* Values that live in a kernel: in scratch for one point (or tile of points), or in registers. */
#include <string.h>

#include "gpu.h"

/* Until locals_place, stride tells axes of the grid (0) from others (1). */
uint32_t local_more(Work *w, Value v, const uint8_t *par) {
    Emit *e = w->e;
    uint32_t at = e->locals.n, rank = graph_value(e->g, v)->rank;
    EmitLocal *l = PUSH(e->arena, &e->locals);
    l->value = v;
    for (uint32_t a = 0; a < rank; a++) {
        bool grid = false;
        for (uint32_t j = 0; j < w->n_par; j++) grid |= par[j] == a;
        l->stride[a] = emit_const(e, grid ? 0 : 1);
        if (!grid) w->inner[at] = a;
    }
    w->same_as[at] = at;
    return at;
}

uint32_t local_add(Work *w, Value v, const uint8_t *par) {
    uint32_t *at = &w->e->local_of[v];
    if (!*at) *at = local_more(w, v, par) + 1;
    return *at - 1;
}

typedef struct Room { /* scratch given out so far */
    Size bytes;       /* as a formula */
    V offset;
} Room;

/* Dense, `inner` last; each element is one number for every point of the tile. Returns the elements. */
static V set_strides(Work *w, EmitLocal *l, uint32_t inner, Size *count) {
    Emit *e = w->e;
    const ValueInfo *v = graph_value(e->g, l->value);
    V stride = emit_const(e, w->tile);
    *count = size_num(e->g->sizes, w->tile);
    bool own[MAX_RANK];
    for (uint32_t a = 0; a < v->rank; a++) own[a] = !LLVMIsNull(l->stride[a]);
    for (uint32_t i = 0; i < v->rank; i++) {
        uint32_t a = i == 0 ? inner : v->rank - i;
        if (i > 0 && a <= inner) a--;
        if (!own[a]) {
            l->stride[a] = NULL;
            continue;
        }
        l->stride[a] = stride;
        V n = emit_size(e, v->dims[a]);
        LLVMBasicBlockRef back = emit_entry_begin(e);
        stride = LLVMBuildMul(e->b, stride, n, "");
        emit_entry_end(e, back);
        *count = size_mul(e->g->sizes, *count, v->dims[a]);
    }
    return stride;
}

static void place(Work *w, uint32_t at, Room *room) {
    Emit *e = w->e;
    EmitLocal *l = &e->locals.data[at];
    Sizes *s = e->g->sizes;
    Size count;
    V items = set_strides(w, l, w->inner[at], &count);
    bool ints = graph_value(e->g, l->value)->type == T_INT;
    int64_t n;
    w->slot_items[at] = items;
    if (w->slots[at]) {
        count = size_mul(s, count, size_num(s, w->slots[at]));
        LLVMBasicBlockRef back = emit_entry_begin(e);
        items = LLVMBuildMul(e->b, items, emit_const(e, w->slots[at]), "");
        emit_entry_end(e, back);
    }
    if (e->gpu && gpu_keep(w, l, count, w->slots[at] > 0)) return;
    if (!w->slots[at] && size_is_num(s, size_ground(s, count), &n) && n <= (int64_t)w->tile) {
        l->ptr = emit_var(e, LLVMArrayType2(ints ? e->i32 : e->f32, w->tile), NULL);
        return;
    }
    LLVMBasicBlockRef back = emit_entry_begin(e);
    V sixty_four = emit_const(e, 64), mask = emit_const(e, -64);
    l->ptr =
        LLVMBuildGEP2(e->b, LLVMInt8TypeInContext(e->c), e->scratch_p, &room->offset, 1, "local");
    V bytes = LLVMBuildMul(e->b, items, emit_const(e, 4), "");
    bytes = LLVMBuildAnd(e->b, LLVMBuildAdd(e->b, bytes, emit_const(e, 63), ""), mask, "");
    room->offset = LLVMBuildAdd(e->b, room->offset, LLVMBuildAdd(e->b, bytes, sixty_four, ""), "");
    emit_entry_end(e, back);
    Size all = size_mul(s, count, size_num(s, 4));
    room->bytes = size_add(s, room->bytes, size_add(s, all, size_num(s, 128)));
}

void locals_place(Work *w) {
    Emit *e = w->e;
    Room room = {size_num(e->g->sizes, 0), emit_const(e, 0)};
    for (uint32_t i = 0; i < e->locals.n; i++) {
        EmitLocal *l = &e->locals.data[i];
        if (w->same_as[i] != i) continue;
        l->scope = e->n_fixed_scopes + i;
        place(w, i, &room);
    }
    for (uint32_t i = 0; i < e->locals.n; i++) {
        if (w->same_as[i] == i) continue;
        const EmitLocal *root = &e->locals.data[w->same_as[i]];
        EmitLocal *l = &e->locals.data[i];
        l->ptr = root->ptr;
        l->scope = root->scope;
        memcpy(l->stride, root->stride, sizeof l->stride);
    }
    e->code->scratch = room.bytes;
}
