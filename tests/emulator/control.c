/* Branches, barriers, waits, the MODE register, and what does nothing here. */
#include "ops.h"
#include "wave.h"

/* ---- branches -------------------------------------------------------------------------------- */

static void jump(Wave *w, const Inst *in) {
    if (in->target == NULL)
        wave_fault(w, in, -1, "the branch leaves the kernel's code");
    else
        w->at = in->target;
}

static void exec_branch(Wave *w, const Inst *in) { jump(w, in); }

static void branch_scc(Wave *w, const Inst *in, bool when) {
    if (w->scc_unknown)
        wave_fault(w, in, -1, "the branch depends on SCC, which comes from a value never written");
    else if (w->scc == when)
        jump(w, in);
}

static void exec_scc0(Wave *w, const Inst *in) { branch_scc(w, in, false); }
static void exec_scc1(Wave *w, const Inst *in) { branch_scc(w, in, true); }

/* One lane that is known to be set decides, whatever the others are. */
static void branch_vcc(Wave *w, const Inst *in, bool when) {
    if (scalars_doubtful(w, in) && w->stop == FAULTED) return;
    uint64_t vcc = mask_get(w, S_VCC), unknown = mask_unknown(w, S_VCC);
    if (unknown != 0 && (vcc & ~unknown) == 0)
        wave_fault(w, in, -1, "the branch depends on VCC, which comes from a value never written");
    else if ((vcc != 0) == when)
        jump(w, in);
}

static void exec_vccz(Wave *w, const Inst *in) { branch_vcc(w, in, false); }
static void exec_vccnz(Wave *w, const Inst *in) { branch_vcc(w, in, true); }

static void exec_execz(Wave *w, const Inst *in) {
    if (w->exec == 0) jump(w, in);
}

static void exec_execnz(Wave *w, const Inst *in) {
    if (w->exec != 0) jump(w, in);
}

static void exec_getpc(Wave *w, const Inst *in) {
    uint64_t next = in->address + in->bytes;
    scalar_set(w, in, in->dst[0].reg, (uint32_t)next, 0);
    scalar_set(w, in, in->dst[0].reg + 1u, (uint32_t)(next >> 32), 0);
}

static void exec_end(Wave *w, const Inst *in) {
    (void)in;
    w->stop = ENDED;
}

static void exec_trap(Wave *w, const Inst *in) { wave_fault(w, in, -1, "the kernel traps"); }

/* ---- barriers and waits ---------------------------------------------------------------------- */

static void exec_barrier(Wave *w, const Inst *in) {
    if (in->literal == w->group->worker->launch->dropped) return;
    if (w->group->n_waves > 1 && !wait_lds_written(w))
        wave_fault(w, in, -1,
                   "barrier while writes to local memory may still be on their way: no "
                   "s_waitcnt lgkmcnt(0) before it");
    else
        w->stop = AT_BARRIER;
}

static void exec_nothing(Wave *w, const Inst *in) { (void)w, (void)in; }

static void exec_waitcnt(Wave *w, const Inst *in) {
    uint32_t x = (uint32_t)in->imm & 0xffffu;
    if (w->processor->is_gfx11) {
        wait_until(w, CNT_VM, x >> 10 & 63u);
        wait_until(w, CNT_LGKM, x >> 4 & 63u);
    } else {
        wait_until(w, CNT_VM, (x & 15u) | (x >> 14 & 3u) << 4);
        uint32_t lgkm = x >> 8 & 15u;
        wait_until(w, CNT_LGKM, lgkm == 15u ? UINT32_MAX : lgkm);
    }
}

/* gfx11's s_waitcnt_* null, N; with a register, its value counts too, which nobody uses. */
static void exec_wait_vm(Wave *w, const Inst *in) {
    wait_until(w, CNT_VM, (uint32_t)in->imm & 63u);
}
static void exec_wait_vs(Wave *w, const Inst *in) {
    wait_until(w, CNT_VS, (uint32_t)in->imm & 63u);
}
static void exec_wait_lgkm(Wave *w, const Inst *in) {
    wait_until(w, CNT_LGKM, (uint32_t)in->imm & 63u);
}

static void exec_wait_idle(Wave *w, const Inst *in) {
    (void)in;
    for (Counter c = CNT_VM; c < N_COUNTERS; c++) wait_until(w, c, 0);
}

/* ---- hardware registers ---------------------------------------------------------------------- */

enum { REG_MODE = 1 };

static void mode_set(Wave *w, const Inst *in, uint32_t mode) {
    w->mode = mode;
    if ((mode & 15u) != 0) wave_fault(w, in, -1, "a rounding mode other than to nearest even");
    if ((mode >> 6 & 3u) != 3u) wave_fault(w, in, -1, "subnormal doubles and halves are flushed");
    w->flushes = (mode >> 4 & 3u) != 3u;
}

static void setreg(Wave *w, const Inst *in, uint32_t x) {
    uint32_t field = (uint32_t)in->imm, id = field & 63u, from = field >> 6 & 31u;
    uint32_t width = (field >> 11 & 31u) + 1u;
    uint32_t mask = (width == 32 ? ~0u : (1u << width) - 1u) << from;
    if (id != REG_MODE)
        wave_fault(w, in, -1, "hardware register %u is not emulated", id);
    else
        mode_set(w, in, (w->mode & ~mask) | (x << from & mask));
}

static void exec_setreg(Wave *w, const Inst *in) {
    if (scalars_doubtful(w, in)) {
        if (w->stop != FAULTED) wave_fault(w, in, -1, "MODE is written with bits never written");
        return;
    }
    setreg(w, in, scalar_get(w, in->src[0].reg));
}

static void exec_setreg_imm(Wave *w, const Inst *in) { setreg(w, in, in->literal); }

static void exec_getreg(Wave *w, const Inst *in) {
    uint32_t field = (uint32_t)in->imm, id = field & 63u, from = field >> 6 & 31u;
    uint32_t width = (field >> 11 & 31u) + 1u;
    if (id != REG_MODE)
        wave_fault(w, in, -1, "hardware register %u is not emulated", id);
    else
        scalar_set(w, in, in->dst[0].reg,
                   w->mode >> from & (width == 32 ? ~0u : (1u << width) - 1u), 0);
}

static void exec_denorm_mode(Wave *w, const Inst *in) {
    mode_set(w, in, (w->mode & ~0xf0u) | ((uint32_t)in->imm & 15u) << 4);
}

static void exec_round_mode(Wave *w, const Inst *in) {
    mode_set(w, in, (w->mode & ~0xfu) | ((uint32_t)in->imm & 15u));
}

/* ---- the table ------------------------------------------------------------------------------- */

#define C(label, function)                                                                         \
    { .name = #label, .types = "", .kind = K_CONTROL, .exec = function }
#define CT(label, t, function)                                                                     \
    { .name = #label, .types = t, .kind = K_CONTROL, .exec = function }
#define NOTHING(label) C(label, exec_nothing)

const Op ops_control[] = {
    C(s_branch, exec_branch),
    C(s_cbranch_scc0, exec_scc0),
    C(s_cbranch_scc1, exec_scc1),
    CT(s_cbranch_vccz, "=v", exec_vccz),
    CT(s_cbranch_vccnz, "=v", exec_vccnz),
    C(s_cbranch_execz, exec_execz),
    C(s_cbranch_execnz, exec_execnz),
    CT(s_getpc_b64, "q=", exec_getpc),
    C(s_endpgm, exec_end),
    C(s_trap, exec_trap),
    {.name = "s_barrier", .types = "", .kind = K_CONTROL, .flags = F_BARRIER, .exec = exec_barrier},
    C(s_waitcnt, exec_waitcnt),
    C(s_waitcnt_vmcnt, exec_wait_vm),
    C(s_waitcnt_vscnt, exec_wait_vs),
    C(s_waitcnt_lgkmcnt, exec_wait_lgkm),
    NOTHING(s_waitcnt_expcnt),
    NOTHING(s_waitcnt_depctr),
    C(s_wait_idle, exec_wait_idle),
    CT(s_setreg_b32, "=u", exec_setreg),
    C(s_setreg_imm32_b32, exec_setreg_imm),
    CT(s_getreg_b32, "u=", exec_getreg),
    C(s_denorm_mode, exec_denorm_mode),
    C(s_round_mode, exec_round_mode),
    NOTHING(s_nop),
    NOTHING(s_sleep),
    NOTHING(s_setprio),
    NOTHING(s_sendmsg),
    NOTHING(s_delay_alu),
    NOTHING(s_clause),
    NOTHING(s_set_inst_prefetch_distance),
    NOTHING(s_icache_inv),
    NOTHING(s_dcache_inv),
    NOTHING(s_dcache_wb),
    NOTHING(s_gl1_inv),
    NOTHING(s_ttracedata_imm),
    NOTHING(s_incperflevel),
    NOTHING(s_decperflevel),
    NOTHING(v_nop),
    NOTHING(buffer_inv),
    NOTHING(buffer_wbl2),
    NOTHING(buffer_gl0_inv),
    NOTHING(buffer_gl1_inv),
    {.name = NULL}};
