/* What was counted: of each kernel, from how often each of its instructions ran. */
#include "wave.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- what ran -------------------------------------------------------------------------------- */

void emu_kernel_counts(const EmuKernel *k, EmuCounts *out) {
    *out = k->total;
    k->image->emu->processor->family->count(k, out);
}

unsigned emu_kernel_barriers(const EmuKernel *k, uint64_t *came, unsigned n) {
    return k->is_decoded ? k->image->emu->processor->family->barriers(k, came, n) : 0;
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

/* Is there a line with an instruction of this name? */
static bool is_listed(const Lines *l, const char *text) {
    char name[64];
    size_t n = strcspn(text, " ");
    snprintf(name, sizeof name, ": %.*s", n < 56 ? (int)n : 56, text);
    return l->n > 0 && strstr(l->text, name) != NULL;
}

bool lines_unknown(Lines *l, const char *kernel, const char *text) {
    return is_listed(l, text) || append(l, kernel, text);
}

char *emu_image_unknown(EmuImage *image) {
    Lines l = {calloc(1, 1), 0, 0};
    if (l.text != NULL && image->emu->processor->family->unknown(image, &l)) return l.text;
    free(l.text);
    return NULL;
}
