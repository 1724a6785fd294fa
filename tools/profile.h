/* What a session has measured of its kernels, as a table on standard output. */
#ifndef RW_TOOLS_PROFILE_H
#define RW_TOOLS_PROFILE_H

#include "../runtime/rw.h"

/* Of `entry`, the longest first. False without memory. */
bool profile_print(const rw_session *s, const char *entry, unsigned threads);

#endif
