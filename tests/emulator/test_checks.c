/* What the emulator has to catch, and what it must not: pieces of code with the words of the message
 * that each has to end with, or none.
 *
 * v1 is the number of the lane times 4, v[2:3] an address of the lane's own in a buffer of known
 * memory, s[4:5] the buffer; v[10:11] and s[10:11] are the same of a buffer that was never written.
 * All other registers are unknown. Groups of two waves. */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>

enum { NINE = 1, ELEVEN = 2, BOTH = 3, BYTES = 1024 };

typedef struct Piece {
    unsigned processors;
    const char *nine, *eleven; /* eleven NULL: the same text */
    const char *message;       /* NULL: all is well */
} Piece;

#define WAIT "s_waitcnt vmcnt(0) lgkmcnt(0)\n"

static const Piece pieces[] = {
#include "checks_rows.def"
};
enum { N_PIECES = sizeof pieces / sizeof *pieces };

static const char *text_of(const Piece *p, bool is_gfx11) {
    return is_gfx11 && p->eleven != NULL ? p->eleven : p->nine;
}
static bool is_of(const Piece *p, bool is_gfx11) {
    return p->processors & (is_gfx11 ? ELEVEN : NINE);
}

static char *put(char *to, const char *text, size_t number) {
    for (; *text != '\0'; text++) {
        if (text[0] == '%' && text[1] == '=') {
            to += sprintf(to, "%zu", number);
            text++;
        } else {
            *to++ = *text;
        }
    }
    *to = '\0';
    return to;
}

typedef struct Memory {
    uint8_t *known, *fresh;
} Memory;

static void put64(Wave *w, unsigned reg, uint64_t x) {
    rig_scalar(w, reg, (uint32_t)x);
    rig_scalar(w, reg + 1, (uint32_t)(x >> 32));
}

static void get_ready(Wave *w, const Memory *m) {
    uint32_t x[8][MAX_LANES];
    for (uint32_t i = 0; i < MAX_LANES; i++) {
        uint64_t known = (uint64_t)(uintptr_t)m->known + (w->index * w->n + i) * 4;
        uint64_t fresh = (uint64_t)(uintptr_t)m->fresh + (w->index * w->n + i) * 4;
        x[0][i] = i * 4;
        x[1][i] = (uint32_t)known;
        x[2][i] = (uint32_t)(known >> 32);
        x[3][i] = (uint32_t)fresh;
        x[4][i] = (uint32_t)(fresh >> 32);
        x[5][i] = (w->index * w->n + i) * 4;       /* v30: a word of its own in local memory */
        x[6][i] = ((1 - w->index) * w->n + i) * 4; /* v31: one of the other wave */
        x[7][i] = i * 2 + w->index;                /* v32: every second byte */
    }
    static const unsigned regs[8] = {1, 2, 3, 10, 11, 30, 31, 32};
    for (unsigned k = 0; k < 8; k++) rig_vector(w, regs[k], x[k]);
    for (unsigned k = 0; k < 8; k++) rig_vector(w, 40 + k, x[0]);
    put64(w, 4, (uint64_t)(uintptr_t)m->known);
    put64(w, 10, (uint64_t)(uintptr_t)m->fresh);
    rig_scalar(w, 30, w->index);
}

static int test_piece(Rig *rig, size_t i, bool is_gfx11) {
    const Piece *p = &pieces[i];
    char symbol[32];
    const char *why;
    Memory m = {emu_alloc(rig->emu, BYTES), emu_alloc(rig->emu, BYTES)};
    emu_fill(rig->emu, m.known, 0x11223344, 4, BYTES / 4);
    snprintf(symbol, sizeof symbol, "p%zu", i);
    rig_set(rig, symbol, 2, 512, 64);
    for (unsigned k = 0; k < 2; k++) get_ready(&rig_wave(rig)[k], &m);
    bool good = rig_run(rig, &why),
         fits = p->message == NULL ? good : !good && strstr(why, p->message) != NULL;
    if (!fits)
        printf("%s: %s\n    %s, wanted: %s\n", is_gfx11 ? "gfx1100" : "gfx942",
               text_of(p, is_gfx11), good ? "no complaint" : why,
               p->message == NULL ? "none" : p->message);
    emu_free(rig->emu, m.known);
    emu_free(rig->emu, m.fresh);
    return fits ? 0 : 1;
}

int main(void) {
    int n_bad = 0;
    for (int is_gfx11 = 0; is_gfx11 < 2; is_gfx11++) {
        char *text = malloc(N_PIECES * 1000), *to = text;
        for (size_t i = 0; i < N_PIECES; i++) {
            if (!is_of(&pieces[i], is_gfx11)) continue;
            to += sprintf(to, ".globl p%zu\np%zu:\n", i, i);
            to = put(to, text_of(&pieces[i], is_gfx11), i);
            to += sprintf(to, "\ns_endpgm\n");
        }
        Rig *rig = rig_create(is_gfx11 ? "gfx1100" : "gfx942", text);
        free(text);
        for (size_t i = 0; i < N_PIECES; i++)
            if (is_of(&pieces[i], is_gfx11)) n_bad += test_piece(rig, i, is_gfx11);
        rig_free(rig);
    }
    if (n_bad > 0) printf("%d wrong\n", n_bad);
    return n_bad > 0;
}
