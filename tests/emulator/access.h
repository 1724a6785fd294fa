/* An access of all lanes to memory: where each goes, and how data gets there and back. */
#ifndef EMU_ACCESS_H
#define EMU_ACCESS_H

#include "wave.h"

typedef struct Access {
    uint64_t lanes; /* that take part */
    unsigned bytes; /* of a lane */
    uint8_t *data[MAX_LANES];
    uint8_t *known[MAX_LANES]; /* NULL: all is known */
} Access;

/* All of them leave it to the caller to note that the access is on its way (wait_issue). */

/* Reads it into the registers from reg on; c will count the load. */
void access_load(Wave *w, const Inst *in, const Access *a, Counter c, unsigned reg);
/* The registers it takes. */
static inline unsigned access_words(const Access *a) { return a->bytes < 4 ? 1 : a->bytes / 4; }
/* Writes registers from reg on; must_be_known: what is not known may not be written. */
void access_store(Wave *w, const Inst *in, const Access *a, unsigned reg, bool must_be_known);
/* Each lane in its order: memory = f(memory, data). data2 is the value compared with, where there is
 * one. The old values go to the destination, if the instruction has one. */
void access_atomic(Wave *w, const Inst *in, const Access *a, unsigned data, unsigned compared,
                   Counter c);

enum AtomicRow {
    A_SWAP,
    A_CMPSWAP,
    A_ADD,
    A_SUB,
    A_RSUB,
    A_SMIN,
    A_UMIN,
    A_SMAX,
    A_UMAX,
    A_AND,
    A_OR,
    A_XOR,
    A_INC,
    A_DEC,
    A_FADD,
    A_FMIN,
    A_FMAX,
    A_PK_ADD_F16,
    A_PK_ADD_BF16,
};

/* The registers of an address are known in all lanes that take part; else the wave stops. */
bool access_address_known(Wave *w, const Inst *in, const Slot *s, unsigned count);
bool access_scalar_known(Wave *w, const Inst *in, const Slot *s, unsigned count);

#endif
