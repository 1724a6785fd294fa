/* Threads that wait spinning for some microseconds, then in the kernel (futex). A counter that grows
 * is what they wait for; who changes it wakes sleepers only if there are any. */
#define _GNU_SOURCE /* syscall, sched_getaffinity */
#include "threads.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define LINE 64

typedef struct counter { /* alone in its cache line */
    _Alignas(LINE) _Atomic uint32_t value;
    _Atomic uint32_t sleepers;
} counter;

typedef struct worker {
    pthread_t thread;
    threads *pool;
    unsigned number;
} worker;

struct threads {
    counter jobs; /* grows when there is something to do */
    counter turn; /* grows when all have met */
    _Alignas(LINE) _Atomic uint32_t met;
    _Alignas(LINE) void (*job)(void *user, unsigned k);
    void *user;
    atomic_bool ends;
    unsigned n, n_started;
    uint64_t spin_ns;
    pthread_mutex_t turns; /* of callers */
    const rw_alloc *alloc;
    void *taken; /* what the hook gave for this */
    size_t taken_bytes;
    worker workers[];
};

/* ---- subnormals -------------------------------------------------------------------------------- */

#if defined(__x86_64__)
enum { FLUSH_AND_ZERO = 0x8040 };
static unsigned flush_begin(void) {
    unsigned before = _mm_getcsr();
    _mm_setcsr(before | FLUSH_AND_ZERO);
    return before;
}
static void flush_end(unsigned before) { _mm_setcsr(before); }
static void relax(void) { _mm_pause(); }
#else
static unsigned flush_begin(void) { return 0; }
static void flush_end(unsigned before) { (void)before; }
static void relax(void) {}
#endif

/* ---- waiting ----------------------------------------------------------------------------------- */

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void advance(counter *c) {
    atomic_fetch_add(&c->value, 1);
    if (atomic_load(&c->sleepers) > 0)
        syscall(SYS_futex, &c->value, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

/* Until c is no longer `seen`. */
static void wait_for(counter *c, uint32_t seen, uint64_t spin_ns) {
    for (int i = 0; i < 64; i++) {
        if (atomic_load_explicit(&c->value, memory_order_acquire) != seen) return;
        relax();
    }
    for (uint64_t start = now_ns(); now_ns() - start < spin_ns;)
        for (int i = 0; i < 16; i++) {
            if (atomic_load_explicit(&c->value, memory_order_acquire) != seen) return;
            relax();
        }
    atomic_fetch_add(&c->sleepers, 1);
    while (atomic_load(&c->value) == seen)
        syscall(SYS_futex, &c->value, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    atomic_fetch_sub(&c->sleepers, 1);
}

void threads_barrier(threads *t) {
    if (t->n == 1) return;
    uint32_t turn = atomic_load_explicit(&t->turn.value, memory_order_acquire);
    if (atomic_fetch_add(&t->met, 1) + 1 == t->n) {
        atomic_store_explicit(&t->met, 0, memory_order_relaxed);
        advance(&t->turn);
    } else {
        wait_for(&t->turn, turn, t->spin_ns);
    }
}

/* ---- workers ----------------------------------------------------------------------------------- */

static void *work(void *user) {
    worker *w = user;
    threads *t = w->pool;
    (void)flush_begin();
    for (uint32_t seen = 0;; seen++) {
        wait_for(&t->jobs, seen, t->spin_ns);
        if (atomic_load(&t->ends)) return NULL;
        t->job(t->user, w->number);
        threads_barrier(t);
    }
}

void threads_run(threads *t, void (*job)(void *user, unsigned k), void *user) {
    pthread_mutex_lock(&t->turns);
    t->job = job;
    t->user = user;
    if (t->n > 1) advance(&t->jobs);
    unsigned before = flush_begin();
    job(user, 0);
    threads_barrier(t);
    flush_end(before);
    pthread_mutex_unlock(&t->turns);
}

unsigned threads_count(const threads *t) { return t->n; }

unsigned threads_default(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? (unsigned)n : 1;
}

/* ---- life -------------------------------------------------------------------------------------- */

/* Signals are for the threads of the application. */
static bool start(worker *w) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool good = pthread_create(&w->thread, NULL, work, w) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return good;
}

rw_status threads_create(const rw_alloc *alloc, unsigned n, unsigned spin_us, threads **out,
                         rw_message *m) {
    *out = NULL;
    if (n < 1 || n > 4096) return rw_fail(m, RW_BAD_ARG, "%u threads: at least 1, at most 4096", n);
    size_t bytes = sizeof(threads) + n * sizeof(worker) + LINE;
    uint8_t *taken = alloc->fn(alloc->user, NULL, 0, bytes);
    if (taken == NULL) return rw_fail(m, RW_NO_MEMORY, "no memory for %u threads", n);
    threads *t = (void *)(taken + ((size_t) - (uintptr_t)taken & (LINE - 1)));
    memset(t, 0, sizeof *t + n * sizeof(worker));
    t->alloc = alloc;
    t->taken = taken;
    t->taken_bytes = bytes;
    t->n = n;
    t->spin_ns = (spin_us > 0 ? spin_us : 50) * (uint64_t)1000;
    pthread_mutex_init(&t->turns, NULL);
    *out = t;
    for (; t->n_started + 1 < n; t->n_started++) {
        worker *w = &t->workers[t->n_started];
        *w = (worker){.pool = t, .number = t->n_started + 1};
        if (start(w)) continue;
        threads_destroy(t);
        *out = NULL;
        return rw_fail(m, RW_DRIVER, "the system gives no %u threads", n);
    }
    return RW_OK;
}

void threads_destroy(threads *t) {
    if (t == NULL) return;
    atomic_store(&t->ends, true);
    advance(&t->jobs);
    for (unsigned i = 0; i < t->n_started; i++) pthread_join(t->workers[i].thread, NULL);
    pthread_mutex_destroy(&t->turns);
    t->alloc->fn(t->alloc->user, t->taken, t->taken_bytes, 0);
}
