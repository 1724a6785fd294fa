/* Streaming axes: what stream.c, step.c, position.c and prefill.c share.
 *
 * A size streams along an axis T when it is T plus something without T; the positions of such
 * axes are counted from the end, so the last positions of T and of P + T belong together. */
#ifndef RWKVC_STREAM_H
#define RWKVC_STREAM_H

#include "edit.h"

/* s = T + rest */
bool stream_size(Graph *g, Size s, const char *axis, Size *rest);
enum { STREAM_NONE = -1, STREAM_BAD = -2 };
/* The one streaming axis of v; STREAM_NONE if no size of v has T, STREAM_BAD if it is not one
 * plain axis. */
int stream_axis(Graph *g, Value v, const char *axis);

/* Stands in expressions for "how many positions there were before" until it is made a state. */
ExprId position_mark(Graph *g);
/* Replaces the mark by the state "position" [B] (or [] without a batch), made if the mark occurs
 * or always; values that lack the batch axis and depend on it get it in front. add: what a run
 * adds to it. */
void position_resolve(Graph *g, ExprId add, bool always);
/* In a graph whose states are inputs: positions used as numbers count from the start of the
 * sequence. */
Graph *graph_position(Graph *g, const char *axis);

#endif
