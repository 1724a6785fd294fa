/* Local memory. */
#include "access.h"
#include "banks.h"
#include "ops.h"

/* ---- banks ----------------------------------------------------------------------------------- */

enum { N_BANKS = 32 };

/* The lanes go in turns of as many as fill all banks; words of one bank wait for each other, unless
 * they are the same word. An estimate: the processors group lanes in ways nobody documents. */
/* All lanes side by side, or at one place: what almost all accesses are. */
static bool is_smooth(const uint32_t *at, uint64_t lanes, unsigned n, unsigned words) {
    uint32_t differs = 0, rough = 0;
    if (lanes != (n == 64 ? ~(uint64_t)0 : UINT32_MAX)) return false;
    for (unsigned i = 0; i < n; i++) {
        differs |= at[i] ^ at[0];
        rough |= at[i] ^ (at[0] + 4 * words * i);
    }
    return (differs == 0 || rough == 0) && at[0] % 4 == 0;
}

void banks_count(EmuCounts *c, const uint32_t *at, uint64_t lanes, unsigned n, unsigned words) {
    unsigned turn = words == 3 ? 8 : N_BANKS / words;
    if (words != 3 && is_smooth(at, lanes, n, words)) {
        c->lds_cycles += n / turn;
        return;
    }
    for (unsigned first = 0; first < n; first += turn) {
        uint32_t last[N_BANKS];
        uint8_t used[N_BANKS] = {0}, most = 0;
        for (unsigned i = first; i < first + turn; i++) {
            if ((lanes >> i & 1) == 0) continue;
            for (unsigned k = 0; k < words; k++) {
                uint32_t word = at[i] + 4 * k, bank = word / 4 % N_BANKS;
                if (used[bank] > 0 && last[bank] == word) continue;
                last[bank] = word;
                if (++used[bank] > most) most = used[bank];
            }
        }
        c->lds_cycles += most;
        c->lds_conflicts += most > 0 ? most - 1u : 0;
    }
}

/* ---- addresses ------------------------------------------------------------------------------- */

/* Says what is wrong with the first lane of which something is. */
static void misplaced(Wave *w, const Inst *in, const uint32_t *at, const Access *a, unsigned need) {
    const Group *g = w->group;
    for (uint64_t m = a->lanes; m != 0; m &= m - 1) {
        int i = __builtin_ctzll(m);
        if (at[i] > g->lds_bytes || g->lds_bytes - at[i] < a->bytes) {
            wave_fault(w, in, i, "%u bytes at %u of a local memory of %u bytes", a->bytes, at[i],
                       g->lds_bytes);
            return;
        }
        if ((at[i] & (need - 1u)) != 0) {
            wave_fault(w, in, i, "local address %u is no multiple of %u", at[i], need);
            return;
        }
    }
}

/* Lanes that read what another wave wrote since the last barrier into *racing; false: two waves write the same. */
static bool race_free(Wave *w, const Inst *in, const uint32_t *at, const Access *a,
                      uint64_t *racing) {
    Group *g = w->group;
    unsigned tag = in->op->flags & F_ATOMIC ? RACE_ATOMIC : w->index;
    bool is_read = in->op->flags & F_LOAD;
    *racing = g->n_waves == 1 ? 0 : race_lanes(g, tag, is_read, at, a->lanes, a->bytes);
    if (*racing == 0) return true;
    unsigned lane = (unsigned)__builtin_ctzll(*racing);
    if (is_read) {
        race_read(w, in, lane, true, false);
        return true;
    }
    wave_fault(
        w, in, (int)lane,
        "another wave wrote the same local memory (address %u, %u bytes) since the last barrier",
        at[lane], a->bytes);
    return false;
}

static bool addresses(Wave *w, const Inst *in, uint32_t offset, Access *a) {
    const Group *g = w->group;
    const uint32_t *v = w->v[in->src[0].reg].u, *active = w->exec_lanes.u;
    uint32_t at[MAX_LANES], bad = 0;
    a->lanes = w->exec;
    a->bytes = in->op->bytes;
    uint32_t need = in->op->flags & F_ATOMIC ? a->bytes : a->bytes < 4 ? a->bytes : 4;
    uint32_t most = g->lds_bytes < a->bytes ? 0 : g->lds_bytes - a->bytes;
    bool is_too_small = g->lds_bytes < a->bytes;
    for (size_t i = 0; i < w->n; i++) {
        at[i] = v[i] + offset;
        bad |= ((at[i] > most) | (at[i] & (need - 1u))) & active[i];
    }
    if (bad != 0 || (is_too_small && a->lanes != 0)) {
        misplaced(w, in, at, a, need);
        return false;
    }
    uint64_t racing;
    if (!race_free(w, in, at, a, &racing)) return false;
    for (size_t i = 0; i < w->n; i++) {
        a->data[i] = g->lds + (at[i] & active[i]);
        a->known[i] = g->lds_known + (at[i] & active[i]);
    }
    for (uint64_t m = racing; m != 0; m &= m - 1) a->known[__builtin_ctzll(m)] = g->worker->nothing;
    banks_count(&g->worker->total, at, a->lanes, w->n, access_words(a));
    return true;
}

/* ---- the instructions ------------------------------------------------------------------------ */

static void exec_two(Wave *w, const Inst *in) {
    Access a, b;
    uint32_t step = in->op->bytes * (in->op->flags & F_STRIDE64 ? 64u : 1u);
    if (!addresses(w, in, (uint32_t)in->mod.offset * step, &a) ||
        !addresses(w, in, (uint32_t)in->mod.offset1 * step, &b))
        return;
    unsigned words = access_words(&a);
    if (in->op->flags & F_LOAD) {
        access_load(w, in, &a, CNT_LGKM, in->dst[0].reg);
        access_load(w, in, &b, CNT_LGKM, in->dst[0].reg + words);
        wait_issue(w, in, CNT_LGKM, false, false, in->dst[0].reg, 2 * words);
    } else {
        access_store(w, in, &a, in->src[2].reg, false);
        access_store(w, in, &b, in->src[3].reg, false);
        wait_issue(w, in, CNT_LGKM, false, false, 0, 0);
        w->lds_write = w->issued[CNT_LGKM];
    }
}

void exec_lds(Wave *w, const Inst *in) {
    Access a;
    vectors_doubtful(w, in);
    if (w->stop == FAULTED || !access_address_known(w, in, &in->src[0], 1)) return;
    if (in->op->flags & F_TWO) {
        exec_two(w, in);
        return;
    }
    if (!addresses(w, in, (uint32_t)in->mod.offset, &a)) return;
    unsigned words = access_words(&a), n = in->n_dst > 0 ? words : 0;
    if (in->op->flags & F_LOAD)
        access_load(w, in, &a, CNT_LGKM, in->dst[0].reg);
    else if (in->op->flags & F_STORE)
        access_store(w, in, &a, in->src[2].reg, false);
    else
        access_atomic(w, in, &a, in->src[2].reg, in->src[3].reg, CNT_LGKM);
    wait_issue(w, in, CNT_LGKM, false, false, in->dst[0].reg, n);
    if (!(in->op->flags & F_LOAD)) w->lds_write = w->issued[CNT_LGKM];
}

/* The older order of a comparison: what it is compared with comes first. */
static void exec_cmpst(Wave *w, const Inst *in) {
    Inst turned = *in;
    turned.src[2] = in->src[3];
    turned.src[3] = in->src[2];
    exec_lds(w, &turned);
}

#define L(label, size, f)                                                                          \
    { .name = label, .types = "", .kind = K_LDS, .bytes = size, .flags = f, .exec = exec_lds }
#define A1(label, size, r)                                                                         \
    {                                                                                              \
        .name = label, .types = "", .kind = K_LDS, .bytes = size, .flags = F_ATOMIC, .row = r,     \
        .exec = exec_lds                                                                           \
    }
#define A2(word, t32, t64, r)                                                                      \
    A1("ds_" word "_" t32, 4, r), A1("ds_" word "_rtn_" t32, 4, r), A1("ds_" word "_" t64, 8, r),  \
        A1("ds_" word "_rtn_" t64, 8, r)
#define CMPST(label, size)                                                                         \
    {                                                                                              \
        .name = label, .types = "", .kind = K_LDS, .bytes = size, .flags = F_ATOMIC,               \
        .row = A_CMPSWAP, .exec = exec_cmpst                                                       \
    }

const Op ops_lds[] = {L("ds_read_u8", 1, F_LOAD),
                      L("ds_read_i8", 1, F_LOAD | F_SIGNED),
                      L("ds_read_u16", 2, F_LOAD),
                      L("ds_read_i16", 2, F_LOAD | F_SIGNED),
                      L("ds_read_u8_d16", 1, F_LOAD | F_D16),
                      L("ds_read_u8_d16_hi", 1, F_LOAD | F_D16 | F_HIGH),
                      L("ds_read_i8_d16", 1, F_LOAD | F_D16 | F_SIGNED),
                      L("ds_read_i8_d16_hi", 1, F_LOAD | F_D16 | F_SIGNED | F_HIGH),
                      L("ds_read_u16_d16", 2, F_LOAD | F_D16),
                      L("ds_read_u16_d16_hi", 2, F_LOAD | F_D16 | F_HIGH),
                      L("ds_read_b32", 4, F_LOAD),
                      L("ds_read_b64", 8, F_LOAD),
                      L("ds_read_b96", 12, F_LOAD),
                      L("ds_read_b128", 16, F_LOAD),
                      L("ds_read2_b32", 4, F_LOAD | F_TWO),
                      L("ds_read2_b64", 8, F_LOAD | F_TWO),
                      L("ds_read2st64_b32", 4, F_LOAD | F_TWO | F_STRIDE64),
                      L("ds_read2st64_b64", 8, F_LOAD | F_TWO | F_STRIDE64),
                      L("ds_write_b8", 1, F_STORE),
                      L("ds_write_b16", 2, F_STORE),
                      L("ds_write_b8_d16_hi", 1, F_STORE | F_HIGH),
                      L("ds_write_b16_d16_hi", 2, F_STORE | F_HIGH),
                      L("ds_write_b32", 4, F_STORE),
                      L("ds_write_b64", 8, F_STORE),
                      L("ds_write_b96", 12, F_STORE),
                      L("ds_write_b128", 16, F_STORE),
                      L("ds_write2_b32", 4, F_STORE | F_TWO),
                      L("ds_write2_b64", 8, F_STORE | F_TWO),
                      L("ds_write2st64_b32", 4, F_STORE | F_TWO | F_STRIDE64),
                      L("ds_write2st64_b64", 8, F_STORE | F_TWO | F_STRIDE64),
                      A2("add", "u32", "u64", A_ADD),
                      A2("sub", "u32", "u64", A_SUB),
                      A2("rsub", "u32", "u64", A_RSUB),
                      A2("inc", "u32", "u64", A_INC),
                      A2("dec", "u32", "u64", A_DEC),
                      A2("min", "i32", "i64", A_SMIN),
                      A2("max", "i32", "i64", A_SMAX),
                      A2("min", "u32", "u64", A_UMIN),
                      A2("max", "u32", "u64", A_UMAX),
                      A2("and", "b32", "b64", A_AND),
                      A2("or", "b32", "b64", A_OR),
                      A2("xor", "b32", "b64", A_XOR),
                      A2("min", "f32", "f64", A_FMIN),
                      A2("max", "f32", "f64", A_FMAX),
                      A2("add", "f32", "f64", A_FADD),
                      A1("ds_pk_add_f16", 4, A_PK_ADD_F16),
                      A1("ds_pk_add_rtn_f16", 4, A_PK_ADD_F16),
                      A1("ds_pk_add_bf16", 4, A_PK_ADD_BF16),
                      A1("ds_pk_add_rtn_bf16", 4, A_PK_ADD_BF16),
                      A1("ds_wrxchg_rtn_b32", 4, A_SWAP),
                      A1("ds_wrxchg_rtn_b64", 8, A_SWAP),
                      CMPST("ds_cmpst_b32", 4),
                      CMPST("ds_cmpst_rtn_b32", 4),
                      CMPST("ds_cmpst_b64", 8),
                      CMPST("ds_cmpst_rtn_b64", 8),
                      A1("ds_cmpstore_b32", 4, A_CMPSWAP),
                      A1("ds_cmpstore_rtn_b32", 4, A_CMPSWAP),
                      A1("ds_cmpstore_b64", 8, A_CMPSWAP),
                      A1("ds_cmpstore_rtn_b64", 8, A_CMPSWAP),
                      {.name = NULL}};
