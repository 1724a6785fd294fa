/* Status codes and their texts. */
#include "status.h"

#include <stdarg.h>
#include <stdio.h>

rw_status rw_fail(rw_message *m, rw_status code, const char *fmt, ...) {
    if (m == NULL)
        return code;
    va_list ap;
    va_start(ap, fmt);
    if (vsnprintf(m->text, sizeof m->text, fmt, ap) < 0)
        m->text[0] = '\0';
    va_end(ap);
    return code;
}

const char *rw_status_name(rw_status code) {
    switch (code) {
    case RW_OK: return "ok";
    case RW_BAD_ARG: return "bad argument";
    case RW_NO_MEMORY: return "no memory";
    case RW_IO: return "input or output failed";
    case RW_BAD_FILE: return "bad file";
    case RW_NO_DEVICE: return "no device";
    case RW_WRONG_TARGET: return "wrong target";
    case RW_NO_SUCH: return "no such name";
    case RW_BAD_SHAPE: return "bad shape";
    case RW_DRIVER: return "driver failed";
    }
    return "unknown status";
}
