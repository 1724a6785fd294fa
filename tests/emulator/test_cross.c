/* Lanes that see each other, branches, the MODE register, and what does nothing: a piece of code
 * each, and a function that says what it leaves in v8 or s8. */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "reference.h" /* the last: its names are short */

enum { NINE = 1, ELEVEN = 2, BOTH = 3 };

/* What the pieces see: v2, v3 and v8 of all lanes, s2 and s4; the mask of active lanes. */
typedef struct Before {
    uint32_t a[MAX_LANES], b[MAX_LANES], old[MAX_LANES];
    uint32_t s2, s4;
    uint64_t exec;
    unsigned n;
} Before;

typedef struct Piece {
    unsigned processors;
    const char *nine, *eleven; /* eleven NULL: the same text */
    bool is_scalar;            /* the result is s8 */
    uint32_t (*value)(const Before *x, unsigned lane);
} Piece;

static bool active(const Before *x, unsigned lane) { return x->exec >> lane & 1; }
static uint32_t from(const Before *x, unsigned lane) { return active(x, lane) ? x->a[lane] : 0; }

#define VALUE(name, e)                                                                             \
    static uint32_t name(const Before *x, unsigned lane) {                                         \
        (void)lane, (void)x;                                                                       \
        return (e);                                                                                \
    }
VALUE(first, x->a[x->exec == 0 ? 0 : __builtin_ctzll(x->exec)])
VALUE(lane_of_s2, x->a[x->s2 % x->n])
VALUE(lane_17, x->a[17])
VALUE(written, lane == x->s2 % x->n ? x->s4 : x->old[lane])
VALUE(written_3, lane == 3 ? 0x1234u : x->old[lane])
VALUE(swapped, active(x, lane) ? x->a[lane] - x->old[lane] : x->old[lane])
VALUE(bpermuted, active(x, lane) ? from(x, (x->b[lane] + 8) / 4 % x->n) : x->old[lane])

static uint32_t permuted(const Before *x, unsigned lane) {
    uint32_t r = 0;
    if (!active(x, lane)) return x->old[lane];
    for (unsigned i = 0; i < x->n; i++)
        if (active(x, i) && x->b[i] / 4 % x->n == lane) r = x->a[i];
    return r;
}

VALUE(swizzled_quad, active(x, lane) ? from(x, lane / 4 * 4 + (3 - lane % 4)) : x->old[lane])
VALUE(swizzled_swap, active(x, lane) ? from(x, lane ^ 16) : x->old[lane])
VALUE(swizzled_broadcast, active(x, lane) ? from(x, lane / 8 * 8 + 3) : x->old[lane])
VALUE(swizzled_mask, active(x, lane)
                         ? from(x, lane / 32 * 32 + (((lane % 32 & 0x0f) | 0x04) ^ 0x02))
                         : x->old[lane])

static uint32_t row_lane(const Before *x, unsigned lane, bool crosses, bool any, bool bounded) {
    uint64_t select = x->s2 | (uint64_t)x->s4 << 32;
    unsigned k = lane / 16 * 16 + (unsigned)(select >> 4 * (lane % 16) & 15);
    if (crosses) k ^= 16;
    if (!active(x, lane)) return x->old[lane];
    if (any || active(x, k)) return x->a[k];
    return bounded ? 0 : x->old[lane];
}
VALUE(permlane, row_lane(x, lane, false, false, false))
VALUE(permlane_any, row_lane(x, lane, false, true, false))
VALUE(permlanex, row_lane(x, lane, true, false, false))
VALUE(permlanex_bounded, row_lane(x, lane, true, false, true))

VALUE(is_odd, x->s2 % 2 ? 2u : 1u)
VALUE(is_vcc, x->s2 != 0 ? 2u : 1u)
VALUE(always_2, 2u)
VALUE(six_times, 6u)
VALUE(any_active, x->exec != 0 ? 2u : 1u)
VALUE(jumped, 5u)
VALUE(flushes, 0u)
VALUE(keeps, 0x00400000u)
VALUE(mode_field, 3u)
VALUE(kept, active(x, lane) ? x->a[lane] : x->old[lane])

#define BRANCH(how) how " .L%=\ns_mov_b32 s8, 1\ns_endpgm\n.L%=:\ns_mov_b32 s8, 2"

static const Piece pieces[] = {
    {BOTH, "v_readfirstlane_b32 s8, v2", NULL, true, first},
    {BOTH, "v_readlane_b32 s8, v2, s2", NULL, true, lane_of_s2},
    {BOTH, "v_readlane_b32 s8, v2, 17", NULL, true, lane_17},
    {BOTH, "s_mov_b32 m0, s2\nv_writelane_b32 v8, s4, m0", NULL, false, written},
    {BOTH, "s_movk_i32 s4, 0x1234\nv_writelane_b32 v8, s4, 3", NULL, false, written_3},
    {BOTH, "v_swap_b32 v8, v2\nv_sub_u32 v8, v8, v2", "v_swap_b32 v8, v2\nv_sub_nc_u32 v8, v8, v2",
     false, swapped},
    {BOTH, "ds_bpermute_b32 v8, v3, v2 offset:8", NULL, false, bpermuted},
    {BOTH, "ds_permute_b32 v8, v3, v2", NULL, false, permuted},
    {BOTH, "ds_swizzle_b32 v8, v2 offset:swizzle(QUAD_PERM,3,2,1,0)", NULL, false, swizzled_quad},
    {BOTH, "ds_swizzle_b32 v8, v2 offset:swizzle(SWAP,16)", NULL, false, swizzled_swap},
    {BOTH, "ds_swizzle_b32 v8, v2 offset:swizzle(BROADCAST,8,3)", NULL, false, swizzled_broadcast},
    {BOTH, "ds_swizzle_b32 v8, v2 offset:0x088f", NULL, false, swizzled_mask},
    {ELEVEN, "v_permlane16_b32 v8, v2, s2, s4", NULL, false, permlane},
    {ELEVEN, "v_permlane16_b32 v8, v2, s2, s4 op_sel:[1,0]", NULL, false, permlane_any},
    {ELEVEN, "v_permlanex16_b32 v8, v2, s2, s4", NULL, false, permlanex},
    {ELEVEN, "v_permlanex16_b32 v8, v2, s2, s4 op_sel:[0,1]", NULL, false, permlanex_bounded},
    {BOTH, "s_bitcmp1_b32 s2, 0\n" BRANCH("s_cbranch_scc1"), NULL, true, is_odd},
    {BOTH, "s_bitcmp0_b32 s2, 0\n" BRANCH("s_cbranch_scc0"), NULL, true, is_odd},
    {BOTH, "s_mov_b32 vcc_lo, s2\ns_mov_b32 vcc_hi, 0\n" BRANCH("s_cbranch_vccnz"), NULL, true,
     is_vcc},
    {BOTH, "s_mov_b32 vcc_lo, 0\ns_mov_b32 vcc_hi, 0\n" BRANCH("s_cbranch_vccz"), NULL, true,
     always_2},
    {BOTH, BRANCH("s_cbranch_execnz"), NULL, true, any_active},
    {BOTH, "s_mov_b64 exec, 0\n" BRANCH("s_cbranch_execz"),
     "s_mov_b32 exec_lo, 0\n" BRANCH("s_cbranch_execz"), true, always_2},
    {BOTH, BRANCH("s_branch"), NULL, true, always_2},
    {BOTH, "s_mov_b32 s8, 0\n.L%=:\ns_addk_i32 s8, 1\ns_cmpk_lt_i32 s8, 6\ns_cbranch_scc1 .L%=",
     NULL, true, six_times},
    {BOTH,
     "s_getpc_b64 s[10:11]\ns_add_u32 s10, s10, 20\ns_addc_u32 s11, s11, 0\ns_load_dword s8, s[10:11], 0x0\n"
     "s_branch .L%=\n.long 5\n.L%=:",
     "s_getpc_b64 s[10:11]\ns_add_u32 s10, s10, 20\ns_addc_u32 s11, s11, 0\ns_load_b32 s8, s[10:11], 0x0\n"
     "s_branch .L%=\n.long 5\n.L%=:",
     true, jumped},
    {BOTH,
     "s_setreg_imm32_b32 hwreg(HW_REG_MODE, 4, 2), 0\nv_mov_b32 v8, 0x00800000\nv_mul_f32 v8, 0.5, v8\n"
     "v_readfirstlane_b32 s8, v8",
     NULL, true, flushes},
    {BOTH,
     "s_setreg_imm32_b32 hwreg(HW_REG_MODE, 4, 2), 0\ns_movk_i32 s9, 3\ns_setreg_b32 hwreg(HW_REG_MODE, 4, 2), s9\n"
     "v_mov_b32 v8, 0x00800000\nv_mul_f32 v8, 0.5, v8\nv_readfirstlane_b32 s8, v8",
     NULL, true, keeps},
    {ELEVEN,
     "s_denorm_mode 12\nv_mov_b32 v8, 0x00800000\nv_mul_f32 v8, 0.5, v8\nv_readfirstlane_b32 s8, v8",
     NULL, true, flushes},
    {ELEVEN, "s_round_mode 0\ns_getreg_b32 s8, hwreg(HW_REG_MODE, 4, 2)", NULL, true, mode_field},
    {BOTH, "s_getreg_b32 s8, hwreg(HW_REG_MODE, 6, 2)", NULL, true, mode_field},
    {NINE,
     "s_nop 3\ns_sleep 1\ns_setprio 2\ns_sendmsg sendmsg(MSG_INTERRUPT)\ns_dcache_inv\ns_dcache_wb\ns_icache_inv\n"
     "s_incperflevel 1\ns_decperflevel 1\nv_nop\nbuffer_inv sc1\nbuffer_wbl2 sc1\ns_barrier\n"
     "s_waitcnt vmcnt(0) lgkmcnt(0)\nv_mov_b32 v8, v2",
     NULL, false, kept},
    {ELEVEN,
     "s_nop 3\ns_sleep 1\ns_setprio 2\ns_sendmsg sendmsg(MSG_DEALLOC_VGPRS)\ns_dcache_inv\ns_icache_inv\ns_gl1_inv\n"
     "s_incperflevel 1\ns_decperflevel 1\nv_nop\nbuffer_gl0_inv\nbuffer_gl1_inv\ns_clause 0x3\n"
     "s_delay_alu instid0(VALU_DEP_1)\ns_set_inst_prefetch_distance 0x1\ns_ttracedata_imm 0x1\n"
     "s_waitcnt_depctr 0xfffd\ns_waitcnt_vscnt null, 0x0\ns_waitcnt_vmcnt null, 0x0\ns_waitcnt_lgkmcnt null, 0x0\n"
     "s_waitcnt_expcnt null, 0x0\ns_wait_idle\ns_barrier\ns_waitcnt vmcnt(0) lgkmcnt(0)\nv_mov_b32 v8, v2",
     NULL, false, kept},
};
enum { N_PIECES = sizeof pieces / sizeof *pieces };

static const char *text_of(const Piece *p, bool is_gfx11) {
    return is_gfx11 && p->eleven != NULL ? p->eleven : p->nine;
}
static bool is_of(const Piece *p, bool is_gfx11) {
    return p->processors & (is_gfx11 ? ELEVEN : NINE);
}

/* %= is the number of the piece. */
static char *put(char *to, const char *text, size_t number) {
    for (; *text != '\0'; text++) {
        if (text[0] == '%' && text[1] == '=') {
            to += sprintf(to, "%zu", number);
            text++;
        } else {
            *to++ = *text;
        }
    }
    *to = '\0';
    return to;
}

static int n_bad;
static char seen[N_PIECES * 40][40];
static size_t n_seen;

static void get_ready(Wave *w, Before *x, uint64_t round) {
    uint64_t state = round;
    for (unsigned i = 0; i < MAX_LANES; i++) {
        x->a[i] = (uint32_t)any_bits(&state);
        x->b[i] = (uint32_t)any_bits(&state) % 4096 / 4 * 4;
        x->old[i] = (uint32_t)any_bits(&state);
    }
    x->s2 = (uint32_t)any_bits(&state);
    x->s4 = (uint32_t)any_bits(&state);
    x->n = w->n;
    x->exec = (round < 3 ? UINT64_MAX : round == 3 ? 0x10 : any_bits(&state)) & w->full;
    rig_vector(w, 2, x->a);
    rig_vector(w, 3, x->b);
    rig_vector(w, 8, x->old);
    rig_scalar(w, 2, x->s2);
    rig_scalar(w, 4, x->s4);
    rig_exec(w, x->exec);
}

static void test_piece(Rig *rig, size_t i, bool is_gfx11) {
    const Piece *p = &pieces[i];
    char symbol[32];
    const char *why;
    snprintf(symbol, sizeof symbol, "p%zu", i);
    for (uint64_t round = 0; round < 8; round++) {
        Before x;
        rig_set(rig, symbol, 1, 64, 0);
        Wave *w = rig_wave(rig);
        get_ready(w, &x, round);
        for (size_t k = 0; round == 0 && k < rig->kernel.code.n && k < 40; k++)
            if (rig->kernel.code.inst[k].op != NULL)
                snprintf(seen[n_seen++], sizeof *seen, "%s", rig->kernel.code.inst[k].op->name);
        if (!rig_run(rig, &why)) {
            printf("%s\n", why);
            n_bad++;
            return;
        }
        for (unsigned lane = 0; lane < (p->is_scalar ? 1 : w->n); lane++) {
            uint32_t got = p->is_scalar ? w->s[8] : w->v[8].u[lane], want = p->value(&x, lane);
            if (got == want || n_bad++ > 20) continue;
            printf("%s: %s: lane %u: 0x%x instead of 0x%x\n", is_gfx11 ? "gfx1100" : "gfx942",
                   text_of(p, is_gfx11), lane, got, want);
        }
    }
}

static void check_all_seen(void) {
    static const char *const elsewhere[] = {"s_trap", "s_endpgm"}; /* test_checks.c; everywhere */
    const OpIndex *index = ops_index();
    for (size_t k = 0; op_name(index, k) != NULL; k++) {
        const Op *op = op_find(index, op_name(index, k));
        bool found = op->kind != K_CONTROL && op->kind != K_CROSS;
        for (size_t i = 0; i < n_seen && !found; i++) found = strcmp(seen[i], op->name) == 0;
        for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere && !found; i++)
            found = strcmp(elsewhere[i], op->name) == 0;
        if (!found) printf("%s: no test\n", op_name(index, k));
        n_bad += !found;
    }
    ops_index_free(index);
}

int main(void) {
    for (int is_gfx11 = 0; is_gfx11 < 2; is_gfx11++) {
        char *text = malloc(N_PIECES * 1500), *to = text;
        for (size_t i = 0; i < N_PIECES; i++) {
            if (!is_of(&pieces[i], is_gfx11)) continue;
            to += sprintf(to, ".globl p%zu\np%zu:\n", i, i);
            to = put(to, text_of(&pieces[i], is_gfx11), i);
            to += sprintf(to, "\ns_endpgm\n");
        }
        Rig *rig = rig_create(is_gfx11 ? "gfx1100" : "gfx942", text);
        free(text);
        for (size_t i = 0; i < N_PIECES; i++)
            if (is_of(&pieces[i], is_gfx11)) test_piece(rig, i, is_gfx11);
        rig_free(rig);
    }
    check_all_seen();
    if (n_bad > 0) printf("%d wrong\n", n_bad);
    return n_bad > 0;
}
