/* What a running kernel consists of: waves in groups, groups on workers; and how instructions touch
 * it. Private to the emulator. */
#ifndef EMU_WAVE_H
#define EMU_WAVE_H

#include "emu.h"
#include "inst.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

/* ---- memory ---------------------------------------------------------------------------------- */

/* A registered piece of memory. known has the bits that were written, byte for byte; NULL: all. */
typedef struct Buffer {
    uint8_t *base;
    size_t bytes;
    uint8_t *known;
    uint64_t *writers;   /* who wrote four bytes last (race.c); NULL: nobody asks */
    uint32_t *read_only; /* NVIDIA: the launch that read them as what nobody writes */
    bool is_ours, is_read_only;
    void *block; /* ours: what to unmap, block_bytes of it */
    size_t block_bytes;
} Buffer;

typedef struct Buffers {
    Buffer **all; /* by address */
    size_t n, cap;
    size_t allocated;
} Buffers;

const Buffer *buffers_find(const Buffers *b, uint64_t at, size_t bytes);
const Buffer *buffers_near(const Buffers *b, uint64_t at); /* the last that starts at or before */
bool buffers_add(Buffers *b, Buffer buffer);
bool buffers_remove(Buffers *b, const void *base);
void buffers_release(Buffers *b);

/* Where an access goes. */
typedef struct Place {
    uint8_t *data;
    uint8_t *known; /* NULL: everything is */
} Place;

/* ---- code ------------------------------------------------------------------------------------ */

typedef struct Launch Launch;
typedef struct Group Group;
typedef struct Worker Worker;
typedef enum Stop { RUNNING, AT_BARRIER, ENDED, FAULTED } Stop;

/* Text that grows, line by line. */
typedef struct Lines {
    char *text;
    size_t n, cap;
} Lines;

/* What AMD's and NVIDIA's processors do each in their way. */
typedef struct Family {
    EmuStatus (*load)(EmuImage *m);   /* file -> kernels, symbols, memory */
    void (*unload)(EmuKernel *k);     /* what load made of it; NULL: nothing */
    void (*release)(EmuKernel *k);    /* its code */
    bool (*decode)(EmuKernel *k);     /* fills code.n and the like; false: no memory */
    size_t (*arena)(const Launch *l); /* bytes of a worker for its waves */
    void (*divide)(Worker *w, uint8_t *arena);
    void (*begin)(Worker *w); /* the waves of a group, and its local memory */
    Stop *(*stop)(Group *g, unsigned wave);
    void (*run)(Group *g, unsigned wave, uint64_t turn); /* so many instructions */
    void (*open)(Group *g);                              /* all waves have come to a barrier */
    void (*forsaken)(Group *g, unsigned wave); /* another wave ends, this one waits for it */
    void (*count)(const EmuKernel *k, EmuCounts *out);
    unsigned (*barriers)(const EmuKernel *k, uint64_t *came, unsigned n);
    bool (*unknown)(EmuImage *m, Lines *out);
} Family;

typedef struct Processor {
    const char *name, *features;
    const Family *family;
    unsigned lanes;
    uint32_t max_local;
    bool is_gfx11;
    uint32_t machine; /* AMD: the lowest byte of e_flags; NVIDIA: sm_ of what */
    uint32_t max_scalars;
} Processor;

extern const Family family_amd, family_nvidia;

typedef struct Function { /* decoded code, in the order of addresses */
    Inst *inst;
    size_t n;
    uint64_t start, end;
    struct Chunk *memory; /* of texts, constants, lanes of DPP */
    unsigned n_barriers;
    bool has_global_atomics;
} Function;

struct EmuKernel {
    EmuKernelInfo info;
    EmuImage *image;
    char *name;
    EmuArgument *arguments;
    char (*kinds)[32]; /* of the arguments */
    uint64_t descriptor, entry, code_bytes;
    uint32_t rsrc1, rsrc2, rsrc3;
    uint16_t properties, preload;
    uint32_t next_vector, next_agpr; /* registers it has */
    Function code;
    struct PtxCode *ptx;
    bool is_decoded;
    uint64_t *counts; /* of each instruction */
    EmuCounts total;
};

typedef struct Symbol {
    const char *name;
    uint64_t value, bytes;
} Symbol;

struct EmuImage {
    Emu *emu;
    EmuImage *next;
    uint8_t *file; /* the code object */
    size_t file_bytes;
    uint8_t *memory; /* as loaded: what the segments say, zero elsewhere */
    size_t memory_bytes;
    Symbol *symbols;
    size_t n_symbols;
    EmuKernel *kernels;
    size_t n_kernels;
};

struct Emu {
    const Processor *processor;
    EmuOptions options;
    char *drop_kernel;
    unsigned drop_index;
    Buffers buffers;
    EmuImage *first, *last;
    void *disassembler; /* AMD */
    const struct OpIndex *ops;
    uint64_t launches;
    uint64_t round; /* the first of the launches that run beside the next one */
    bool is_beside; /* so are launches from now on, but the next if has_met */
    bool has_met;
    char said[2048];
};

void emu_say(Emu *emu, const char *format, ...) __attribute__((format(printf, 2, 3)));
const Processor *processor_of(const char *name);
EmuStatus image_load_elf(EmuImage *image);
bool image_parse_notes(EmuImage *image);
bool image_find(const EmuImage *image, const char *name, Symbol *out);

/* An instruction that is not known, once each name; false: no memory. */
bool lines_unknown(Lines *l, const char *kernel, const char *text);

/* Decodes a kernel's code; false: no memory. What is not understood stops whoever gets there. */
bool function_decode(Emu *emu, const EmuKernel *kernel, Function *f);
void function_release(Function *f);
/* The lane that each lane reads, -1: none. */
void dpp_lanes(const Modifiers *m, unsigned n, int8_t from[MAX_LANES]);
/* The bits of a constant where a value of this type is expected; false: what it means is not known. */
bool constant_bits(const Inst *in, const Operand *o, unsigned k, char type, uint64_t *bits);
/* The text at an address into out; its length in bytes, 0: there is none. */
size_t disassemble(const Emu *emu, const uint8_t *code, size_t left, uint64_t at, char *out,
                   size_t n);
void *disassembler_create(const Processor *p);
void disassembler_destroy(void *d);
/* Takes a line apart; false: it is not understood. */
bool text_parse(const char *line, Text *out);

typedef struct OpIndex OpIndex;
const OpIndex *ops_index(void);
void ops_index_free(const OpIndex *index);
const Op *op_find(const OpIndex *index, const char *name);
/* Every name known, one after the other, for tests; NULL: there is no further one. */
const char *op_name(const OpIndex *index, size_t k);

/* ---- a launch -------------------------------------------------------------------------------- */

struct Launch {
    Emu *emu;
    EmuKernel *kernel;
    uint32_t grid[3], block[3];
    uint32_t threads, n_waves, lds;
    uint64_t n_groups;
    uint8_t *kernarg;
    uint32_t kernarg_bytes;
    _Alignas(64) uint8_t packet[64]; /* what the dispatch pointer shows */
    uint64_t seed, round, number;    /* number: of the launch in its round */
    uint32_t dropped; /* the number of the barrier that does nothing; UINT32_MAX: none */
    atomic_uint_fast64_t next;
    atomic_uint_fast64_t first_bad; /* the lowest group with a fault */
};

typedef enum Counter { CNT_VM, CNT_LGKM, CNT_VS, N_COUNTERS } Counter;

/* A load whose result may not be used yet. */
typedef struct Pending {
    uint8_t counter;
    bool is_scalar, is_smem;
    uint16_t reg, count;
    uint32_t number;
} Pending;

enum { MAX_PENDING = 192 };

struct Wave {
    Lanes *v;                        /* [N_VECTORS] */
    Lanes *unknown;                  /* [N_VECTORS] bits that are not known, where doubt says so */
    uint64_t doubt[N_VECTORS];       /* lanes with unknown bits; all while a load is awaited */
    uint64_t doubt_after[N_VECTORS]; /* ... once it has come */
    uint8_t awaited[N_VECTORS], awaited_by[N_VECTORS];
    uint32_t s[N_SCALARS], s_unknown[N_SCALARS];
    uint8_t s_awaited[N_SCALARS];
    uint64_t exec;
    Lanes exec_lanes; /* all ones where active */
    bool is_full;     /* all lanes are active */
    bool scc, scc_unknown;
    bool flushes; /* 32-bit subnormals become zero */
    uint32_t mode;
    const Inst *at;
    Stop stop;
    Group *group;
    const Processor *processor;
    unsigned index, n; /* in the group; lanes */
    uint64_t full;     /* the mask of n lanes */
    uint32_t issued[N_COUNTERS], done[N_COUNTERS];
    Pending pending[MAX_PENDING];
    unsigned n_pending, n_smem;
    uint32_t lds_write; /* number of the last one */
    uint32_t
        settled; /* what it stored to global memory before the group passed so many barriers, all can see */
    uint8_t *scratch, *scratch_known;
    uint32_t scratch_lane; /* bytes */
    uint64_t executed;
};

struct Group {
    Worker *worker;
    const Family *family;
    uint32_t id[3];
    uint64_t index;
    Wave *waves;
    struct PtxGroup *ptx;
    unsigned n_waves;
    uint8_t *lds, *lds_known;
    uint32_t lds_bytes;
    uint64_t *written; /* who wrote four bytes last: race.c */
    uint32_t epoch;    /* barriers passed since the tags were cleared */
    uint32_t barriers; /* passed */
    struct {           /* the first read of what another wave wrote meanwhile */
        const Inst *in;
        unsigned wave, lane;
        bool is_local, is_of_group;
    } raced;
};

struct Worker {
    Launch *launch;
    Group group;
    uint64_t *counts;     /* of each instruction */
    EmuCounts total;      /* what cannot be told from these */
    const Buffer **cache; /* of each instruction: the buffer it met last */
    uint8_t nothing[16];  /* 0: what is known of a value that is chance */
    uint8_t *arena;
    uint64_t bad_group;
    char fault[1400];
};

bool worker_init(Worker *w, Launch *launch);
void worker_release(Worker *w);
void wave_init(Wave *w, const Launch *l, Group *g, unsigned index);
void group_begin(Worker *w, uint64_t index);
void group_finish(Worker *w); /* runs it to its end */

/* The worker's fault begins: where it is, and what; gives back how long that is. lane < 0: no lane in particular. */
size_t fault_begin(const Group *g, unsigned wave, int lane, const char *format, va_list args);
/* Stops the wave. */
void wave_fault(Wave *w, const Inst *in, int lane, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- registers ------------------------------------------------------------------------------- */

void wave_exec_changed(Wave *w);
void mask_expand(uint64_t mask, Lanes *out);
uint64_t mask_pack(const Lanes *in, unsigned n);

static inline uint32_t scalar_get(const Wave *w, unsigned reg) {
    return reg == S_NULL ? 0 : w->s[reg];
}

static inline uint64_t scalar_get64(const Wave *w, unsigned reg) {
    return reg == S_NULL ? 0 : w->s[reg] | (uint64_t)w->s[reg + 1] << 32;
}

void scalar_awaited(Wave *w, const Inst *in, unsigned reg);

static inline void scalar_set(Wave *w, const Inst *in, unsigned reg, uint32_t x, uint32_t unknown) {
    if (reg == S_NULL) return;
    if (w->s_awaited[reg]) scalar_awaited(w, in, reg);
    w->s[reg] = x;
    w->s_unknown[reg] = unknown;
    if (reg >= S_EXEC) {
        if (unknown != 0) wave_fault(w, in, -1, "EXEC is written with bits that are not known");
        wave_exec_changed(w);
    }
}

/* A mask of lanes, in one register or two. */
static inline uint64_t mask_get(const Wave *w, unsigned reg) {
    return w->n == 64 ? scalar_get64(w, reg) : scalar_get(w, reg);
}

static inline uint64_t mask_unknown(const Wave *w, unsigned reg) {
    if (reg == S_NULL) return 0;
    return w->s_unknown[reg] | (w->n == 64 ? (uint64_t)w->s_unknown[reg + 1] << 32 : 0);
}

static inline void mask_set(Wave *w, const Inst *in, unsigned reg, uint64_t x, uint64_t unknown) {
    if (reg == S_NULL) return;
    scalar_set(w, in, reg, (uint32_t)x, (uint32_t)unknown);
    if (w->n == 64) scalar_set(w, in, reg + 1, (uint32_t)(x >> 32), (uint32_t)(unknown >> 32));
}

/* Are all scalar registers this reads known and there? Unknown ones are only looked at. */
bool scalars_doubtful(Wave *w, const Inst *in);

/* The lanes of the vector registers it reads that are not known; stops for awaited ones. */
uint64_t vectors_doubtful(Wave *w, const Inst *in);

void vector_awaited(Wave *w, const Inst *in, unsigned reg);

/* Writes the lanes of a mask; unknown NULL: known. */
void vector_set(Wave *w, const Inst *in, unsigned reg, const Lanes *x, const Lanes *unknown,
                uint64_t lanes);
/* The same of a load that `c` counts. */
void vector_load(Wave *w, const Inst *in, Counter c, unsigned reg, const Lanes *x,
                 const Lanes *unknown, uint64_t lanes);
static inline uint32_t unknown_of(const Wave *w, unsigned reg, unsigned lane) {
    return w->doubt[reg] >> lane & 1 ? w->unknown[reg].u[lane] : 0;
}

/* ---- waits (wait.c) -------------------------------------------------------------------------- */

void wait_issue(Wave *w, const Inst *in, Counter c, bool is_scalar, bool is_smem, unsigned reg,
                unsigned count);
void wait_until(Wave *w, Counter c, uint32_t n);
bool wait_lds_written(const Wave *w); /* have all writes to local memory arrived? */

/* ---- local memory races (race.c) ------------------------------------------------------------- */

enum { RACE_ATOMIC = 62, RACE_WAVES = 62 };

void race_clear(Group *g);
void race_barrier(Group *g);
/* Notes an access of this wave, or with RACE_ATOMIC one that may meet its like. The lanes that touch what another
 * wave wrote without a barrier between. */
uint64_t race_lanes(Group *g, unsigned tag, bool is_read, const uint32_t *at, uint64_t lanes,
                    uint32_t bytes);
/* The same of one access to a buffer. A tag says which wave of which group, and when. */
typedef enum Race { RACE_NONE, RACE_WAVE, RACE_GROUP } Race;
uint64_t race_global_tag(const Wave *w);
Race race_global(const Group *g, const Buffer *b, uint64_t ours, bool is_read, uint64_t offset,
                 uint32_t bytes);
/* Notes a read whose value is chance. */
void race_read(Wave *w, const Inst *in, unsigned lane, bool is_local, bool is_of_group);

/* ---- executors ------------------------------------------------------------------------------- */

void exec_valu(Wave *w, const Inst *in);
void exec_plain(Wave *w, const Inst *in);
void exec_dual(Wave *w, const Inst *in);
void exec_salu(Wave *w, const Inst *in);
void exec_unknown(Wave *w, const Inst *in);
void exec_smem(Wave *w, const Inst *in);
void exec_global(Wave *w, const Inst *in);
void exec_scratch(Wave *w, const Inst *in);
void exec_buffer(Wave *w, const Inst *in);
void exec_lds(Wave *w, const Inst *in);

#endif
