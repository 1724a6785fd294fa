/* What was counted: of each kernel, from how often each of its instructions ran. */
#include "ops.h"
#include "wave.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- what ran -------------------------------------------------------------------------------- */

static void add_instruction(EmuCounts *c, const Inst *in, uint64_t n) {
    c->instructions += n;
    if (in->op == NULL) return;
    if (in->dual != NULL) c->dual += n;
    if (in->op->flags & F_BARRIER) c->barriers += n;
    switch (in->op->kind) {
    case K_VALU: c->vector += n; break;
    case K_CROSS:
        if (in->op->name[0] == 'd')
            c->local += n;
        else
            c->vector += n;
        break;
    case K_MATRIX: c->matrix += n; break;
    case K_GLOBAL:
    case K_BUFFER: c->global += n; break;
    case K_SCRATCH: c->scratch += n; break;
    case K_LDS: c->local += n; break;
    default: c->scalar += n; break;
    }
}

void emu_kernel_counts(const EmuKernel *k, EmuCounts *out) {
    *out = k->total;
    for (size_t i = 0; i < k->code.n; i++) add_instruction(out, &k->code.inst[i], k->counts[i]);
}

unsigned emu_kernel_barriers(const EmuKernel *k, uint64_t *came, unsigned n) {
    if (!k->is_decoded) return 0;
    for (size_t i = 0; i < k->code.n; i++) {
        const Inst *in = &k->code.inst[i];
        bool is_barrier = in->op != NULL && (in->op->flags & F_BARRIER);
        if (is_barrier && in->literal < n) came[in->literal] = k->counts[i];
    }
    return k->code.n_barriers;
}

static int line(char *to, size_t room, const EmuKernel *k) {
    EmuCounts c;
    emu_kernel_counts(k, &c);
    return snprintf(
        to, room,
        "%-40s %8llu %10llu %12llu %12llu %12llu %10llu %10llu %10llu %9llu %9llu %13llu %13llu %11llu %11llu\n",
        k->name, (unsigned long long)c.launches, (unsigned long long)c.waves,
        (unsigned long long)c.instructions, (unsigned long long)c.vector,
        (unsigned long long)c.scalar, (unsigned long long)c.matrix, (unsigned long long)c.global,
        (unsigned long long)c.local, (unsigned long long)c.scratch, (unsigned long long)c.barriers,
        (unsigned long long)c.bytes_loaded, (unsigned long long)c.bytes_stored,
        (unsigned long long)c.lds_cycles, (unsigned long long)c.lds_conflicts);
}

char *emu_report(const Emu *emu, const EmuImage *only) {
    size_t room = 512, used;
    for (const EmuImage *m = emu->first; m != NULL; m = m->next) room += m->n_kernels * 700;
    char *text = malloc(room);
    if (text == NULL) return NULL;
    used = (size_t)snprintf(
        text, room, "%-40s %8s %10s %12s %12s %12s %10s %10s %10s %9s %9s %13s %13s %11s %11s\n",
        "kernel", "launches", "waves", "instructions", "vector", "scalar", "matrix", "global",
        "local", "scratch", "barriers", "bytes loaded", "bytes stored", "lds cycles", "conflicts");
    for (const EmuImage *m = emu->first; m != NULL; m = m->next)
        for (size_t i = 0; i < m->n_kernels && (only == NULL || only == m); i++)
            if (m->kernels[i].total.launches > 0)
                used += (size_t)line(text + used, room - used, &m->kernels[i]);
    return text;
}

/* ---- what would not run ---------------------------------------------------------------------- */

typedef struct Lines {
    char *text;
    size_t n, cap;
} Lines;

static bool append(Lines *l, const char *kernel, const char *text) {
    size_t more = strlen(kernel) + strlen(text) + 4;
    if (l->n + more > l->cap) {
        size_t cap = 2 * l->cap + more + 256;
        char *to = realloc(l->text, cap);
        if (to == NULL) return false;
        l->text = to;
        l->cap = cap;
    }
    l->n += (size_t)sprintf(l->text + l->n, "%s: %s\n", kernel, text);
    return true;
}

/* Is there a line with an instruction of this name? Padding behind the last instruction is none. */
static bool is_listed(const Lines *l, const char *text) {
    char name[64];
    size_t n = strcspn(text, " ");
    snprintf(name, sizeof name, ": %.*s", n < 56 ? (int)n : 56, text);
    return l->n > 0 && strstr(l->text, name) != NULL;
}

char *emu_image_unknown(EmuImage *image) {
    Lines l = {calloc(1, 1), 0, 0};
    bool good = l.text != NULL;
    for (size_t k = 0; k < image->n_kernels && good; k++) {
        Function f;
        good = function_decode(image->emu, &image->kernels[k], &f);
        for (size_t i = 0; i + 1 < f.n && good; i++)
            if (f.inst[i].exec == exec_unknown && !is_listed(&l, f.inst[i].text))
                good = append(&l, image->kernels[k].name, f.inst[i].text);
        if (good) function_release(&f);
    }
    if (good) return l.text;
    free(l.text);
    return NULL;
}
