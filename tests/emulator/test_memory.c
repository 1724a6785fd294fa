/* Every instruction that reads or writes memory: global, scratch, buffers, local memory, scalar
 * loads; plain, partial and atomic. */
#include "rig.h"

#include "access.h"

#include <stdio.h>
#include <stdlib.h>

#include "reference.h" /* the last: its names are short */

enum { NINE = 1, ELEVEN = 2, BOTH = 3, BYTES = 8192 };

typedef enum Space { GLOBAL, GLOBAL_BASE, SCRATCH, BUFFER, LDS, N_SPACES } Space;

typedef struct Load {
    unsigned processors;
    const char *nine, *eleven;
    unsigned bytes;
    bool is_signed, is_half, is_high;
} Load;

typedef struct Atomic {
    unsigned processors;
    const char *nine, *eleven;
    unsigned bytes;
    uint64_t (*f)(uint64_t m, uint64_t d, uint64_t c, unsigned bytes);
} Atomic;

#include "memory_rows.def"

#define COUNT(x) (sizeof(x) / sizeof *(x))

/* ---- one instruction at a time --------------------------------------------------------------- */

static int n_bad;
static char seen[1200][40];
static size_t n_seen;

typedef struct Bench {
    Rig *rig;
    bool is_gfx11;
    const char *line; /* the instruction */
    uint8_t *memory;  /* BYTES of it, of the device */
    uint8_t before[BYTES];
    uint32_t at[MAX_LANES];      /* where each lane goes, from the start of the memory */
    uint32_t data[4][MAX_LANES]; /* v[4:7] */
    uint32_t old[4][MAX_LANES];  /* v[8:11] */
    uint64_t exec;
} Bench;

static void wrong(const Bench *b, unsigned lane, const char *what, uint64_t got, uint64_t want) {
    if (++n_bad > 60) return;
    printf("%s: %s: lane %u: %s 0x%llx instead of 0x%llx\n", b->is_gfx11 ? "gfx1100" : "gfx942",
           b->line, lane, what, (unsigned long long)got, (unsigned long long)want);
}

static const char *registers(unsigned first, unsigned words) {
    static char text[4][16];
    static unsigned next;
    char *t = text[next++ % 4];
    if (words == 1)
        snprintf(t, sizeof text[0], "v%u", first);
    else
        snprintf(t, sizeof text[0], "v[%u:%u]", first, first + words - 1);
    return t;
}

/* An access in a space, 16 bytes beyond its registers' address. */
static void write_line(char *to, size_t n, Space space, const char *name, bool is_load,
                       unsigned words, bool returns, bool is_gfx11) {
    const char *data = is_load ? registers(8, words) : registers(4, words), *back = "";
    char old[20];
    if (returns) {
        snprintf(old, sizeof old, "%s, ", registers(8, words));
        back = old;
    }
    const char *glc = !returns ? "" : is_gfx11 ? " glc" : " sc0";
    switch (space) {
    case GLOBAL:
    case GLOBAL_BASE: {
        const char *v = space == GLOBAL ? "v[2:3]" : "v2", *s = space == GLOBAL ? "off" : "s[4:5]";
        if (is_load)
            snprintf(to, n, "global_%s %s, %s, %s offset:16", name, data, v, s);
        else
            snprintf(to, n, "global_%s %s%s, %s, %s offset:16%s", name, back, v, data, s, glc);
        break;
    }
    case SCRATCH:
        if (is_load)
            snprintf(to, n, "scratch_%s %s, v2, s3 offset:16", name, data);
        else
            snprintf(to, n, "scratch_%s v2, %s, s3 offset:16", name, data);
        break;
    case BUFFER:
        snprintf(to, n, "buffer_%s %s, v2, s[4:7], s3 offen offset:16%s", name, data, glc);
        break;
    default:
        if (is_load)
            snprintf(to, n, "ds_%s %s, v2 offset:16", name, data);
        else
            snprintf(to, n, "ds_%s v2, %s offset:16", name, data);
    }
}

static void put64(Wave *w, unsigned reg, uint64_t x) {
    rig_scalar(w, reg, (uint32_t)x);
    rig_scalar(w, reg + 1, (uint32_t)(x >> 32));
}

/* Memory as the space of the instruction has it: at the device, in the group, or of each lane. */
static uint8_t *place(const Bench *b, Space space, unsigned lane) {
    Wave *w = rig_wave(b->rig);
    if (space == SCRATCH) return w->scratch + (size_t)lane * w->scratch_lane + b->at[lane];
    if (space == LDS) return w->group->lds + b->at[lane];
    return b->memory + b->at[lane];
}

static void fill_memory(Bench *b, Space space, uint64_t *state) {
    Wave *w = rig_wave(b->rig);
    uint8_t *to = space == SCRATCH ? w->scratch : space == LDS ? w->group->lds : b->memory;
    uint8_t *known = space == SCRATCH ? w->scratch_known : w->group->lds_known;
    for (size_t i = 0; i < BYTES; i += 8) {
        uint64_t x = any_number(state);
        if (space == GLOBAL || space == GLOBAL_BASE || space == BUFFER)
            emu_copy(b->rig->emu, to + i, &x, 8);
        else
            memcpy(to + i, &x, 8), memset(known + i, 0xff, 8);
    }
    memcpy(b->before, to, BYTES);
}

static void set_registers(Bench *b, Space space, uint32_t addresses[MAX_LANES]) {
    Wave *w = rig_wave(b->rig);
    uint32_t low[MAX_LANES], high[MAX_LANES];
    uint64_t base = (uint64_t)(uintptr_t)b->memory;
    for (unsigned i = 0; i < MAX_LANES; i++) {
        uint64_t at = addresses[i] - 16u;
        if (space == SCRATCH || space == BUFFER) at -= 32;
        if (space == GLOBAL) at = base + (uint64_t)(int64_t)(int32_t)(uint32_t)at;
        low[i] = (uint32_t)at;
        high[i] = (uint32_t)(at >> 32);
    }
    rig_vector(w, 2, low);
    rig_vector(w, 3, high);
    for (unsigned k = 0; k < 4; k++) {
        rig_vector(w, 4 + k, b->data[k]);
        rig_vector(w, 8 + k, b->old[k]);
    }
    rig_scalar(w, 3, 32);
    put64(w, 4, base);
    put64(w, 6, BYTES);
    rig_exec(w, b->exec);
}

static void get_ready(Bench *b, Space space, unsigned bytes, bool meet, uint64_t *state) {
    uint32_t step = bytes < 4 ? bytes : 4;
    if (meet) step = bytes; /* atomic operations meet at few places */
    for (unsigned i = 0; i < MAX_LANES; i++) {
        uint32_t slot = meet ? (uint32_t)(any_bits(state) % 5) : i * 7 % 64;
        b->at[i] = space == SCRATCH ? 64 + (uint32_t)(any_bits(state) % 8) * step
                                    : 64 + slot * (meet ? 8 : 20);
        b->at[i] -= b->at[i] % step;
        for (unsigned k = 0; k < 4; k++) {
            uint64_t x = any_number(state);
            b->data[k][i] = (uint32_t)(k % 2 ? x >> 32 : x);
            b->old[k][i] = (uint32_t)any_bits(state);
        }
    }
    fill_memory(b, space, state);
    set_registers(b, space, b->at);
}

static bool run(Bench *b) {
    const char *why;
    const Op *op = b->rig->kernel.code.inst[0].op;
    bool is_new = op != NULL && n_seen < COUNT(seen) &&
                  (n_seen == 0 || strcmp(seen[n_seen - 1], op->name) != 0);
    if (is_new) snprintf(seen[n_seen++], sizeof *seen, "%s", op->name);
    if (rig_run(b->rig, &why)) return true;
    printf("%s\n", why);
    n_bad++;
    return false;
}

static void begin(Bench *b, const char *symbol, const char *line, uint64_t exec) {
    uint64_t full = b->is_gfx11 ? UINT32_MAX : UINT64_MAX;
    rig_set(b->rig, symbol, 1, BYTES, b->is_gfx11 ? BYTES / 32u : BYTES / 64u);
    b->line = line;
    b->exec = exec & full;
}

/* ---- loads and stores ------------------------------------------------------------------------ */

static uint32_t part(const uint8_t *at, unsigned bytes, bool is_signed) {
    uint32_t x = 0;
    memcpy(&x, at, bytes);
    return is_signed ? signed_between(x, 0, 8 * bytes) : x;
}

static void check_load(const Bench *b, Space space, const Load *l, const uint8_t *memory) {
    const Wave *w = rig_wave(b->rig);
    for (unsigned i = 0; i < w->n; i++)
        for (unsigned k = 0; 4 * k < l->bytes; k++) {
            unsigned n = l->bytes < 4 ? l->bytes : 4;
            size_t lane = space == SCRATCH ? (size_t)i * w->scratch_lane : 0;
            uint32_t x = part(memory + lane + b->at[i] + 4 * k, n, l->is_signed),
                     old = b->old[k][i], want = x;
            if (l->is_half)
                want = l->is_high ? (old & 0xffff) | x << 16 : (old & 0xffff0000) | (x & 0xffff);
            if ((b->exec >> i & 1) == 0) want = old;
            if (w->v[8 + k].u[i] != want) wrong(b, i, "loaded", w->v[8 + k].u[i], want);
        }
}

static void check_store(const Bench *b, Space space, const Load *l, const uint8_t *memory) {
    const Wave *w = rig_wave(b->rig);
    uint8_t *want = malloc(BYTES);
    memcpy(want, b->before, BYTES);
    for (unsigned i = 0; i < w->n; i++) {
        if ((b->exec >> i & 1) == 0) continue;
        for (unsigned k = 0; 4 * k < l->bytes; k++) {
            uint32_t x = b->data[k][i] >> (l->is_high ? 16 : 0);
            size_t lane = space == SCRATCH ? (size_t)i * w->scratch_lane : 0;
            memcpy(want + lane + b->at[i] + 4 * k, &x, l->bytes < 4 ? l->bytes : 4);
        }
    }
    if (memcmp(want, memory, BYTES) != 0) wrong(b, 0, "memory differs", 0, 0);
    free(want);
}

static const uint8_t *memory_of(const Bench *b, Space space) {
    const Wave *w = rig_wave(b->rig);
    return space == SCRATCH ? w->scratch : space == LDS ? w->group->lds : b->memory;
}

static void test_access(Bench *b, const char *symbol, const char *line, Space space, const Load *l,
                        bool is_load) {
    for (uint64_t round = 0; round < 4; round++) {
        uint64_t state = round + 99;
        begin(b, symbol, line, round < 2 ? UINT64_MAX : any_bits(&state));
        get_ready(b, space, l->bytes, false, &state);
        if (!run(b)) return;
        if (is_load)
            check_load(b, space, l, b->before);
        else
            check_store(b, space, l, memory_of(b, space));
    }
}

/* ---- two addresses --------------------------------------------------------------------------- */

static void write_pair(char *to, size_t n, const Load *l, bool is_gfx11) {
    unsigned words = l->bytes / 4;
    const char *name = is_gfx11 ? l->eleven : l->nine;
    if (l->is_high)
        snprintf(to, n, "%s v2, %s, %s offset0:2 offset1:9", name, registers(4, words),
                 registers(4 + words, words));
    else
        snprintf(to, n, "%s %s, v2 offset0:2 offset1:9", name, registers(8, 2 * words));
}

static void test_pair(Bench *b, const char *symbol, const char *line, const Load *l) {
    uint64_t state = 5;
    begin(b, symbol, line, UINT64_MAX);
    get_ready(b, LDS, l->bytes, false, &state);
    uint32_t addresses[MAX_LANES];
    const Wave *w = rig_wave(b->rig);
    for (unsigned i = 0; i < MAX_LANES; i++)
        addresses[i] =
            i * (l->is_high ? 16 * l->bytes : 8) % 1024; /* stores of lanes do not meet */
    if (l->is_high)
        for (unsigned i = 0; i < MAX_LANES; i++)
            addresses[i] = i * l->bytes * (l->is_signed ? 1 : 16);
    rig_vector(rig_wave(b->rig), 2, addresses);
    if (!run(b)) return;
    uint32_t unit = l->bytes * (l->is_signed ? 64 : 1);
    for (unsigned i = 0; i < w->n; i++)
        for (unsigned k = 0; k < 2; k++) {
            uint32_t at = addresses[i] + (k ? 9 : 2) * unit, words = l->bytes / 4;
            for (unsigned j = 0; j < words; j++) {
                uint32_t in_memory = part(w->group->lds + at + 4 * j, 4, false);
                uint32_t in_register = w->v[(l->is_high ? 4 : 8) + words * k + j].u[i];
                if (in_memory != in_register) wrong(b, i, "pair", in_register, in_memory);
            }
        }
}

/* ---- atomic operations ----------------------------------------------------------------------- */

static uint64_t two(const uint32_t (*x)[MAX_LANES], unsigned k, unsigned lane, unsigned bytes) {
    return x[k][lane] | (bytes == 8 ? (uint64_t)x[k + 1][lane] << 32 : 0);
}

/* Of NaNs only that they are some is specified. */
static bool is_nan_of(const Atomic *a, uint64_t x) {
    if (a->f == do_halves) return (x & 0x7fff) > 0x7c00 || (x >> 16 & 0x7fff) > 0x7c00;
    if (a->f == do_bfloats) return (x & 0x7fff) > 0x7f80 || (x >> 16 & 0x7fff) > 0x7f80;
    if (a->f != do_fadd && a->f != do_fmin && a->f != do_fmax) return false;
    return a->bytes == 8 ? isnan(from_bits64(x)) : isnan(from_bits((uint32_t)x));
}

static bool is_same(const Atomic *a, uint64_t x, uint64_t y) {
    return x == y || (is_nan_of(a, x) && is_nan_of(a, y));
}

/* What memory has to hold in the end, and what was there when each lane came. */
static void expect_atomic(const Bench *b, const Atomic *a, bool compares_first, uint8_t *memory,
                          uint64_t *old) {
    unsigned words = a->bytes / 4;
    for (unsigned i = 0; i < rig_wave(b->rig)->n; i++) {
        uint64_t m = 0;
        if ((b->exec >> i & 1) == 0) continue;
        memcpy(&m, memory + b->at[i], a->bytes);
        uint64_t first = two(b->data, 0, i, a->bytes), second = two(b->data, words, i, a->bytes);
        uint64_t r =
            compares_first ? a->f(m, second, first, a->bytes) : a->f(m, first, second, a->bytes);
        old[i] = m;
        memcpy(memory + b->at[i], &r, a->bytes);
    }
}

/* Half of the comparisons shall be with what is there. */
static void let_some_match(Bench *b, const Atomic *a, bool compares_first) {
    for (unsigned k = 0; k < a->bytes / 4; k++) {
        unsigned reg = compares_first ? k : a->bytes / 4 + k;
        for (unsigned i = 0; i < MAX_LANES; i += 2)
            memcpy(&b->data[reg][i], b->before + b->at[i] + 4 * k, 4);
        rig_vector(rig_wave(b->rig), 4 + reg, b->data[reg]);
    }
}

static void check_atomic(const Bench *b, Space space, const Atomic *a, const uint8_t *memory,
                         const uint64_t *want_old, bool returns) {
    const Wave *w = rig_wave(b->rig);
    for (unsigned i = 0; i < w->n; i++) {
        if ((b->exec >> i & 1) == 0) continue;
        uint64_t got = 0, want = 0,
                 old = w->v[8].u[i] | (a->bytes == 8 ? (uint64_t)w->v[9].u[i] << 32 : 0);
        memcpy(&got, place(b, space, i), a->bytes);
        memcpy(&want, memory + b->at[i], a->bytes);
        if (!is_same(a, got, want)) wrong(b, i, "memory", got, want);
        if (returns && !is_same(a, old, want_old[i])) wrong(b, i, "old value", old, want_old[i]);
    }
}

static void test_atomic(Bench *b, const char *symbol, const char *line, Space space,
                        const Atomic *a, bool returns) {
    bool compares_first = strstr(line, "cmpst_") != NULL;
    for (uint64_t round = 0; round < 6; round++) {
        uint64_t state = round + 1, old[MAX_LANES] = {0};
        begin(b, symbol, line, round < 3 ? UINT64_MAX : any_bits(&state));
        get_ready(b, space, a->bytes, true, &state);
        if (a->f == do_cmpswap) let_some_match(b, a, compares_first);
        uint8_t *memory = malloc(BYTES);
        memcpy(memory, b->before, BYTES);
        expect_atomic(b, a, compares_first, memory, old);
        bool good = run(b);
        if (good) check_atomic(b, space, a, memory, old, returns);
        free(memory);
        if (!good) return;
    }
}

/* ---- scalar loads ---------------------------------------------------------------------------- */

static void test_scalar(Bench *b, const char *symbol, const char *line, unsigned words,
                        bool has_register) {
    uint64_t state = 3;
    begin(b, symbol, line, UINT64_MAX);
    get_ready(b, GLOBAL, 4, false, &state);
    if (!run(b)) return;
    const Wave *w = rig_wave(b->rig);
    for (unsigned k = 0; k < words; k++) {
        uint32_t want = part(b->before + (has_register ? 32 : 0) + 64 + 4 * k, 4, false);
        if (w->s[16 + k] != want) wrong(b, k, "loaded", w->s[16 + k], want);
    }
}

/* ---- all of them ----------------------------------------------------------------------------- */

typedef enum Form { A_LOAD, A_STORE, A_PAIR, AN_ATOMIC, A_SCALAR } Form;

typedef struct Case {
    Form form;
    Space space;
    const Load *load;
    const Atomic *atomic;
    bool returns;
    unsigned words;
    char line[120];
} Case;

static Case *cases;
static size_t n_cases;

static Case *add(Form form, Space space) {
    cases = realloc(cases, (n_cases + 1) * sizeof *cases);
    cases[n_cases] = (Case){.form = form, .space = space};
    return &cases[n_cases++];
}

static void add_loads(const Load *l, size_t n, Form form, Space space, bool is_gfx11) {
    for (size_t i = 0; i < n; i++) {
        Case *c = add(form, space);
        unsigned words = l[i].bytes < 4 ? 1 : l[i].bytes / 4;
        c->load = &l[i];
        if (form == A_PAIR)
            write_pair(c->line, sizeof c->line, &l[i], is_gfx11);
        else
            write_line(c->line, sizeof c->line, space, is_gfx11 ? l[i].eleven : l[i].nine,
                       form == A_LOAD, words, false, is_gfx11);
    }
}

static void add_atomics(Space space, bool returns, bool is_gfx11) {
    for (size_t i = 0; i < COUNT(atomics); i++) {
        const Atomic *a = &atomics[i];
        char name[40];
        if (!(a->processors & (is_gfx11 ? ELEVEN : NINE)) ||
            (space == BUFFER && a->f == do_bfloats))
            continue;
        Case *c = add(AN_ATOMIC, space);
        c->atomic = a;
        c->returns =
            returns && space != BUFFER; /* there the old value would be where the data is */
        unsigned words = a->bytes / 4 * (a->f == do_cmpswap ? 2 : 1);
        snprintf(name, sizeof name, "atomic_%s", is_gfx11 ? a->eleven : a->nine);
        write_line(c->line, sizeof c->line, space, name, false, words, c->returns, is_gfx11);
        if (c->returns && words != a->bytes / 4) { /* cmpswap takes two and gives one */
            char line[120];
            snprintf(line, sizeof line, "global_%s %s, %s", name, registers(8, a->bytes / 4),
                     strchr(c->line, ',') + 2);
            snprintf(c->line, sizeof c->line, "%s", line);
        }
    }
}

static void add_lds_atomics(bool is_gfx11) {
    for (size_t i = 0; i < COUNT(lds_atomics); i++) {
        const Atomic *a = &lds_atomics[i];
        unsigned words = a->bytes / 4;
        if (!(a->processors & (is_gfx11 ? ELEVEN : NINE))) continue;
        Case *c = add(AN_ATOMIC, LDS);
        const char *name = is_gfx11 ? a->eleven : a->nine;
        c->atomic = a;
        c->returns = strstr(name, "rtn") != NULL;
        int n = snprintf(c->line, sizeof c->line, "ds_%s %s%sv2, %s", name,
                         c->returns ? registers(8, words) : "", c->returns ? ", " : "",
                         registers(4, words));
        if (a->f == do_cmpswap)
            n += snprintf(c->line + n, sizeof c->line - (size_t)n, ", %s",
                          registers(4 + words, words));
        snprintf(c->line + n, sizeof c->line - (size_t)n, " offset:16");
    }
}

static void add_scalars(bool is_gfx11) {
    static const char *const nine[] = {"dword", "dwordx2", "dwordx4", "dwordx8", "dwordx16"};
    static const char *const eleven[] = {"b32", "b64", "b128", "b256", "b512"};
    for (unsigned k = 0; k < 5; k++)
        for (unsigned has_register = 0; has_register < 2; has_register++) {
            Case *c = add(A_SCALAR, GLOBAL);
            c->words = 1u << k;
            c->returns = has_register;
            char to[16];
            snprintf(to, sizeof to, k == 0 ? "s16" : "s[16:%u]", 15 + c->words);
            snprintf(c->line, sizeof c->line, "s_load_%s %s, s[4:5], %s",
                     is_gfx11 ? eleven[k] : nine[k], to, has_register ? "s3 offset:0x40" : "0x40");
        }
}

static void add_cases(bool is_gfx11) {
    static const Space spaces[] = {GLOBAL, GLOBAL_BASE, SCRATCH, BUFFER};
    for (size_t i = 0; i < COUNT(spaces); i++) {
        add_loads(loads, COUNT(loads), A_LOAD, spaces[i], is_gfx11);
        add_loads(stores, COUNT(stores), A_STORE, spaces[i], is_gfx11);
        if (spaces[i] != SCRATCH) add_atomics(spaces[i], i == 0, is_gfx11);
    }
    add_loads(lds_loads, COUNT(lds_loads), A_LOAD, LDS, is_gfx11);
    add_loads(lds_stores, COUNT(lds_stores), A_STORE, LDS, is_gfx11);
    add_loads(lds_pairs, COUNT(lds_pairs), A_PAIR, LDS, is_gfx11);
    add_lds_atomics(is_gfx11);
    add_scalars(is_gfx11);
    if (!is_gfx11) snprintf(add(A_SCALAR, GLOBAL)->line, 120, "s_memtime s[20:21]");
    if (!is_gfx11) snprintf(add(A_SCALAR, GLOBAL)->line, 120, "s_memrealtime s[20:21]");
}

static void run_case(Bench *b, size_t i) {
    const Case *c = &cases[i];
    char symbol[16];
    snprintf(symbol, sizeof symbol, "c%zu", i);
    switch (c->form) {
    case A_LOAD:
    case A_STORE: test_access(b, symbol, c->line, c->space, c->load, c->form == A_LOAD); break;
    case A_PAIR: test_pair(b, symbol, c->line, c->load); break;
    case AN_ATOMIC: test_atomic(b, symbol, c->line, c->space, c->atomic, c->returns); break;
    default: test_scalar(b, symbol, c->line, c->words, c->returns);
    }
}

static void test(bool is_gfx11) {
    n_cases = 0;
    add_cases(is_gfx11);
    char *text = malloc(n_cases * 200), *to = text;
    for (size_t i = 0; i < n_cases; i++)
        to += sprintf(to, ".globl c%zu\nc%zu:\n%s\ns_endpgm\n", i, i, cases[i].line);
    Bench *b = calloc(1, sizeof *b);
    b->is_gfx11 = is_gfx11;
    b->rig = rig_create(is_gfx11 ? "gfx1100" : "gfx942", text);
    b->memory = emu_alloc(b->rig->emu, BYTES);
    for (size_t i = 0; i < n_cases; i++) run_case(b, i);
    rig_free(b->rig);
    free(b);
    free(text);
}

static void check_all_seen(void) {
    const OpIndex *index = ops_index();
    for (size_t k = 0; op_name(index, k) != NULL; k++) {
        const Op *op = op_find(index, op_name(index, k));
        bool found = op->kind < K_SMEM || op->kind > K_LDS;
        for (size_t i = 0; i < n_seen && !found; i++) found = strcmp(seen[i], op->name) == 0;
        if (!found) printf("%s: no test\n", op_name(index, k));
        n_bad += !found;
    }
    ops_index_free(index);
}

int main(void) {
    test(false);
    test(true);
    check_all_seen();
    free(cases);
    if (n_bad > 0) printf("%d wrong\n", n_bad);
    return n_bad > 0;
}
