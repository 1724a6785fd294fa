/* Words that the graph's printer and reader share. */
#ifndef RWKVC_TEXT_H
#define RWKVC_TEXT_H

#include "graph.h"

void text_quoted(Text *t, const char *s); /* in "", with \" \\ \xHH */
void text_number(Text *t, double v); /* as few digits as give v back; never looks like an int */
bool text_is_word(const char *s);    /* letter or _, then letters, digits, _ and . */
int text_precedence(Fn f);           /* of the operators, 1 loosest; 9 for calls */
Store text_store(const char *s);     /* ST_DEFAULT if it is no storage type */
InitKind text_init(const char *s, bool *ok);

#endif
