/* Global memory, scratch and buffers: where each lane's access goes, and whether it may. */
#include "access.h"
#include "ops.h"

#include <stdio.h>

/* ---- bounds ---------------------------------------------------------------------------------- */

static const char *verb(const Inst *in) {
    return in->op->flags & F_STORE    ? "store"
           : in->op->flags & F_ATOMIC ? "atomic operation"
                                      : "load";
}

static void outside(Wave *w, const Inst *in, int lane, uint64_t at, unsigned bytes) {
    const Buffer *b = buffers_near(&w->group->worker->launch->emu->buffers, at);
    if (b == NULL) {
        wave_fault(w, in, lane, "%s of %u bytes at 0x%llx, which is in no buffer", verb(in), bytes,
                   (unsigned long long)at);
        return;
    }
    uint64_t offset = at - (uint64_t)(uintptr_t)b->base;
    wave_fault(
        w, in, lane,
        "%s of %u bytes at 0x%llx, in no buffer: at offset %llu of the nearest one, which has %zu bytes",
        verb(in), bytes, (unsigned long long)at, (unsigned long long)offset, b->bytes);
}

/* Loads and stores may begin anywhere: drivers switch that on. */
static bool is_aligned(Wave *w, const Inst *in, int lane, uint64_t at, unsigned bytes) {
    if (!(in->op->flags & F_ATOMIC) || (at & (bytes - 1u)) == 0) return true;
    wave_fault(w, in, lane, "%s of %u bytes at 0x%llx, which is no multiple of %u", verb(in), bytes,
               (unsigned long long)at, bytes);
    return false;
}

static bool global_place(Wave *w, const Inst *in, int lane, uint64_t at, unsigned bytes, Place *p) {
    const Buffer **cache = &w->group->worker->cache[in->index];
    const Buffer *b = *cache;
    if (!is_aligned(w, in, lane, at, bytes)) return false;
    if (b == NULL || at - (uint64_t)(uintptr_t)b->base > b->bytes ||
        b->bytes - (at - (uint64_t)(uintptr_t)b->base) < bytes) {
        b = *cache = buffers_find(&w->group->worker->launch->emu->buffers, at, bytes);
        if (b == NULL) {
            outside(w, in, lane, at, bytes);
            return false;
        }
    }
    size_t offset = (size_t)(at - (uint64_t)(uintptr_t)b->base);
    if (b->is_read_only && (in->op->flags & (F_STORE | F_ATOMIC)) != 0) {
        wave_fault(w, in, lane, "%s into memory that is only read: code, constants or arguments",
                   verb(in));
        return false;
    }
    p->data = b->base + offset;
    p->known = b->known == NULL ? NULL : b->known + offset;
    return true;
}

/* Is what a lane stores there already? Two may say the same. */
static bool is_repeated(const Wave *w, const Inst *in, unsigned lane, const Access *a) {
    for (unsigned k = 0; 4 * k < a->bytes; k++)
        if (memcmp(a->data[lane] + 4 * k, &w->v[in->src[2].reg + k].u[lane], 4) != 0) return false;
    return true;
}

/* Did another wave or group write there meanwhile? What is read then is not known; other values may not be
 * written. */
static bool race_free(Wave *w, const Inst *in, const Buffer *b, uint64_t ours, unsigned lane,
                      Access *a) {
    bool is_read = (in->op->flags & F_LOAD) != 0;
    uint64_t offset = (uint64_t)(a->data[lane] - b->base);
    if (b->writers == NULL) return true;
    Race r =
        race_global(w->group, b, in->op->flags & F_ATOMIC ? 0 : ours, is_read, offset, a->bytes);
    if (r == RACE_NONE) return true;
    if (is_read) {
        race_read(w, in, lane, false, r == RACE_GROUP);
        a->known[lane] = w->group->worker->nothing;
        return true;
    }
    if (is_repeated(w, in, lane, a)) return true;
    wave_fault(
        w, in, (int)lane,
        "another %s wrote another value to the same memory, %u bytes at offset %llu of a buffer of %zu bytes",
        r == RACE_GROUP ? "group" : "wave, since the last barrier,", a->bytes,
        (unsigned long long)offset, b->bytes);
    return false;
}

static void count_global(Wave *w, const Inst *in, const Access *a) {
    EmuCounts *c = &w->group->worker->total;
    uint64_t bytes = (uint64_t)__builtin_popcountll(a->lanes) * a->bytes;
    if (in->op->flags & (F_LOAD | F_ATOMIC)) c->bytes_loaded += bytes;
    if (in->op->flags & (F_STORE | F_ATOMIC)) c->bytes_stored += bytes;
}

/* The registers of data come after the address in the text, those compared with behind them. */
static void transfer(Wave *w, const Inst *in, const Access *a, bool must_be_known) {
    Counter stores = w->processor->is_gfx11 ? CNT_VS : CNT_VM;
    if (in->op->flags & F_LOAD) {
        access_load(w, in, a, CNT_VM, in->dst[0].reg);
        wait_issue(w, in, CNT_VM, false, false, in->dst[0].reg, access_words(a));
    } else if (in->op->flags & F_STORE) {
        access_store(w, in, a, in->src[2].reg, must_be_known);
        wait_issue(w, in, stores, false, false, 0, 0);
    } else {
        Counter c = in->n_dst > 0 ? CNT_VM : stores;
        access_atomic(w, in, a, in->src[2].reg, in->src[2].reg + a->bytes / 4u, c);
        wait_issue(w, in, c, false, false, in->dst[0].reg, in->n_dst > 0 ? a->bytes / 4u : 0);
    }
}

static bool stopped_by_reads(Wave *w, const Inst *in) {
    vectors_doubtful(w, in);
    scalars_doubtful(w, in);
    return w->stop == FAULTED;
}

/* ---- global ---------------------------------------------------------------------------------- */

/* All lanes in the buffer that this instruction met last: the way of almost all. */
static bool one_buffer(Wave *w, const Inst *in, const uint64_t *at, Access *a) {
    const Buffer *b = w->group->worker->cache[in->index];
    if (b == NULL || b->bytes < a->bytes || a->lanes != w->full) return false;
    if (b->is_read_only || (in->op->flags & F_ATOMIC) != 0) return false;
    uint64_t base = (uint64_t)(uintptr_t)b->base, most = b->bytes - a->bytes, outside = 0;
    for (size_t i = 0; i < w->n; i++) outside |= at[i] - base > most;
    if (outside) return false;
    for (size_t i = 0; i < w->n; i++) a->data[i] = b->base + (at[i] - base);
    for (size_t i = 0; i < w->n; i++)
        a->known[i] = b->known == NULL ? NULL : b->known + (at[i] - base);
    uint64_t ours = race_global_tag(w);
    for (unsigned i = 0; i < w->n; i++)
        if (!race_free(w, in, b, ours, i, a)) break;
    return true;
}

static bool many_buffers(Wave *w, const Inst *in, const uint64_t *at, Access *a) {
    uint64_t ours = race_global_tag(w);
    for (uint64_t m = a->lanes; m != 0; m &= m - 1) {
        unsigned i = (unsigned)__builtin_ctzll(m);
        Place p;
        if (!global_place(w, in, (int)i, at[i], a->bytes, &p)) return false;
        a->data[i] = p.data;
        a->known[i] = p.known;
        if (!race_free(w, in, w->group->worker->cache[in->index], ours, i, a)) return false;
    }
    return true;
}

/* A pair of vector registers, or a pair of scalar ones and 32 bits a lane. */
void exec_global(Wave *w, const Inst *in) {
    const Slot *v = &in->src[0], *s = &in->src[1];
    bool has_base = s->kind == O_SCALAR && s->reg != S_NULL;
    uint64_t at[MAX_LANES];
    Access a;
    a.lanes = w->exec;
    a.bytes = in->op->bytes;
    if (stopped_by_reads(w, in) || !access_address_known(w, in, v, has_base ? 1 : 2) ||
        !access_scalar_known(w, in, s, 2))
        return;
    uint64_t base = (has_base ? scalar_get64(w, s->reg) : 0) + (uint64_t)(int64_t)in->mod.offset;
    const Lanes *low = &w->v[v->reg], *high = low + 1;
    for (size_t i = 0; i < w->n; i++)
        at[i] = base + low->u[i] + (has_base ? 0 : (uint64_t)high->u[i] << 32);
    if (!one_buffer(w, in, at, &a) && !many_buffers(w, in, at, &a)) return;
    if (w->stop == FAULTED) return;
    count_global(w, in, &a);
    transfer(w, in, &a, true);
}

/* ---- scratch --------------------------------------------------------------------------------- */

void exec_scratch(Wave *w, const Inst *in) {
    const Slot *v = &in->src[0], *s = &in->src[1];
    Access a = {.lanes = w->exec, .bytes = in->op->bytes};
    if (stopped_by_reads(w, in)) return;
    if (v->kind == O_VECTOR && !access_address_known(w, in, v, 1)) return;
    if (!access_scalar_known(w, in, s, 1)) return;
    uint32_t base = (s->kind == O_SCALAR ? scalar_get(w, s->reg) : 0) + (uint32_t)in->mod.offset;
    for (uint64_t m = a.lanes; m != 0; m &= m - 1) {
        unsigned i = (unsigned)__builtin_ctzll(m);
        uint32_t at = base + (v->kind == O_VECTOR ? w->v[v->reg].u[i] : 0);
        if (at > w->scratch_lane || w->scratch_lane - at < a.bytes) {
            wave_fault(w, in, (int)i, "%s of %u bytes at %u of a scratch of %u bytes", verb(in),
                       a.bytes, at, w->scratch_lane);
            return;
        }
        if (!is_aligned(w, in, (int)i, at, a.bytes)) return;
        a.data[i] = w->scratch + (size_t)i * w->scratch_lane + at;
        a.known[i] = w->scratch_known + (size_t)i * w->scratch_lane + at;
    }
    transfer(w, in, &a, false);
}

/* ---- buffers --------------------------------------------------------------------------------- */

/* Descriptors without a stride: a base, and a size behind which loads give zero and stores go
 * nowhere. */
typedef struct Resource {
    uint64_t base;
    uint32_t bytes;
} Resource;

static bool resource(Wave *w, const Inst *in, Resource *r) {
    const Slot *s = &in->src[1];
    if (!access_scalar_known(w, in, s, 4)) return false;
    uint32_t upper = w->s[s->reg + 1];
    if ((upper >> 16 & 0x3fffu) != 0 || in->mod.idxen || in->mod.lds) {
        wave_fault(w, in, -1,
                   "buffers with strides or indices, or loads to local memory, are not emulated");
        return false;
    }
    r->base = w->s[s->reg] | (uint64_t)(upper & 0xffffu) << 32;
    r->bytes = w->s[s->reg + 2];
    return true;
}

/* 0: in it; 1: behind its end; -1: stops. */
static int buffer_place(Wave *w, const Inst *in, int lane, const Resource *r, uint64_t offset,
                        unsigned bytes, Place *p) {
    if (offset >= r->bytes) return 1;
    if (r->bytes - offset < bytes) {
        wave_fault(w, in, lane,
                   "%s of %u bytes at %llu, half behind the end of a buffer of %u bytes", verb(in),
                   bytes, (unsigned long long)offset, r->bytes);
        return -1;
    }
    return global_place(w, in, lane, r->base + offset, bytes, p) ? 0 : -1;
}

void exec_buffer(Wave *w, const Inst *in) {
    static const uint8_t zero[16];
    const Slot *v = &in->src[0], *s = &in->src[3];
    Access a = {.bytes = in->op->bytes};
    Resource r;
    if (stopped_by_reads(w, in) || !resource(w, in, &r)) return;
    if (in->mod.offen && !access_address_known(w, in, v, 1)) return;
    if (!access_scalar_known(w, in, s, 1)) return;
    uint64_t base = (uint32_t)in->mod.offset;
    base += s->kind == O_SCALAR ? scalar_get(w, s->reg) : s->bits;
    for (uint64_t m = w->exec; m != 0; m &= m - 1) {
        unsigned i = (unsigned)__builtin_ctzll(m);
        Place p = {(uint8_t *)(uintptr_t)zero, NULL};
        int where = buffer_place(w, in, (int)i, &r, base + (in->mod.offen ? w->v[v->reg].u[i] : 0),
                                 a.bytes, &p);
        if (where < 0) return;
        if (where > 0 && !(in->op->flags & F_LOAD)) continue;
        a.lanes |= (uint64_t)1 << i;
        a.data[i] = p.data;
        a.known[i] = p.known;
    }
    count_global(w, in, &a);
    transfer(w, in, &a, true);
}

/* ---- scalar loads ---------------------------------------------------------------------------- */

static void exec_time(Wave *w, const Inst *in) {
    scalar_set(w, in, in->dst[0].reg, (uint32_t)w->executed, 0);
    scalar_set(w, in, in->dst[0].reg + 1u, (uint32_t)(w->executed >> 32), 0);
    wait_issue(w, in, CNT_LGKM, true, true, in->dst[0].reg, 2);
}

void exec_smem(Wave *w, const Inst *in) {
    const Slot *base = &in->src[0], *offset = &in->src[1];
    unsigned bytes = in->op->bytes, reg = in->dst[0].reg;
    Place p;
    scalars_doubtful(w, in);
    if (w->stop == FAULTED || !access_scalar_known(w, in, base, 2) ||
        !access_scalar_known(w, in, offset, 1))
        return;
    uint64_t at = scalar_get64(w, base->reg) + (uint64_t)(int64_t)in->mod.offset;
    at += offset->kind == O_SCALAR ? scalar_get(w, offset->reg)
                                   : (uint64_t)(int64_t)(int32_t)offset->bits;
    if (!global_place(w, in, -1, at, bytes, &p)) return;
    for (unsigned k = 0; k < bytes / 4; k++) {
        uint32_t x, known = ~0u;
        memcpy(&x, p.data + 4 * k, 4);
        if (p.known != NULL) memcpy(&known, p.known + 4 * k, 4);
        scalar_set(w, in, reg + k, x, ~known);
    }
    w->group->worker->total.bytes_loaded += bytes;
    wait_issue(w, in, CNT_LGKM, true, true, reg, bytes / 4);
}

/* ---- the table ------------------------------------------------------------------------------- */

#define M(label, k, size, f, function)                                                             \
    { .name = label, .types = "", .kind = k, .bytes = size, .flags = f, .exec = function }
#define LOADS(p, k, x)                                                                             \
    M(p "load_ubyte", k, 1, F_LOAD, x), M(p "load_sbyte", k, 1, F_LOAD | F_SIGNED, x),             \
        M(p "load_ushort", k, 2, F_LOAD, x), M(p "load_sshort", k, 2, F_LOAD | F_SIGNED, x),       \
        M(p "load_dword", k, 4, F_LOAD, x), M(p "load_dwordx2", k, 8, F_LOAD, x),                  \
        M(p "load_dwordx3", k, 12, F_LOAD, x), M(p "load_dwordx4", k, 16, F_LOAD, x),              \
        M(p "load_ubyte_d16", k, 1, F_LOAD | F_D16, x),                                            \
        M(p "load_ubyte_d16_hi", k, 1, F_LOAD | F_D16 | F_HIGH, x),                                \
        M(p "load_sbyte_d16", k, 1, F_LOAD | F_D16 | F_SIGNED, x),                                 \
        M(p "load_sbyte_d16_hi", k, 1, F_LOAD | F_D16 | F_SIGNED | F_HIGH, x),                     \
        M(p "load_short_d16", k, 2, F_LOAD | F_D16, x),                                            \
        M(p "load_short_d16_hi", k, 2, F_LOAD | F_D16 | F_HIGH, x)
#define STORES(p, k, x)                                                                            \
    M(p "store_byte", k, 1, F_STORE, x), M(p "store_short", k, 2, F_STORE, x),                     \
        M(p "store_dword", k, 4, F_STORE, x), M(p "store_dwordx2", k, 8, F_STORE, x),              \
        M(p "store_dwordx3", k, 12, F_STORE, x), M(p "store_dwordx4", k, 16, F_STORE, x),          \
        M(p "store_byte_d16_hi", k, 1, F_STORE | F_HIGH, x),                                       \
        M(p "store_short_d16_hi", k, 2, F_STORE | F_HIGH, x)
#define A1(p, k, x, label, size, r)                                                                \
    {                                                                                              \
        .name = p "atomic_" label, .types = "", .kind = k, .bytes = size, .flags = F_ATOMIC,       \
        .row = r, .exec = x                                                                        \
    }
#define A2(p, k, x, label, r) A1(p, k, x, label, 4, r), A1(p, k, x, label "_x2", 8, r)
#define ATOMICS(p, k, x)                                                                           \
    A2(p, k, x, "swap", A_SWAP), A2(p, k, x, "cmpswap", A_CMPSWAP), A2(p, k, x, "add", A_ADD),     \
        A2(p, k, x, "sub", A_SUB), A2(p, k, x, "smin", A_SMIN), A2(p, k, x, "umin", A_UMIN),       \
        A2(p, k, x, "smax", A_SMAX), A2(p, k, x, "umax", A_UMAX), A2(p, k, x, "and", A_AND),       \
        A2(p, k, x, "or", A_OR), A2(p, k, x, "xor", A_XOR), A2(p, k, x, "inc", A_INC),             \
        A2(p, k, x, "dec", A_DEC), A1(p, k, x, "add_f32", 4, A_FADD),                              \
        A1(p, k, x, "add_f64", 8, A_FADD), A1(p, k, x, "min_f32", 4, A_FMIN),                      \
        A1(p, k, x, "max_f32", 4, A_FMAX), A1(p, k, x, "min_f64", 8, A_FMIN),                      \
        A1(p, k, x, "max_f64", 8, A_FMAX), A1(p, k, x, "pk_add_f16", 4, A_PK_ADD_F16)

const Op ops_memory[] = {LOADS("global_", K_GLOBAL, exec_global),
                         STORES("global_", K_GLOBAL, exec_global),
                         ATOMICS("global_", K_GLOBAL, exec_global),
                         A1("global_", K_GLOBAL, exec_global, "pk_add_bf16", 4, A_PK_ADD_BF16),
                         LOADS("buffer_", K_BUFFER, exec_buffer),
                         STORES("buffer_", K_BUFFER, exec_buffer),
                         ATOMICS("buffer_", K_BUFFER, exec_buffer),
                         LOADS("scratch_", K_SCRATCH, exec_scratch),
                         STORES("scratch_", K_SCRATCH, exec_scratch),
                         M("s_load_dword", K_SMEM, 4, F_LOAD, exec_smem),
                         M("s_load_dwordx2", K_SMEM, 8, F_LOAD, exec_smem),
                         M("s_load_dwordx4", K_SMEM, 16, F_LOAD, exec_smem),
                         M("s_load_dwordx8", K_SMEM, 32, F_LOAD, exec_smem),
                         M("s_load_dwordx16", K_SMEM, 64, F_LOAD, exec_smem),
                         M("s_memtime", K_SMEM, 8, F_LOAD, exec_time),
                         M("s_memrealtime", K_SMEM, 8, F_LOAD, exec_time),
                         {.name = NULL}};
