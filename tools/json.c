/* JSON on standard output. */
#include "json.h"

#include <math.h>
#include <stdio.h>

void json_put_text(const char *s) {
    putchar('"');
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

void json_put_number(double x) {
    if (isfinite(x))
        printf("%.9g", x);
    else
        fputs("null", stdout);
}
