/* Calls of the runtime that work, or fail as they should. */
#ifndef TESTS_RUNTIME_CALLS_H
#define TESTS_RUNTIME_CALLS_H

#include "check.h"
#include "runtime/rw.h"

static _Thread_local rw_message m; /* of the last call */

#define GOOD(call)                                                                                 \
    do {                                                                                           \
        m.text[0] = '\0';                                                                          \
        rw_status good_ = (call);                                                                  \
        CHECK(good_ == RW_OK, "%s: %s", rw_status_name(good_), m.text);                            \
    } while (0)
/* Fails with this status and a text that holds `part`. */
#define FAILS(status, part, call)                                                                  \
    do {                                                                                           \
        m.text[0] = '\0';                                                                          \
        rw_status fails_ = (call);                                                                 \
        CHECK(fails_ == (status) && strstr(m.text, part) != NULL, "%s: %s",                        \
              rw_status_name(fails_), m.text);                                                     \
    } while (0)

#endif
