/* NVIDIA's processors at the level of PTX: a kernel's text decoded once, warps of 32 lanes that part and meet
 * again, registers that begin unknown. Private to the emulator.
 *
 * A register of 32, 16 or 1 bits is an array of 32 words, 16 bits with zeros above, a predicate as all ones or
 * zeros; one of 64 bits takes the place of two. Beside each stands a mask of the lanes whose value is not known. */
#ifndef EMU_PTX_H
#define EMU_PTX_H

#include "wave.h"

enum { PTX_LANES = 32, PTX_UNIT = PTX_LANES * sizeof(uint32_t) };

typedef union PtxLanes {
    uint32_t u[PTX_LANES];
    int32_t i[PTX_LANES];
    float f[PTX_LANES];
    uint64_t U[PTX_LANES];
    int64_t I[PTX_LANES];
    double D[PTX_LANES];
} PtxLanes;

/* Registers that hold what special registers say; those of the kernel follow. */
enum {
    PTX_TID,
    PTX_NTID = PTX_TID + 3,
    PTX_CTAID = PTX_NTID + 3,
    PTX_NCTAID = PTX_CTAID + 3,
    PTX_LANEID = PTX_NCTAID + 3,
    PTX_SPECIALS,
};

/* ---- code ------------------------------------------------------------------------------------ */

typedef struct PtxWarp PtxWarp;
typedef struct PtxInst PtxInst;
typedef void (*PtxExec)(PtxWarp *w, const PtxInst *in);
typedef void (*PtxFunction)(PtxLanes *d, const PtxLanes *a, const PtxLanes *b, const PtxLanes *c);

/* How what is not known of the sources reaches the result. */
typedef enum PtxSpread {
    PTX_ALL,
    PTX_AND,    /* known zeros hide it */
    PTX_OR,     /* known ones do */
    PTX_SELECT, /* only that of the one chosen */
    PTX_DIVIDE, /* what the division by zero gives is not known */
} PtxSpread;

typedef enum PtxKind {
    PTX_VECTOR,
    PTX_SCALAR,
    PTX_MATRIX,
    PTX_GLOBAL,
    PTX_LOCAL,
    PTX_BARRIER
} PtxKind;

enum {                 /* rows of what is not a function of lanes */
       PTX_GUARDS = 1, /* looks at its guard itself */
       PTX_MEETS,      /* lanes wait for each other, so that none may be left out */
};

/* A row of the tables. types: destinations, '=', sources, a letter each: w 32 bits, d 64, h 16, p predicate. */
typedef struct PtxOp {
    const char *name, *types;
    PtxFunction lanes;
    PtxExec exec;
    uint8_t kind, spread;
    uint8_t row;
} PtxOp;

typedef enum PtxSpace { PTX_SPACE_PARAM, PTX_SPACE_GLOBAL, PTX_SPACE_SHARED } PtxSpace;

/* Loads and stores. */
typedef struct PtxMemory {
    uint8_t space, size, count; /* bytes of an element, elements */
    bool is_store, is_signed, is_read_only;
    bool is_half, is_wide; /* registers of 16, of 64 bits */
    int64_t offset;
} PtxMemory;

enum { PTX_MAX_OPERANDS = 14 };

struct PtxInst {
    PtxExec exec;
    PtxExec inner; /* what a guard lets lanes do */
    const PtxOp *op;
    PtxFunction lanes;
    int32_t arg[PTX_MAX_OPERANDS]; /* destinations, then sources: a register, or ~constant */
    uint8_t n_dst, n_arg;
    uint8_t kind;
    bool is_negated; /* the guard */
    int32_t guard;   /* a predicate, -1: none */
    uint32_t target; /* of a branch */
    uint32_t number; /* of a barrier */
    PtxMemory memory;
    uint32_t index, line;
    const char *text;
    uint32_t text_bytes;
};

typedef struct PtxShared { /* a variable of local memory */
    const char *name;
    size_t length;
    uint32_t at, bytes;
} PtxShared;

typedef struct PtxCode {
    const char *body;      /* what stands between the braces */
    uint32_t line;         /* its first one */
    const char *params;    /* likewise, in parentheses; NULL: none */
    uint32_t shared_bytes; /* with the gaps between variables */
    uint8_t *inside;       /* of each byte of it: is it one of a variable? */
    PtxShared *shared;
    uint32_t n_shared;
    PtxInst *inst;
    PtxLanes *constants;
    uint32_t n_constants, n_registers;
} PtxCode;

/* ---- a launch -------------------------------------------------------------------------------- */

/* Lanes that stand at the same instruction. */
typedef struct PtxSet {
    uint32_t pc, lanes;
    bool waits; /* for other lanes to come there */
} PtxSet;

typedef struct PtxGroup PtxGroup;

struct PtxWarp {
    uint8_t *registers;
    uint32_t *unknown; /* of each register */
    const PtxLanes *constants;
    const PtxCode *code;
    PtxGroup *group;
    Group *common;
    uint32_t pc, lanes;  /* who runs */
    uint32_t all, ended; /* who is there at all; who has come to an end */
    uint32_t switch_at;  /* where the next set waits, UINT32_MAX: nowhere ahead */
    PtxSet sets[PTX_LANES];
    unsigned n_sets, index;
    bool is_apart;   /* one half of the lanes runs ahead of the other, from meeting to meeting */
    uint32_t first;  /* that half */
    uint32_t parted; /* chance of the next time */
    Stop stop;
    uint64_t executed;
};

typedef struct PtxRaced { /* the first read of what another thread wrote meanwhile */
    const PtxInst *in;
    unsigned warp, lane;
    bool is_shared, is_of_group;
} PtxRaced;

struct PtxGroup {
    PtxWarp *warps;
    uint8_t *shared, *known;
    uint32_t shared_bytes;
    uint32_t *wrote; /* of each two bytes: who did so last, and between which barriers */
    uint32_t epoch;
    PtxRaced raced;
};

static inline PtxLanes *ptx_register(const PtxWarp *w, int32_t arg) {
    return (PtxLanes *)(void *)(w->registers + (size_t)arg * PTX_UNIT);
}

static inline const PtxLanes *ptx_source(const PtxWarp *w, int32_t arg) {
    return arg >= 0 ? ptx_register(w, arg) : &w->constants[~arg];
}

static inline uint32_t ptx_unknown(const PtxWarp *w, int32_t arg) {
    return arg >= 0 ? w->unknown[arg] : 0;
}

/* The lanes whose word is not zero. */
uint32_t ptx_mask(const PtxLanes *x);
/* Writes the lanes that run; open: those that are not known then. */
void ptx_set(PtxWarp *w, int32_t reg, bool is_wide, const PtxLanes *x, uint32_t open);

/* Stops the warp. lane < 0: no lane in particular. */
void ptx_fault(PtxWarp *w, const PtxInst *in, int lane, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- decoding -------------------------------------------------------------------------------- */

/* Text as it is read. */
typedef struct PtxScan {
    const char *at;
    uint32_t line;
} PtxScan;

void ptx_blank(PtxScan *s);                  /* past blanks and comments */
size_t ptx_word(const char *at);             /* the length of the name that begins there */
bool ptx_take(PtxScan *s, const char *word); /* past it, if it stands there */
bool ptx_number(PtxScan *s, uint64_t *out);
void ptx_statement(PtxScan *s); /* past the next ; */

typedef struct PtxVariable {
    const char *name;
    size_t length;
    uint64_t align, bytes, element;
} PtxVariable;

/* ".align 4 .b8 name[16]", up to what follows. */
bool ptx_variable(PtxScan *s, PtxVariable *out);
unsigned ptx_type_bytes(const char *type); /* ".u64": 8; 0: no type */
/* The parameter of this name; NULL: there is none. */
const EmuArgument *ptx_param(const EmuKernel *k, const char *name, size_t length);

bool ptx_decode(EmuKernel *k);
void ptx_forget(PtxCode *c); /* what it was decoded to */

const PtxOp *ptx_op_at(size_t k); /* every row, for tests; NULL: there is no further one */

EmuStatus ptx_load(EmuImage *m);

/* ---- execution ------------------------------------------------------------------------------- */

void ptx_run(Group *g, unsigned warp, uint64_t turn);
void ptx_plain(PtxWarp *w, const PtxInst *in);
void ptx_guarded(PtxWarp *w, const PtxInst *in);
void ptx_join(PtxWarp *w, const PtxInst *in);  /* mov.b32 %r, {%rs, %rs} and the like */
void ptx_split(PtxWarp *w, const PtxInst *in); /* mov.b32 {%rs, %rs}, %r */
void ptx_shuffle(PtxWarp *w, const PtxInst *in);
void ptx_mma(PtxWarp *w, const PtxInst *in);
void ptx_load_store(PtxWarp *w, const PtxInst *in);
void ptx_branch(PtxWarp *w, const PtxInst *in);
void ptx_return(PtxWarp *w, const PtxInst *in);
void ptx_barrier(PtxWarp *w, const PtxInst *in);
void ptx_not_known(PtxWarp *w, const PtxInst *in);
/* Are all of these lanes here? If not, the warp goes on with those that are not; or stops, if they never come. */
bool ptx_together(PtxWarp *w, const PtxInst *in, uint32_t lanes);
/* They part again. */
void ptx_part(PtxWarp *w);

/* ---- races (ptx_race.c) ---------------------------------------------------------------------- */

void ptx_race_clear(PtxGroup *g);
void ptx_race_barrier(PtxGroup *g);

/* The lanes that touch what another thread wrote, `thread` being that of lane 0; other: one such thread. */
uint32_t ptx_race_shared(PtxGroup *g, uint32_t thread, bool is_read, const uint64_t *at,
                         uint32_t lanes, unsigned bytes, uint32_t *other);
typedef enum PtxRace { PTX_RACE_NONE, PTX_RACE_THREAD, PTX_RACE_GROUP } PtxRace;
typedef struct
    PtxRaces { /* lanes that touch what a thread of the same, or of another group wrote */
    uint32_t thread, group;
} PtxRaces;
/* A tag says which launch, group and thread, and between which barriers. The next lane's is the next number. */
uint64_t ptx_race_tag(const Group *g, uint32_t thread);
PtxRaces ptx_race_global(const Buffer *b, uint64_t first, bool is_read, const uint64_t *at,
                         uint32_t lanes, unsigned bytes);
/* Reads as of what nobody writes in this launch, or stores: the lanes of which that is not so. */
uint32_t ptx_race_read_only(const Buffer *b, uint64_t first, bool is_read, const uint64_t *at,
                            uint32_t lanes, unsigned bytes);

#endif
