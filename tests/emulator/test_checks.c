/* What the emulator has to catch, and what it must not: pieces of code with the words of the message
 * that each has to end with, or none.
 *
 * v1 is the number of the lane times 4, v[2:3] an address of the lane's own in a buffer of known
 * memory, s[4:5] the buffer; v[10:11] and s[10:11] are the same of a buffer that was never written.
 * All other registers are unknown. Groups of two waves. */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>

enum { NINE = 1, ELEVEN = 2, BOTH = 3, BYTES = 1024 };

typedef struct Piece {
    unsigned processors;
    const char *nine, *eleven; /* eleven NULL: the same text */
    const char *message;       /* NULL: all is well */
} Piece;

#define WAIT "s_waitcnt vmcnt(0) lgkmcnt(0)\n"

static const Piece pieces[] = {
    /* values never written */
    {BOTH, "global_store_dword v[2:3], v20, off", "global_store_b32 v[2:3], v20, off", "stores v20, which has bits never written"},
    {BOTH, "global_load_dword v8, v[20:21], off", "global_load_b32 v8, v[20:21], off", "address comes from v20"},
    {BOTH, "global_load_dword v8, v1, s[20:21]", "global_load_b32 v8, v1, s[20:21]", "address comes from s20"},
    {BOTH, "v_mov_b32 v8, v20\nv_lshlrev_b32 v8, 2, v8\nds_read_b32 v9, v8", "v_mov_b32 v8, v20\nds_load_b32 v9, v8",
     "address comes from v8"},
    {BOTH, "v_add_f32 v8, v20, v1\nglobal_store_dword v[2:3], v8, off", "v_add_f32 v8, v20, v1\nglobal_store_b32 v[2:3], v8, off",
     "stores v8"},
    {BOTH, "s_cmp_eq_u32 s20, 0\ns_cbranch_scc1 .L%=\n.L%=:", NULL, "depends on SCC"},
    {BOTH, "s_mov_b32 vcc_lo, s20\ns_mov_b32 vcc_hi, 0\ns_cbranch_vccz .L%=\n.L%=:", NULL, "depends on VCC"},
    {BOTH, "v_cmp_lt_f32 vcc, v20, v1\ns_and_saveexec_b64 s[8:9], vcc",
     "v_cmp_lt_f32 vcc_lo, v20, v1\ns_and_saveexec_b32 s8, vcc_lo", "EXEC is written with bits that are not known"},
    {BOTH, "v_cmpx_lt_f32 vcc, v20, v1", "v_cmpx_lt_f32 v20, v1", "EXEC is written"},
    {BOTH, "v_readfirstlane_b32 s8, v20\ns_cmp_eq_u32 s8, 0\ns_cbranch_scc0 .L%=\n.L%=:", NULL, "depends on SCC"},
    {BOTH, "global_load_dword v8, v[10:11], off\n" WAIT "global_store_dword v[2:3], v8, off",
     "global_load_b32 v8, v[10:11], off\n" WAIT "global_store_b32 v[2:3], v8, off", "stores v8"},
    {BOTH, "s_load_dword s8, s[10:11], 0x0\n" WAIT "s_cmp_eq_u32 s8, 0\ns_cbranch_scc0 .L%=\n.L%=:",
     "s_load_b32 s8, s[10:11], 0x0\n" WAIT "s_cmp_eq_u32 s8, 0\ns_cbranch_scc0 .L%=\n.L%=:", "depends on SCC"},
    {BOTH, "ds_read_b32 v8, v1\n" WAIT "global_store_dword v[2:3], v8, off", "ds_load_b32 v8, v1\n" WAIT "global_store_b32 v[2:3], v8, off",
     "stores v8"},
    {BOTH, "scratch_load_dword v8, off, off\n" WAIT "global_store_dword v[2:3], v8, off",
     "scratch_load_b32 v8, off, off\n" WAIT "global_store_b32 v[2:3], v8, off", "stores v8"},
    {BOTH, "global_atomic_add v[2:3], v20, off", "global_atomic_add_u32 v[2:3], v20, off", "stores v20"},
    {BOTH, "global_atomic_add v[10:11], v1, off", "global_atomic_add_u32 v[10:11], v1, off", "memory never written"},
    {BOTH, "ds_bpermute_b32 v8, v20, v1", NULL, "the lane comes from v20"},
    {BOTH, "v_readlane_b32 s8, v1, s20", NULL, "the lane to read comes from a register never written"},
    {BOTH, "s_setreg_b32 hwreg(HW_REG_MODE, 4, 2), s20", NULL, "MODE is written with bits never written"},
    {NINE, "v_mfma_f32_16x16x4_f32 v[8:11], v20, v1, 0\nglobal_store_dword v[2:3], v8, off", NULL, "stores v8"},
    {BOTH, "v_mov_b32_dpp v8, v20 quad_perm:[1,0,3,2] row_mask:0xf bank_mask:0xf\nglobal_store_dword v[2:3], v8, off",
     "v_mov_b32_dpp v8, v20 quad_perm:[1,0,3,2] row_mask:0xf bank_mask:0xf\nglobal_store_b32 v[2:3], v8, off", "stores v8"},

    /* what is not known, but does not matter */
    {BOTH, "v_and_b32 v8, 0, v20\nglobal_store_dword v[2:3], v8, off", "v_and_b32 v8, 0, v20\nglobal_store_b32 v[2:3], v8, off", NULL},
    {BOTH, "v_cmp_lt_u32 vcc, v1, 0\nv_cndmask_b32 v8, v1, v20, vcc\nglobal_store_dword v[2:3], v8, off",
     "v_cmp_gt_u32 vcc_lo, 0, v1\nv_cndmask_b32 v8, v1, v20, vcc_lo\nglobal_store_b32 v[2:3], v8, off", NULL},
    {BOTH, "global_load_short_d16 v8, v[2:3], off\n" WAIT "global_store_short v[2:3], v8, off",
     "global_load_d16_b16 v8, v[2:3], off\n" WAIT "global_store_b16 v[2:3], v8, off", NULL},
    {BOTH, "global_load_short_d16 v8, v[2:3], off\n" WAIT "global_store_dword v[2:3], v8, off",
     "global_load_d16_b16 v8, v[2:3], off\n" WAIT "global_store_b32 v[2:3], v8, off", "stores v8, which has bits never written (0xffff0000)"},
    {BOTH, "global_load_short_d16 v8, v[2:3], off\nglobal_load_short_d16_hi v8, v[2:3], off offset:2\n" WAIT "global_store_dword v[2:3], v8, off",
     "global_load_d16_b16 v8, v[2:3], off\nglobal_load_d16_hi_b16 v8, v[2:3], off offset:2\n" WAIT "global_store_b32 v[2:3], v8, off", NULL},
    {BOTH, "global_load_short_d16 v8, v[2:3], off\nglobal_load_short_d16 v9, v[2:3], off\n" WAIT
           "s_mov_b32 s8, 0x05040100\nv_perm_b32 v8, v8, v9, s8\nglobal_store_dword v[2:3], v8, off",
     "global_load_d16_b16 v8, v[2:3], off\nglobal_load_d16_b16 v9, v[2:3], off\n" WAIT
     "v_perm_b32 v8, v8, v9, 0x05040100\nglobal_store_b32 v[2:3], v8, off", NULL},
    {BOTH, "v_lshl_or_b32 v8, v20, 16, v1\nglobal_store_short v[2:3], v8, off", "v_lshl_or_b32 v8, v20, 16, v1\nglobal_store_b16 v[2:3], v8, off", NULL},
    {BOTH, "v_lshlrev_b32 v8, 8, v20\nv_add_u32 v8, v8, v1\nglobal_store_byte v[2:3], v8, off",
     "v_lshlrev_b32 v8, 8, v20\nv_add_nc_u32 v8, v8, v1\nglobal_store_b8 v[2:3], v8, off", NULL},
    {BOTH, "v_lshlrev_b32 v8, 8, v20\nv_add_u32 v8, v8, v1\nglobal_store_short v[2:3], v8, off",
     "v_lshlrev_b32 v8, 8, v20\nv_add_nc_u32 v8, v8, v1\nglobal_store_b16 v[2:3], v8, off", "stores v8"},
    {BOTH, "s_and_b32 s8, s20, 0\ns_cmp_eq_u32 s8, 0\ns_cbranch_scc0 .L%=\n.L%=:", NULL, NULL},
    {BOTH, "ds_write_b32 v30, v20", "ds_store_b32 v30, v20", NULL},
    {BOTH, "v_xor_b32 v8, v20, v20\nglobal_store_dword v[2:3], v8, off", "v_xor_b32 v8, v20, v20\nglobal_store_b32 v[2:3], v8, off", "stores v8"},

    /* waits */
    {BOTH, "global_load_dword v8, v[2:3], off\nv_mov_b32 v9, v8", "global_load_b32 v8, v[2:3], off\nv_mov_b32 v9, v8",
     "v8 is used before the load into it has come: an s_waitcnt vmcnt is missing"},
    {BOTH, "global_load_dword v8, v[2:3], off\nv_mov_b32 v8, 0", "global_load_b32 v8, v[2:3], off\nv_mov_b32 v8, 0", "v8 is used before"},
    {BOTH, "global_load_dword v8, v[2:3], off\nglobal_load_dword v9, v[2:3], off\ns_waitcnt vmcnt(1)\nv_mov_b32 v12, v8",
     "global_load_b32 v8, v[2:3], off\nglobal_load_b32 v9, v[2:3], off\ns_waitcnt vmcnt(1)\nv_mov_b32 v12, v8", NULL},
    {BOTH, "global_load_dword v8, v[2:3], off\nglobal_load_dword v9, v[2:3], off\ns_waitcnt vmcnt(1)\nv_mov_b32 v12, v9",
     "global_load_b32 v8, v[2:3], off\nglobal_load_b32 v9, v[2:3], off\ns_waitcnt vmcnt(1)\nv_mov_b32 v12, v9", "v9 is used before"},
    {NINE, "global_load_dword v8, v[2:3], off\nglobal_store_dword v[2:3], v1, off\ns_waitcnt vmcnt(1)\nv_mov_b32 v12, v8", NULL, NULL},
    {ELEVEN, "global_load_b32 v8, v[2:3], off\nglobal_store_b32 v[2:3], v1, off\ns_waitcnt vmcnt(1)\nv_mov_b32 v12, v8", NULL, "v8 is used before"},
    {BOTH, "ds_write_b32 v1, v1\nds_read_b32 v8, v1\nv_mov_b32 v9, v8", "ds_store_b32 v1, v1\nds_load_b32 v8, v1\nv_mov_b32 v9, v8", "an s_waitcnt lgkmcnt is missing"},
    {BOTH, "ds_write_b32 v30, v1\nds_read_b32 v8, v30\nds_read_b32 v9, v30\ns_waitcnt lgkmcnt(1)\nv_mov_b32 v12, v8",
     "ds_store_b32 v30, v1\nds_load_b32 v8, v30\nds_load_b32 v9, v30\ns_waitcnt lgkmcnt(1)\nv_mov_b32 v12, v8", NULL},
    {BOTH, "s_load_dword s8, s[4:5], 0x0\ns_mov_b32 s9, s8", "s_load_b32 s8, s[4:5], 0x0\ns_mov_b32 s9, s8", "s8 is used before the load into it"},
    {BOTH, "s_load_dword s8, s[4:5], 0x0\ns_load_dword s9, s[4:5], 0x4\ns_waitcnt lgkmcnt(1)\ns_mov_b32 s12, s8",
     "s_load_b32 s8, s[4:5], 0x0\ns_load_b32 s9, s[4:5], 0x4\ns_waitcnt lgkmcnt(1)\ns_mov_b32 s12, s8", "s8 is used before"},
    {BOTH, "s_load_dword s8, s[4:5], 0x0\nv_mov_b32 v8, s8", "s_load_b32 s8, s[4:5], 0x0\nv_mov_b32 v8, s8", "s8 is used before"},
    {BOTH, "ds_bpermute_b32 v8, v1, v1\nv_mov_b32 v9, v8", NULL, "lgkmcnt is missing"},
    {BOTH, "global_load_dword v8, v[2:3], off\nglobal_store_dword v[2:3], v8, off", "global_load_b32 v8, v[2:3], off\nglobal_store_b32 v[2:3], v8, off", "v8 is used before"},
    {BOTH, "ds_write_b32 v1, v1\ns_barrier", "ds_store_b32 v1, v1\ns_barrier", "barrier while writes to local memory"},

    /* addresses */
    {BOTH, "global_load_dword v8, v[2:3], off offset:2047", "global_load_b32 v8, v[2:3], off offset:2047", "no multiple of 4"},
    {BOTH, "global_load_ushort v8, v[2:3], off offset:1", "global_load_u16 v8, v[2:3], off offset:1", "no multiple of 2"},
    {BOTH, "global_load_dword v8, v[2:3], off offset:1024", "global_load_b32 v8, v[2:3], off offset:1024", "in no buffer: at offset 1024 of the nearest one, which has 1024 bytes"},
    {BOTH, "global_store_dwordx2 v[2:3], v[2:3], off offset:-8", "global_store_b64 v[2:3], v[2:3], off offset:-8", "store of 8 bytes"},
    {BOTH, "v_mov_b32 v8, 0\nv_mov_b32 v9, 0\nglobal_load_dword v8, v[8:9], off", "v_mov_b32 v8, 0\nv_mov_b32 v9, 0\nglobal_load_b32 v8, v[8:9], off", "load of 4 bytes at 0x0, which is in no buffer"},
    {BOTH, "s_load_dword s8, s[4:5], 0x400", "s_load_b32 s8, s[4:5], 0x400", "load of 4 bytes"},
    {BOTH, "s_getpc_b64 s[8:9]\nv_mov_b32 v8, 0\nglobal_store_dword v8, v1, s[8:9]", "s_getpc_b64 s[8:9]\nv_mov_b32 v8, 0\nglobal_store_b32 v8, v1, s[8:9]", "into memory that is only read"},
    {BOTH, "ds_read_b32 v8, v1 offset:1024", "ds_load_b32 v8, v1 offset:1024", "local memory of 512 bytes"},
    {BOTH, "ds_read_b32 v8, v1 offset:2", "ds_load_b32 v8, v1 offset:2", "is no multiple of 4"},
    {BOTH, "scratch_load_dword v8, off, off offset:64", "scratch_load_b32 v8, off, off offset:64", "a scratch of 64 bytes"},
    {BOTH, "v_mov_b32 v8, 0\nglobal_store_dword v8, v1, s[4:5]", "v_mov_b32 v8, 0\nglobal_store_b32 v8, v1, s[4:5]", "another lane writes another value to the same address"},
    {BOTH, "v_mov_b32 v8, 0\nglobal_store_dword v8, v8, s[4:5]", "v_mov_b32 v8, 0\nglobal_store_b32 v8, v8, s[4:5]", NULL},
    {BOTH, "v_mov_b32 v8, 0\nds_write_b32 v8, v1", "v_mov_b32 v8, 0\nds_store_b32 v8, v1", "another lane writes another value"},

    /* waves of a group: the lanes' addresses are the same in both */
    {BOTH, "ds_write_b32 v1, v1\nds_write_b32 v1, v1", "ds_store_b32 v1, v1\nds_store_b32 v1, v1", "another wave uses the same local memory"},
    {BOTH, "ds_read_b32 v8, v1\nds_read_b32 v9, v1", "ds_load_b32 v8, v1\nds_load_b32 v9, v1", NULL},
    {BOTH, "ds_read_b32 v8, v1\nds_write_b32 v1, v1", "ds_load_b32 v8, v1\nds_store_b32 v1, v1", "another wave uses the same local memory"},
    {BOTH, "ds_write_b32 v30, v1\n" WAIT "s_barrier\nds_read_b32 v8, v31", "ds_store_b32 v30, v1\n" WAIT "s_barrier\nds_load_b32 v8, v31", NULL},
    {BOTH, "ds_write_b32 v30, v1\n" WAIT "ds_read_b32 v8, v31", "ds_store_b32 v30, v1\n" WAIT "ds_load_b32 v8, v31", "since the last barrier, and one of the two writes"},
    {BOTH, "ds_write_b8 v32, v1", "ds_store_b8 v32, v1", NULL},
    {BOTH, "ds_write_b16 v1, v1", "ds_store_b16 v1, v1", "another wave uses"},
    {BOTH, "s_cmp_eq_u32 s30, 0\ns_cbranch_scc1 .L%=\ns_barrier\n.L%=:", NULL, "another wave of the group has ended"},

    /* the rest */
    {BOTH, "flat_load_dword v8, v[2:3]", "flat_load_b32 v8, v[2:3]", "this instruction is not emulated"},
    {BOTH, "s_trap 2", NULL, "the kernel traps"},
    {BOTH, "s_branch .L%=\n.fill 2, 4, 0xbf800000\n.L%=:\ns_branch .L%=", NULL, "no end is in sight"},
    {BOTH, "s_branch 100", NULL, "the branch leaves the kernel's code"},
    {BOTH, ".long 0xffffffff", NULL, "0xffffffff, which is no instruction"},
    {BOTH, "s_setreg_imm32_b32 hwreg(HW_REG_MODE, 0, 2), 1", NULL, "a rounding mode other than to nearest even"},
    {BOTH, "s_setreg_imm32_b32 hwreg(HW_REG_MODE, 6, 2), 0", NULL, "subnormal doubles and halves"},
    {BOTH, "s_getreg_b32 s8, hwreg(HW_REG_HW_ID)", "s_getreg_b32 s8, hwreg(HW_REG_HW_ID1)", "is not emulated"},
    {NINE, "s_mov_b64 exec, 1\nv_mfma_f32_16x16x4_f32 v[8:11], v1, v1, 0", NULL, "lanes are switched off"},
    {ELEVEN, "v_wmma_f32_16x16x16_f16 v[8:15], v[40:47], v[40:47], v[8:15]", NULL, "lanes 16 to 31 of v40 differ from lanes 0 to 15"},
};
enum { N_PIECES = sizeof pieces / sizeof *pieces };

static const char *text_of(const Piece *p, bool is_gfx11) { return is_gfx11 && p->eleven != NULL ? p->eleven : p->nine; }
static bool is_of(const Piece *p, bool is_gfx11) { return p->processors & (is_gfx11 ? ELEVEN : NINE); }

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

typedef struct Memory {
    uint8_t *known, *fresh;
} Memory;

static void put64(Wave *w, unsigned reg, uint64_t x) {
    rig_scalar(w, reg, (uint32_t)x);
    rig_scalar(w, reg + 1, (uint32_t)(x >> 32));
}

static void get_ready(Wave *w, const Memory *m) {
    uint32_t x[8][MAX_LANES];
    for (uint32_t i = 0; i < MAX_LANES; i++) {
        uint64_t known = (uint64_t)(uintptr_t)m->known + (w->index * w->n + i) * 4;
        uint64_t fresh = (uint64_t)(uintptr_t)m->fresh + (w->index * w->n + i) * 4;
        x[0][i] = i * 4;
        x[1][i] = (uint32_t)known;
        x[2][i] = (uint32_t)(known >> 32);
        x[3][i] = (uint32_t)fresh;
        x[4][i] = (uint32_t)(fresh >> 32);
        x[5][i] = (w->index * w->n + i) * 4;       /* v30: a word of its own in local memory */
        x[6][i] = ((1 - w->index) * w->n + i) * 4; /* v31: one of the other wave */
        x[7][i] = i * 2 + w->index;                /* v32: every second byte */
    }
    static const unsigned regs[8] = {1, 2, 3, 10, 11, 30, 31, 32};
    for (unsigned k = 0; k < 8; k++)
        rig_vector(w, regs[k], x[k]);
    for (unsigned k = 0; k < 8; k++)
        rig_vector(w, 40 + k, x[0]);
    put64(w, 4, (uint64_t)(uintptr_t)m->known);
    put64(w, 10, (uint64_t)(uintptr_t)m->fresh);
    rig_scalar(w, 30, w->index);
}

static int test_piece(Rig *rig, size_t i, bool is_gfx11) {
    const Piece *p = &pieces[i];
    char symbol[32];
    const char *why;
    Memory m = {emu_alloc(rig->emu, BYTES), emu_alloc(rig->emu, BYTES)};
    emu_fill(rig->emu, m.known, 0x11223344, 4, BYTES / 4);
    snprintf(symbol, sizeof symbol, "p%zu", i);
    rig_set(rig, symbol, 2, 512, 64);
    for (unsigned k = 0; k < 2; k++)
        get_ready(&rig_wave(rig)[k], &m);
    bool good = rig_run(rig, &why), fits = p->message == NULL ? good : !good && strstr(why, p->message) != NULL;
    if (!fits)
        printf("%s: %s\n    %s, wanted: %s\n", is_gfx11 ? "gfx1100" : "gfx942", text_of(p, is_gfx11),
               good ? "no complaint" : why, p->message == NULL ? "none" : p->message);
    emu_free(rig->emu, m.known);
    emu_free(rig->emu, m.fresh);
    return fits ? 0 : 1;
}

int main(void) {
    int n_bad = 0;
    for (int is_gfx11 = 0; is_gfx11 < 2; is_gfx11++) {
        char *text = malloc(N_PIECES * 1000), *to = text;
        for (size_t i = 0; i < N_PIECES; i++) {
            if (!is_of(&pieces[i], is_gfx11)) continue;
            to += sprintf(to, ".globl p%zu\np%zu:\n", i, i);
            to = put(to, text_of(&pieces[i], is_gfx11), i);
            to += sprintf(to, "\ns_endpgm\n");
        }
        Rig *rig = rig_create(is_gfx11 ? "gfx1100" : "gfx942", text);
        free(text);
        for (size_t i = 0; i < N_PIECES; i++)
            if (is_of(&pieces[i], is_gfx11)) n_bad += test_piece(rig, i, is_gfx11);
        rig_free(rig);
    }
    if (n_bad > 0) printf("%d wrong\n", n_bad);
    return n_bad > 0;
}
