/* Coroutines as threads of workgroups. */
#define _DEFAULT_SOURCE
#include "threads.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { MOST = 1024, STACK = 65536 };

typedef enum State { READY, AT_BARRIER, AT_EXCHANGE, AT_PRODUCT, DONE } State;

typedef struct Thread {
    void *stack_pointer;
    State state;
    uint32_t x, step;
    const void *a, *b; /* of a product; step: which */
    float *d;
} Thread;

static struct {
    Thread t[MOST];
    void *main_pointer; /* of the scheduler */
    char *stacks;
    uint32_t block, wave, group, now;
    uint64_t rng;
    ThreadsKernel fn;
    const uint64_t *args;
} team;

/* Saves what calls must keep, and goes on at another stack. */
void threads_switch(void **save, void *to);
__asm__(".text\n.globl threads_switch\nthreads_switch:\n"
        "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
        "mov %rsp, (%rdi)\nmov %rsi, %rsp\n"
        "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n");

static void leave(State s) {
    Thread *t = &team.t[team.now];
    t->state = s;
    threads_switch(&t->stack_pointer, team.main_pointer);
}

static void begin(void) {
    team.fn(team.args);
    leave(DONE);
    abort();
}

uint32_t rwkvc_thread(void) { return team.now; }
uint32_t rwkvc_group(void) { return team.group; }
void rwkvc_barrier(void) { leave(AT_BARRIER); }

uint32_t rwkvc_other(uint32_t x, uint32_t step) {
    Thread *t = &team.t[team.now];
    t->x = x;
    t->step = step;
    leave(AT_EXCHANGE);
    return t->x;
}

void rwkvc_mma(uint32_t unit, const void *a, const void *b, float *d) {
    Thread *t = &team.t[team.now];
    t->step = unit;
    t->a = a;
    t->b = b;
    t->d = d;
    leave(AT_PRODUCT);
}

static void set_up(uint32_t i) {
    Thread *t = &team.t[i];
    void **sp = (void **)(void *)(team.stacks + (size_t)(i + 1) * STACK);
    *--sp = NULL; /* keeps the stack aligned as after a call */
    void (*entry)(void) = begin;
    memcpy(--sp, &entry, sizeof entry);
    for (int k = 0; k < 6; k++) *--sp = NULL;
    *t = (Thread){.stack_pointer = sp};
}

static uint32_t draw(void) {
    team.rng = team.rng * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(team.rng >> 33);
}

/* Every thread that can go on goes on, once. */
static bool run_ready(void) {
    uint32_t start = draw(), stride = draw() | 1, ran = 0;
    for (uint32_t k = 0; k < team.block; k++) {
        uint32_t i = (start + k * stride) & (team.block - 1);
        if (team.t[i].state != READY) continue;
        team.now = i;
        threads_switch(&team.main_pointer, team.t[i].stack_pointer);
        ran++;
    }
    return ran > 0;
}

static const char *exchange(uint32_t first, bool *moved) {
    Thread *t = &team.t[first];
    uint32_t x[64];
    for (uint32_t i = 0; i < team.wave; i++)
        if (t[i].state != AT_EXCHANGE) return NULL;
    for (uint32_t i = 0; i < team.wave; i++) {
        if (t[i].step != t->step) return "threads of a wave exchange at different distances";
        if (t[i].x != t[i & ~(t->step - 1)].x) return "an exchange of what is not the same around";
        x[i] = t[i ^ t->step].x;
    }
    for (uint32_t i = 0; i < team.wave; i++) {
        t[i].x = x[i];
        t[i].state = READY;
    }
    *moved = true;
    return NULL;
}

/* ---- matrix instructions, by the table --------------------------------------------------------------- */

typedef struct Layout {
    uint32_t axis[64][32][2]; /* by lane and element: row or column, term (or column, of D) */
    uint32_t n;               /* elements of a lane */
} Layout;

static void read_layout(const char *text, char first, Layout *l) {
    const char *elem = strchr(text, ' ') + 1;
    l->n = 1u << strlen(elem) / 2;
    for (uint32_t lane = 0; lane < 64; lane++)
        for (uint32_t e = 0; e < l->n; e++) {
            uint32_t at[2] = {0, 0};
            for (const char *s = text; *s && *s != ' '; s += 2)
                if (*s != '-' && lane >> (s - text) / 2 & 1) at[*s != first] |= 1u << (s[1] - '0');
            for (const char *s = elem; *s; s += 2)
                if (e >> (s - elem) / 2 & 1) at[*s != first] |= 1u << (s[1] - '0');
            l->axis[lane][e][0] = at[0];
            l->axis[lane][e][1] = at[1];
        }
}

static float number_at(const void *p, bool bf16, uint32_t i) {
    float x;
    uint32_t u = bf16 ? (uint32_t)((const uint16_t *)p)[i] << 16 : ((const uint32_t *)p)[i];
    memcpy(&x, &u, sizeof x);
    return x;
}

static void product(Thread *t, uint32_t unit) {
    enum { DT_BF16 = 1, DT_F32 = 0 };
    static const struct {
        bool bf16;
        uint32_t k;
        const char *a, *b, *d;
    } units[] = {
#define MMA(targets, name, m, n, k, number, a, b, d) {DT_##number == DT_BF16, k, a, b, d},
#include "../../codegen/mma.def"
#undef MMA
    };
    static Layout a, b, d;
    static float x[64][64], y[64][64], z[64][64];
    read_layout(units[unit].a, 'i', &a);
    read_layout(units[unit].b, 'j', &b);
    read_layout(units[unit].d, 'i', &d);
    for (uint32_t l = 0; l < team.wave; l++) {
        for (uint32_t e = 0; e < a.n; e++)
            x[a.axis[l][e][0]][a.axis[l][e][1]] = number_at(t[l].a, units[unit].bf16, e);
        for (uint32_t e = 0; e < b.n; e++)
            y[b.axis[l][e][0]][b.axis[l][e][1]] = number_at(t[l].b, units[unit].bf16, e);
        for (uint32_t e = 0; e < d.n; e++) z[d.axis[l][e][0]][d.axis[l][e][1]] = t[l].d[e];
    }
    for (uint32_t l = 0; l < team.wave; l++)
        for (uint32_t e = 0; e < d.n; e++) {
            uint32_t i = d.axis[l][e][0], j = d.axis[l][e][1];
            float sum = z[i][j];
            for (uint32_t k = 0; k < units[unit].k; k++) sum += x[i][k] * y[j][k];
            t[l].d[e] = sum;
        }
}

static const char *multiply(uint32_t first, bool *moved) {
    Thread *t = &team.t[first];
    for (uint32_t i = 0; i < team.wave; i++)
        if (t[i].state != AT_PRODUCT) return NULL;
    for (uint32_t i = 0; i < team.wave; i++)
        if (t[i].step != t->step) return "threads of a wave do different products";
    product(t, t->step);
    for (uint32_t i = 0; i < team.wave; i++) t[i].state = READY;
    *moved = true;
    return NULL;
}

/* ---- workgroups -------------------------------------------------------------------------------------- */

static const char *one_group(void) {
    for (uint32_t i = 0; i < team.block; i++) set_up(i);
    for (;;) {
        bool moved = run_ready();
        uint32_t waiting = 0, done = 0;
        for (uint32_t i = 0; i < team.block; i += team.wave) {
            const char *wrong = exchange(i, &moved);
            if (!wrong) wrong = multiply(i, &moved);
            if (wrong) return wrong;
        }
        for (uint32_t i = 0; i < team.block; i++) {
            waiting += team.t[i].state == AT_BARRIER;
            done += team.t[i].state == DONE;
        }
        if (done == team.block) return NULL;
        if (waiting == team.block) {
            for (uint32_t i = 0; i < team.block; i++) team.t[i].state = READY;
            continue;
        }
        if (!moved) return "threads wait for others that never come";
    }
}

const char *threads_launch(ThreadsKernel fn, const uint64_t *args, uint32_t groups, uint32_t block,
                           uint32_t wave, uint64_t seed) {
    if (block > MOST || block % wave || (block & (block - 1))) return "no such workgroup";
    team.fn = fn;
    team.args = args;
    team.block = block;
    team.wave = wave;
    team.rng = seed;
    team.stacks = mmap(NULL, (size_t)MOST * STACK, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (team.stacks == MAP_FAILED) return "no memory";
    const char *wrong = NULL;
    for (uint32_t g = 0; g < groups && !wrong; g++) {
        team.group = g;
        wrong = one_group();
    }
    munmap(team.stacks, (size_t)MOST * STACK);
    return wrong;
}
