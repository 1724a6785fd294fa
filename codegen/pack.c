/* MessagePack (msgpack.org/spec), big endian throughout. */
#include "pack.h"

#include <string.h>

static void put(Text *t, unsigned head, uint64_t n, unsigned bytes) {
    char out[9] = {(char)head};
    for (unsigned i = 0; i < bytes; i++) out[1 + i] = (char)(n >> (8 * (bytes - 1 - i)));
    text_addn(t, out, 1 + bytes);
}

void pack_map(Text *t, size_t n) {
    if (n < 16)
        put(t, 0x80 | (unsigned)n, 0, 0);
    else if (n <= UINT16_MAX)
        put(t, 0xde, n, 2);
    else
        put(t, 0xdf, n, 4);
}

void pack_array(Text *t, size_t n) {
    if (n < 16)
        put(t, 0x90 | (unsigned)n, 0, 0);
    else if (n <= UINT16_MAX)
        put(t, 0xdc, n, 2);
    else
        put(t, 0xdd, n, 4);
}

void pack_str(Text *t, const char *s) {
    size_t n = strlen(s);
    if (n < 32)
        put(t, 0xa0 | (unsigned)n, 0, 0);
    else if (n <= UINT8_MAX)
        put(t, 0xd9, n, 1);
    else if (n <= UINT16_MAX)
        put(t, 0xda, n, 2);
    else
        put(t, 0xdb, n, 4);
    text_addn(t, s, n);
}

void pack_int(Text *t, int64_t n) {
    uint64_t u = (uint64_t)n;
    if (n >= 0) {
        if (n < 128)
            put(t, (unsigned)n, 0, 0);
        else if (n <= UINT8_MAX)
            put(t, 0xcc, u, 1);
        else if (n <= UINT16_MAX)
            put(t, 0xcd, u, 2);
        else if (n <= UINT32_MAX)
            put(t, 0xce, u, 4);
        else
            put(t, 0xcf, u, 8);
    } else {
        if (n >= -32)
            put(t, (unsigned)(u & 0xff), 0, 0);
        else if (n >= INT8_MIN)
            put(t, 0xd0, u, 1);
        else if (n >= INT16_MIN)
            put(t, 0xd1, u, 2);
        else if (n >= INT32_MIN)
            put(t, 0xd2, u, 4);
        else
            put(t, 0xd3, u, 8);
    }
}

void pack_real(Text *t, double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    put(t, 0xcb, bits, 8);
}

void pack_bool(Text *t, bool b) { put(t, b ? 0xc3 : 0xc2, 0, 0); }
