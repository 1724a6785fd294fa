/* MessagePack (msgpack.org/spec), as far as manifests use it. */
#include "unpack.h"

#include <string.h>

void unpack_begin(unpacker *u, const void *data, size_t bytes) {
    u->start = u->at = data;
    u->end = u->at + bytes;
    u->error = NULL;
    u->error_at = 0;
}

void unpack_fail(unpacker *u, const char *what) {
    if (u->error != NULL) return;
    u->error = what;
    u->error_at = (size_t)(u->at - u->start);
}

static size_t left(const unpacker *u) { return (size_t)(u->end - u->at); }

/* n bytes as one number, most significant first. */
static uint64_t take(unpacker *u, unsigned n) {
    uint64_t x = 0;
    if (!unpack_good(u)) return 0;
    if (left(u) < n) {
        unpack_fail(u, "it ends early");
        return 0;
    }
    for (unsigned i = 0; i < n; i++) x = x << 8 | *u->at++;
    return x;
}

/* The head byte; what is one of the small forms has its number in *n. */
static uint8_t head(unpacker *u) { return (uint8_t)take(u, 1); }

static size_t bounded(unpacker *u, uint64_t n) {
    if (unpack_good(u) && n > left(u)) unpack_fail(u, "a length is larger than what is left");
    return unpack_good(u) ? (size_t)n : 0;
}

size_t unpack_array(unpacker *u) {
    uint8_t h = head(u);
    if (h >> 4 == 9) return bounded(u, h & 15u);
    if (h == 0xdc) return bounded(u, take(u, 2));
    if (h == 0xdd) return bounded(u, take(u, 4));
    unpack_fail(u, "an array was expected");
    return 0;
}

void unpack_array_of(unpacker *u, size_t n) {
    if (unpack_array(u) != n) unpack_fail(u, "an array has another length");
}

void unpack_map_of(unpacker *u, size_t n) {
    uint8_t h = head(u);
    if (h >> 4 != 8 || (h & 15u) != n) unpack_fail(u, "a map of other keys was expected");
}

const char *unpack_text(unpacker *u, size_t *n) {
    uint8_t h = head(u);
    uint64_t length = 0;
    if (h >> 5 == 5)
        length = h & 31u;
    else if (h == 0xd9 || h == 0xda || h == 0xdb)
        length = take(u, h == 0xd9 ? 1 : h == 0xda ? 2 : 4);
    else
        unpack_fail(u, "text was expected");
    *n = bounded(u, length);
    if (!unpack_good(u)) {
        *n = 0;
        return "";
    }
    const char *text = (const char *)u->at;
    for (size_t i = 0; i < *n; i++)
        if ((unsigned char)text[i] < 32 || text[i] == 127)
            unpack_fail(u, "text with a control character");
    u->at += *n;
    return text;
}

void unpack_key(unpacker *u, const char *key) {
    size_t n;
    const char *text = unpack_text(u, &n);
    if (unpack_good(u) && (n != strlen(key) || memcmp(text, key, n) != 0))
        unpack_fail(u, "another key was expected");
}

static int64_t any_int(unpacker *u) {
    uint8_t h = head(u);
    if (h < 128) return h;
    if (h >= 0xe0) return (int64_t)h - 256;
    switch (h) {
    case 0xcc: return (int64_t)take(u, 1);
    case 0xcd: return (int64_t)take(u, 2);
    case 0xce: return (int64_t)take(u, 4);
    case 0xd0: return (int8_t)take(u, 1);
    case 0xd1: return (int16_t)take(u, 2);
    case 0xd2: return (int32_t)take(u, 4);
    case 0xd3: return (int64_t)take(u, 8);
    case 0xcf: {
        uint64_t n = take(u, 8);
        if (n > INT64_MAX) unpack_fail(u, "a number is out of range");
        return unpack_good(u) ? (int64_t)n : 0;
    }
    default: unpack_fail(u, "a whole number was expected"); return 0;
    }
}

int64_t unpack_int(unpacker *u, int64_t lo, int64_t hi) {
    int64_t n = any_int(u);
    if (unpack_good(u) && n >= lo && n <= hi) return n;
    unpack_fail(u, "a number is out of range");
    return lo;
}

uint32_t unpack_below(unpacker *u, size_t n) {
    if (n == 0) unpack_fail(u, "a number is out of range");
    return (uint32_t)unpack_int(u, 0, n > 0 ? (int64_t)n - 1 : 0);
}

double unpack_real(unpacker *u) {
    if (head(u) != 0xcb) unpack_fail(u, "a real number was expected");
    uint64_t bits = take(u, 8);
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

bool unpack_bool(unpacker *u) {
    uint8_t h = head(u);
    if (h != 0xc2 && h != 0xc3) unpack_fail(u, "true or false was expected");
    return h == 0xc3;
}
