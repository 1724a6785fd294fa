/* The threads of a context. A job runs on all of them at once, the caller's included; inside it they
 * meet at barriers. Who waits stays awake for a bounded time, then sleeps. Every thread computes with
 * subnormal numbers as zero. Not for users of the runtime. */
#ifndef RW_THREADS_H
#define RW_THREADS_H

#include "rw.h"

typedef struct threads threads;

/* n threads in all. RW_NO_MEMORY; RW_DRIVER: the system gives no thread. */
rw_status threads_create(const rw_alloc *alloc, unsigned n, unsigned spin_us, threads **out,
                         rw_message *m);
void threads_destroy(threads *t); /* t may be NULL */
unsigned threads_count(const threads *t);
unsigned threads_default(void); /* CPUs this process may use */

/* Runs job(user, k) with k = 0..n-1 on thread k, thread 0 being the caller's; returns when all are
 * done. Calls from several threads at once take turns. */
void threads_run(threads *t, void (*job)(void *user, unsigned k), void *user);
/* Inside a job: waits for all others. */
void threads_barrier(threads *t);

#endif
