/* lld as a function. Not for several threads at once: it has one context in a process. */
#ifndef RWKVC_LINK_H
#define RWKVC_LINK_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* args as on a command line, the program's name first. NULL, or what it said (to be freed). */
char *link_elf(const char *const *args, size_t n);

#ifdef __cplusplus
}
#endif
#endif
