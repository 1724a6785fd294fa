/* MessagePack, the writing half: the shortest form of every number, nothing optional. */
#ifndef RWKVC_PACK_H
#define RWKVC_PACK_H

#include "../compiler/base.h"

void pack_map(Text *t, size_t n);   /* followed by n keys and values */
void pack_array(Text *t, size_t n); /* followed by n items           */
void pack_str(Text *t, const char *s);
void pack_int(Text *t, int64_t n);
void pack_real(Text *t, double x);
void pack_bool(Text *t, bool b);

#endif
