/* Products of pieces in local memory by matrix instructions.
 *
 * A wave computes a part of the tile, in squares of one instruction. Which term is which within one does not
 * matter as long as both factors agree: so terms are numbered anew, first those a lane holds, and those of as
 * many instructions as fill 16 bytes: what a lane needs lies side by side. */
#include "gpu_contract.h"

#include <string.h>

static const MmaUnit units[] = {
#define MMA(targets, name, m, n, k, number, a, b, d) {targets, name, m, n, k, DT_##number, a, b, d},
#include "mma.def"
#undef MMA
};
enum { UNITS = sizeof units / sizeof *units };

/* ---- layouts ------------------------------------------------------------------------------------------ */

void mma_layout(const char *text, MmaLayout *l) {
    *l = (MmaLayout){0};
    const char *s = text;
    for (; *s && *s != ' '; s += 2) {
        l->lane[l->n_lane].axis = s[0];
        l->lane[l->n_lane++].bit = (uint8_t)(s[1] - '0');
    }
    for (s += *s == ' '; *s; s += 2) {
        l->elem[l->n_elem].axis = s[0];
        l->elem[l->n_elem++].bit = (uint8_t)(s[1] - '0');
    }
}

const MmaUnit *mma_unit(uint32_t i) { return i < UNITS ? &units[i] : NULL; }

static bool is_of(const MmaUnit *u, const char *target) {
    size_t n = strlen(target);
    for (const char *s = u->targets; (s = strstr(s, target)); s += n)
        if ((s == u->targets || s[-1] == ' ') && (s[n] == 0 || s[n] == ' ')) return true;
    return false;
}

const MmaUnit *mma_find(const TargetInfo *t, uint8_t number, uint32_t rows, uint32_t cols) {
    for (uint32_t i = 0; i < UNITS; i++)
        if (units[i].number == number && is_of(&units[i], t->name) && rows % units[i].m == 0 &&
            cols % units[i].n == 0)
            return &units[i];
    return NULL;
}

static uint32_t bits_of(const MmaBit *b, uint32_t n, char axis) {
    uint32_t k = 0;
    for (uint32_t i = 0; i < n; i++) k += b[i].axis == axis;
    return k;
}

/* ---- lanes -------------------------------------------------------------------------------------------- */

static V lane_of(Emit *e) {
    return LLVMBuildAnd(e->b, e->gpu->thread, n32(e, e->gpu->t->wave - 1), "");
}

/* The part of an index that the lane's number says: its bits at `to`, or (to < 0) where the table has them. */
static V from_lane(Emit *e, const MmaLayout *l, char axis, int to) {
    V lane = lane_of(e), at = n32(e, 0);
    for (uint32_t b = 0; b < l->n_lane; b++) {
        if (l->lane[b].axis != axis) continue;
        uint32_t bit = to < 0 ? l->lane[b].bit : (uint32_t)to++;
        V x = LLVMBuildAnd(e->b, lane, n32(e, 1u << b), "");
        x = bit >= b ? LLVMBuildShl(e->b, x, n32(e, bit - b), "")
                     : LLVMBuildLShr(e->b, x, n32(e, b - bit), "");
        at = LLVMBuildOr(e->b, at, x, "");
    }
    return at;
}

/* The part that the element's number says. */
static uint32_t from_elem(const MmaLayout *l, char axis, uint32_t elem) {
    uint32_t at = 0;
    for (uint32_t b = 0; b < l->n_elem; b++)
        if (l->elem[b].axis == axis && elem >> b & 1) at |= 1u << l->elem[b].bit;
    return at;
}

/* The term of an element in the lane, as they are numbered here. */
static uint32_t term_of(const MmaLayout *l, uint32_t elem) {
    uint32_t at = 0, to = 0;
    for (uint32_t b = 0; b < l->n_elem; b++)
        if (l->elem[b].axis == 'k') at |= (elem >> b & 1) << to++;
    return at;
}

/* ---- the wave's part --------------------------------------------------------------------------------------- */

typedef struct Part {
    const MmaUnit *u;
    MmaLayout a, b, d;
    uint32_t rows, cols;   /* squares of the wave */
    uint32_t held, repeat; /* terms a lane holds of one instruction; instructions side by side */
    V row, col;            /* i32: first of the wave in the tile */
} Part;

uint32_t mma_repeat(const MmaUnit *u) {
    MmaLayout a;
    mma_layout(u->a, &a);
    uint32_t held = 1u << bits_of(a.elem, a.n_elem, 'k'), full = u->number == DT_BF16 ? 8 : 4;
    return held < full ? full / held : 1;
}

static Part part_of(GpuContract *c) {
    Emit *e = c->e;
    const MmaUnit *u = c->t.unit;
    Part p = {.u = u,
              .rows = c->t.rows / c->t.wave_rows / u->m,
              .cols = c->t.cols / c->t.wave_cols / u->n};
    mma_layout(u->a, &p.a);
    mma_layout(u->b, &p.b);
    mma_layout(u->d, &p.d);
    p.held = 1u << bits_of(p.a.elem, p.a.n_elem, 'k');
    p.repeat = u->number == DT_BF16 ? mma_repeat(u) : 1;
    V wave = LLVMBuildUDiv(e->b, e->gpu->thread, n32(e, e->gpu->t->wave), "");
    V i = LLVMBuildUDiv(e->b, wave, n32(e, c->t.wave_cols), ""),
      j = LLVMBuildURem(e->b, wave, n32(e, c->t.wave_cols), "");
    p.row = LLVMBuildMul(e->b, i, n32(e, p.rows * u->m), "");
    p.col = LLVMBuildMul(e->b, j, n32(e, p.cols * u->n), "");
    return p;
}

static uint32_t sums_held(const MmaUnit *u) {
    MmaLayout d;
    mma_layout(u->d, &d);
    return 1u << d.n_elem;
}

void mma_begin(GpuContract *c) {
    Emit *e = c->e;
    Part p = part_of(c);
    c->sum_type = LLVMVectorType(e->f32, sums_held(p.u));
    for (uint32_t i = 0; i < p.rows * p.cols; i++)
        c->sum[i] = emit_var(e, c->sum_type, LLVMConstNull(c->sum_type));
}

/* ---- factors ------------------------------------------------------------------------------------------------ */

static V load(Emit *e, LLVMTypeRef t, V from, V at, LLVMTypeRef each, uint32_t align) {
    V x = LLVMBuildLoad2(e->b, t, LLVMBuildGEP2(e->b, each, from, &at, 1, ""), "");
    LLVMSetAlignment(x, align);
    return x;
}

/* How far apart the two points are of which a lane has terms; 0: it has one. */
static uint32_t second_point(const MmaLayout *l, char axis) {
    for (uint32_t b = 0; b < l->n_elem; b++)
        if (l->elem[b].axis == axis) return 1u << l->elem[b].bit;
    return 0;
}

/* Of what a lane holds of a factor (x: its points' terms), the operands of `repeat` instructions. */
static void arrange(Emit *e, const MmaUnit *u, const MmaLayout *l, char axis, const V *x, V *out) {
    uint32_t held = 1u << bits_of(l->elem, l->n_elem, 'k'), repeat = mma_repeat(u);
    uint32_t run = held * repeat, elems = 1u << l->n_elem;
    for (uint32_t r = 0; r < repeat; r++) {
        if (u->number == DT_F32) {
            out[r] = LLVMBuildExtractElement(e->b, x[0], n32(e, r), "");
            continue;
        }
        V which[32];
        for (uint32_t i = 0; i < elems; i++)
            which[i] = n32(e, (from_elem(l, axis, i) ? run : 0) + r * held + term_of(l, i));
        out[r] = LLVMBuildShuffleVector(e->b, x[0], x[1], LLVMConstVector(which, elems), "");
    }
}

MmaLane mma_lane(Emit *e, const MmaUnit *u, char axis) {
    MmaLayout l;
    mma_layout(axis == 'i' ? u->a : u->b, &l);
    uint32_t held = 1u << bits_of(l.elem, l.n_elem, 'k');
    MmaLane x = {.second = second_point(&l, axis), .run = held * mma_repeat(u)};
    x.point = from_lane(e, &l, axis, -1);
    x.term = from_lane(e, &l, 'k', __builtin_ctz(x.run));
    return x;
}

/* A factor's square at `first`, terms of `repeat` instructions from k on: one operand an instruction. */
static void operands(Emit *e, const Part *p, const Stage *s, const MmaLayout *l, char axis, V first,
                     uint32_t k, V *out) {
    V point = LLVMBuildAdd(e->b, first, from_lane(e, l, axis, -1), "");
    uint32_t run = p->held * p->repeat, second = second_point(l, axis);
    V term = add32(e, from_lane(e, l, 'k', __builtin_ctz(run)), k);
    if (p->u->number == DT_F32) {
        V at = LLVMBuildAdd(e->b, LLVMBuildMul(e->b, term, n32(e, s->line), ""), point, "");
        out[0] = load(e, e->f32, s->to, at, e->f32, 4);
        return;
    }
    V x[2];
    for (uint32_t q = 0; q < (second ? 2u : 1u); q++) {
        V at = stage_packed(e, s, add32(e, point, q * second), term);
        x[q] = load(e, LLVMVectorType(e->i16, run), s->to, at, e->i16, 16);
    }
    if (!second) x[1] = x[0];
    arrange(e, p->u, l, axis, x, out);
}

/* ---- instructions --------------------------------------------------------------------------------------- */

static V call_amd(Emit *e, const MmaUnit *u, V a, V b, V d) {
    V args[6] = {a, b, d, n32(e, 0), n32(e, 0), n32(e, 0)};
    bool wave32 = e->gpu->t->wave == 32;
    LLVMTypeRef over[2] = {LLVMTypeOf(d), LLVMTypeOf(a)};
    return emit_intrinsic(e, u->intrinsic, over, wave32 ? 2 : 0, args, wave32 ? 3 : 6);
}

static V call_nvidia(Emit *e, const MmaUnit *u, V a, V b, V d) {
    V args[10];
    LLVMTypeRef four = LLVMVectorType(e->i32, 4), two = LLVMVectorType(e->i32, 2);
    V wa = LLVMBuildBitCast(e->b, a, four, ""), wb = LLVMBuildBitCast(e->b, b, two, "");
    for (uint32_t i = 0; i < 4; i++) args[i] = LLVMBuildExtractElement(e->b, wa, n32(e, i), "");
    for (uint32_t i = 0; i < 2; i++) args[4 + i] = LLVMBuildExtractElement(e->b, wb, n32(e, i), "");
    for (uint32_t i = 0; i < 4; i++) args[6 + i] = LLVMBuildExtractElement(e->b, d, n32(e, i), "");
    V all = emit_intrinsic(e, u->intrinsic, NULL, 0, args, 10);
    for (uint32_t i = 0; i < 4; i++)
        d = LLVMBuildInsertElement(e->b, d, LLVMBuildExtractValue(e->b, all, i, ""), n32(e, i), "");
    return d;
}

/* Coroutines: the wave meets in a call, with what each lane holds in memory. */
static V call_threads(Emit *e, const MmaUnit *u, V a, V b, V d) {
    V room[3], in[3] = {a, b, d};
    for (uint32_t i = 0; i < 3; i++) {
        room[i] = emit_var(e, LLVMTypeOf(in[i]), NULL);
        emit_set(e, room[i], in[i]);
    }
    V args[4] = {n32(e, (uint64_t)(u - units)), room[0], room[1], room[2]};
    gpu_call(e, "rwkvc_mma", args, 4);
    return emit_get(e, LLVMTypeOf(d), room[2]);
}

V mma_once(Emit *e, const MmaUnit *u, V a, V b, V d) {
    switch ((TargetFamily)e->gpu->t->family) {
    case FAMILY_AMD: return call_amd(e, u, a, b, d);
    case FAMILY_NVIDIA: return call_nvidia(e, u, a, b, d);
    default: return call_threads(e, u, a, b, d);
    }
}

void mma_add(GpuContract *c) {
    Emit *e = c->e;
    Part p = part_of(c);
    uint32_t step = p.u->k * p.repeat;
    for (uint32_t k = 0; k < c->t.terms; k += step) {
        V a[8][8], b[8][8];
        for (uint32_t i = 0; i < p.rows; i++)
            operands(e, &p, &c->rows, &p.a, 'i', add32(e, p.row, i * p.u->m), k, a[i]);
        for (uint32_t j = 0; j < p.cols; j++)
            operands(e, &p, &c->cols, &p.b, 'j', add32(e, p.col, j * p.u->n), k, b[j]);
        for (uint32_t r = 0; r < p.repeat; r++)
            for (uint32_t i = 0; i < p.rows; i++)
                for (uint32_t j = 0; j < p.cols; j++) {
                    V sum = c->sum[i * p.cols + j];
                    emit_set(e, sum,
                             mma_once(e, p.u, a[i][r], b[j][r], emit_get(e, c->sum_type, sum)));
                }
    }
}

/* ---- out ---------------------------------------------------------------------------------------------------- */

static void square_out(Emit *e, const MmaLayout *d, V row, V col, V x, uint32_t line, V to) {
    row = LLVMBuildAdd(e->b, row, from_lane(e, d, 'i', -1), "");
    col = LLVMBuildAdd(e->b, col, from_lane(e, d, 'j', -1), "");
    V at = LLVMBuildAdd(e->b, LLVMBuildMul(e->b, row, n32(e, line), ""), col, "");
    for (uint32_t i = 0; i < 1u << d->n_elem; i++) {
        V here = add32(e, at, from_elem(d, 'i', i) * line + from_elem(d, 'j', i));
        V v = LLVMBuildExtractElement(e->b, x, n32(e, i), "");
        LLVMSetAlignment(LLVMBuildStore(e->b, v, LLVMBuildGEP2(e->b, e->f32, to, &here, 1, "")), 4);
    }
}

V mma_square(Emit *e, const MmaUnit *u, const V *rows, const V *cols, V sum) {
    MmaLayout la, lb;
    mma_layout(u->a, &la);
    mma_layout(u->b, &lb);
    V a[MMA_REPEAT], b[MMA_REPEAT];
    arrange(e, u, &la, 'i', rows, a);
    arrange(e, u, &lb, 'j', cols, b);
    for (uint32_t r = 0; r < mma_repeat(u); r++) sum = mma_once(e, u, a[r], b[r], sum);
    return sum;
}

LLVMTypeRef mma_sum_type(Emit *e, const MmaUnit *u) { return LLVMVectorType(e->f32, sums_held(u)); }

void mma_square_out(Emit *e, const MmaUnit *u, V col, V sum, uint32_t line, V to) {
    MmaLayout d;
    mma_layout(u->d, &d);
    square_out(e, &d, n32(e, 0), col, sum, line, to);
}

void mma_out(GpuContract *c, V pass, V to) {
    Emit *e = c->e;
    Part p = part_of(c);
    V from = LLVMBuildMul(e->b, pass, n32(e, c->t.pass), "");
    for (uint32_t i = 0; i < p.rows; i++) {
        V row = LLVMBuildSub(e->b, add32(e, p.row, i * p.u->m), from, "");
        If mine = if_begin(e, below(e, row, n32(e, c->t.pass)));
        for (uint32_t j = 0; j < p.cols; j++)
            square_out(e, &p.d, row, add32(e, p.col, j * p.u->n),
                       emit_get(e, c->sum_type, c->sum[i * p.cols + j]), c->t.cols + 4, to);
        if_end(e, &mine);
    }
}
