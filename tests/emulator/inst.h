/* A decoded instruction: what the text of LLVM's disassembler says, in a form that runs fast. */
#ifndef EMU_INST_H
#define EMU_INST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAX_LANES = 64, FIRST_AGPR = 256, N_VECTORS = 512 };

/* The same register of all lanes. */
typedef union Lanes {
    uint32_t u[MAX_LANES];
    int32_t i[MAX_LANES];
    float f[MAX_LANES];
} Lanes;

/* Scalar registers by number: s0-s105, then these. */
enum {
    S_VCC = 106,
    S_TTMP = 108,
    S_M0 = 124,
    S_NULL = 125,
    S_EXEC = 126,
    N_SCALARS = 128,
};

typedef enum OperandKind {
    O_NONE,
    O_VECTOR,
    O_SCALAR,
    O_CONST,
    O_OFF, /* "off": no register */
    O_SCC,
} OperandKind;

/* As written. */
typedef struct Operand {
    uint8_t kind, count; /* registers */
    uint16_t reg;        /* accumulation registers from FIRST_AGPR on */
    bool neg, abs, sext;
    bool is_real;    /* a constant with a point */
    bool is_literal; /* a constant in hexadecimal digits */
    int64_t integer;
    double real;
} Operand;

typedef enum DppKind {
    DPP_NONE,
    DPP_QUAD_PERM,
    DPP_ROW_SHL,
    DPP_ROW_SHR,
    DPP_ROW_ROR,
    DPP_WAVE_SHL,
    DPP_WAVE_ROL,
    DPP_WAVE_SHR,
    DPP_WAVE_ROR,
    DPP_ROW_MIRROR,
    DPP_ROW_HALF_MIRROR,
    DPP_ROW_BCAST,
    DPP_ROW_NEWBCAST,
    DPP_ROW_SHARE,
    DPP_ROW_XMASK,
    DPP_8,
} DppKind;

/* What SDWA selects. */
typedef enum Select {
    SEL_BYTE_0,
    SEL_BYTE_1,
    SEL_BYTE_2,
    SEL_BYTE_3,
    SEL_WORD_0,
    SEL_WORD_1,
    SEL_DWORD,
} Select;

typedef enum Unused { UNUSED_PAD, UNUSED_SEXT, UNUSED_PRESERVE } Unused;

/* What follows the operands; bit k of the masks belongs to source k. */
typedef struct Modifiers {
    bool clamp, has_dpp, has_sdwa, bound_ctrl, fetch_inactive, returns, lds, offen, idxen;
    uint8_t omod; /* 0, 1: *2, 2: *4, 3: /2 */
    uint8_t op_sel, op_sel_hi, neg_lo, neg_hi;
    bool has_op_sel_hi;
    uint8_t dpp;
    uint8_t dpp_arg[8];
    uint8_t row_mask, bank_mask;
    uint8_t dst_sel, dst_unused, src_sel[2];
    int32_t offset, offset1;
    uint8_t blgp, cbsz, abid;
} Modifiers;

enum { MAX_OPERANDS = 8 };

/* One line of disassembly taken apart. */
typedef struct Text {
    char name[48]; /* without _e32, _e64, _dpp, _sdwa */
    Operand operand[MAX_OPERANDS];
    unsigned n;
    Modifiers mod;
} Text;

typedef struct Wave Wave;
typedef struct Inst Inst;
typedef void (*Exec)(Wave *w, const Inst *in);

/* The operands of a vector function: arrays of all lanes, modifiers done. 64-bit values have their
 * upper words in h and dh; a mask is all ones or zero for each lane. */
typedef struct Valu {
    unsigned n; /* lanes: 32 or 64 */
    const Lanes *s[4], *h[4];
    Lanes *d, *dh;
    Lanes *mask;
    const Inst *in;
    bool is_ieee; /* signalling NaNs are quieted by min and max */
} Valu;
typedef void (*LaneFunction)(Valu *x);

typedef struct Scalar {
    uint64_t a, b, d; /* 32-bit values are zero-extended */
    bool scc;
    const Inst *in;
    Wave *w;
} Scalar;
typedef void (*ScalarFunction)(Scalar *x);

/* How unknown bits of the sources reach the result. */
typedef enum Spread {
    SPREAD_ALL,   /* one unknown bit: all of the result */
    SPREAD_MOVE,  /* every bit of the result is a bit of a source, or and/or of such */
    SPREAD_UNION, /* bit by bit */
    SPREAD_UP,    /* from the lowest unknown bit up: sums */
} Spread;

typedef enum OpKind {
    K_VALU,
    K_SALU,
    K_CONTROL, /* branches, barriers, waits and what does nothing */
    K_CROSS,   /* lanes that see each other */
    K_SMEM,
    K_GLOBAL,
    K_SCRATCH,
    K_BUFFER,
    K_LDS,
    K_MATRIX,
} OpKind;

enum { /* flags of operations */
       F_READS_SCC = 1,
       F_WRITES_SCC = 2,
       F_ACCUMULATES = 4, /* the destination is the last source too */
       F_COMPARES = 8,
       F_LOAD = 16,
       F_STORE = 32,
       F_ATOMIC = 64,
       F_SIGNED = 128,
       F_D16 = 256, /* half a register, the other half stays */
       F_HIGH = 512,
       F_TWO = 1024, /* two addresses */
       F_STRIDE64 = 2048,
       F_TRANS = 4096,      /* no subnormal results or arguments */
       F_KEEPS_HIGH = 8192, /* a 16-bit result whose other half gfx9 leaves unspecified */
       F_BARRIER = 16384,
       F_FLOAT = 32768, /* an atomic on numbers with a point */
};

/* A row of the tables: what the instructions of one name do. */
typedef struct Op {
    const char *name;
    const char *types; /* "results=sources", a letter each: decode.c has the list */
    uint8_t kind, spread;
    uint16_t bytes; /* memory: of a lane and address */
    uint32_t flags;
    LaneFunction lanes;
    ScalarFunction scalar;
    Exec exec;
    uint32_t row; /* matrix and atomic operations: which */
} Op;

/* A place an instruction reads or writes, ready to use. */
typedef struct Slot {
    uint8_t kind, count; /* count: registers, as far as the type looks */
    uint16_t reg;
    char type;
    bool neg, abs, sext;
    uint64_t bits;     /* constants */
    const Lanes *lane; /* constants: two arrays, low and high words */
} Slot;

typedef struct Range {
    uint16_t reg, count;
} Range;

enum { MAX_RANGES = 5 };

struct Inst {
    Exec exec;
    const Op *op;
    Slot dst[2], src[4];
    uint8_t n_dst, n_src;
    bool is_plain; /* vector: nothing but registers and constants of 32 bits */
    bool is_cmpx;
    uint8_t n_reads, n_scalar_reads;
    Range reads[MAX_RANGES]; /* vector registers */
    Range scalar_reads[MAX_RANGES];
    Modifiers mod;
    const int8_t *dpp_from; /* [64] the lane each lane reads, -1: none */
    uint64_t dpp_lanes;     /* lanes that row_mask and bank_mask let through */
    int32_t imm;            /* the 16 bits of SOPK and SOPP */
    uint32_t literal;       /* s_barrier: its number in the kernel */
    const Inst *target;     /* of a branch */
    const Inst *dual;       /* the second half of a pair */
    uint64_t address;
    uint32_t index; /* in its function */
    uint8_t bytes;
    const char *text;
};

#endif
