/* What the schedules of this room share beyond emit.h. */
#ifndef RWKVC_EMIT_IMPL_H
#define RWKVC_EMIT_IMPL_H

#include "emit.h"

void emit_scopes_done(Emit *e);
struct Memo *memo_new(Arena *a, const Graph *g);

/* int values by lanes */
Val val_add(Emit *e, At *at, Val a, Val b);
Val val_sub(Emit *e, At *at, Val a, Val b);
Val val_mul(Emit *e, At *at, Val a, Val b);
Val val_const(Emit *e, int64_t n);
bool val_fixed(Val v, int64_t *n);
/* Floats (width of them) as they are stored: the bits of bf16, or half. */
V emit_narrow(Emit *e, V x, uint8_t dtype, uint32_t width);
V mask_all(Emit *e, At *at); /* lanes that are read and stored; NULL: all */

#endif
