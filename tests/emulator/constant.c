/* What constants in instructions mean, and which lane reads which with DPP. */
#include "numeric.h"
#include "wave.h"

/* Whole numbers are sign-extended to the width they are used at, but for the 16 bits of halves; a
 * literal is the upper word of a double. Numbers with a point have the type of the operation; in
 * pairs they stand in the low half alone. */
static uint64_t whole_bits(const Operand *o, char type) {
    uint64_t x = (uint64_t)o->integer;
    switch (type) {
    case 'd': return o->is_literal ? x << 32 : x;
    case 'q': return o->is_literal ? x & UINT32_MAX : x;
    case 'l': return o->is_literal ? (uint64_t)(int64_t)(int32_t)(uint32_t)x : x;
    case 'h':
    case 'w':
    case 'j': return x & 0xffffu;
    default: return x & UINT32_MAX;
    }
}

static uint64_t real_bits(const Inst *in, double x, char type) {
    switch (type) {
    case 'd':
    case 'q':
    case 'l': return bits_of64(x == 0.15915494 ? double_of(0x3fc45f306dc9c882u) : x);
    case 'h': return float_to_half((float)x);
    case 'H':
    case 'w':
    case 'j':
        if (type != 'H' || strstr(in->op->name, "f16") != NULL) return float_to_half((float)x);
        return bits_of((float)x);
    default: return bits_of((float)x);
    }
}

bool constant_bits(const Inst *in, const Operand *o, unsigned k, char type, uint64_t *bits) {
    bool takes_high = in->mod.op_sel_hi >> k & 1;
    *bits = o->is_real ? real_bits(in, o->real, type) : whole_bits(o, type);
    if (type == 'F') { /* only the low word of a constant is specified */
        if (*bits == 0) return true;
        *bits |= *bits << 32;
        return !takes_high;
    }
    if (type == 'x') return !takes_high || *bits == 0;
    return true;
}

/* ---- DPP ------------------------------------------------------------------------------------- */

static int source_lane(const Modifiers *m, int i, int n) {
    int row = i & ~15, k = i & 15, arg = m->dpp_arg[0];
    switch (m->dpp) {
    case DPP_QUAD_PERM: return (i & ~3) + m->dpp_arg[i & 3];
    case DPP_ROW_SHL: return k + arg < 16 ? i + arg : -1;
    case DPP_ROW_SHR: return k - arg >= 0 ? i - arg : -1;
    case DPP_ROW_ROR: return row + ((k - arg) & 15);
    case DPP_WAVE_SHL: return i + 1 < n ? i + 1 : -1;
    case DPP_WAVE_ROL: return (i + 1) % n;
    case DPP_WAVE_SHR: return i - 1;
    case DPP_WAVE_ROR: return (i + n - 1) % n;
    case DPP_ROW_MIRROR: return row + 15 - k;
    case DPP_ROW_HALF_MIRROR: return (i & ~7) + 7 - (i & 7);
    case DPP_ROW_BCAST: return arg == 31 ? (i >= 32 ? 31 : -1) : row - 1;
    case DPP_ROW_NEWBCAST:
    case DPP_ROW_SHARE: return row + arg;
    case DPP_ROW_XMASK: return i ^ arg;
    case DPP_8: return (i & ~7) + m->dpp_arg[i & 7];
    default: return i;
    }
}

void dpp_lanes(const Modifiers *m, unsigned n, int8_t from[MAX_LANES]) {
    for (int i = 0; i < MAX_LANES; i++)
        from[i] = (int8_t)(i < (int)n ? source_lane(m, i, (int)n) : -1);
}
