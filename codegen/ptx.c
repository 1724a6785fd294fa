/* PTX with its manifest: the text has no sections, so the manifest stands in comment lines before it.
 *
 *   //!rwkvc VERSION MANIFEST_BYTES TEXT_BYTES SHA-256 of all that follows this line, in hexadecimal
 *   //!BASE64 (57 bytes a line)
 *   the text, and nothing behind it */
#include <sha2.h>
#include <string.h>

#include "../runtime/format.h"
#include "bundle.h"

enum { LINE = 57 };

static void add_base64(Text *t, const unsigned char *p, size_t n) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t x = (uint32_t)p[i] << 16;
        if (i + 1 < n) x |= (uint32_t)p[i + 1] << 8;
        if (i + 2 < n) x |= p[i + 2];
        char four[4];
        for (int k = 0; k < 4; k++) four[k] = digits[x >> (18 - 6 * k) & 63];
        if (i + 1 >= n) four[2] = '=';
        if (i + 2 >= n) four[3] = '=';
        text_addn(t, four, 4);
    }
}

void ptx_make(Arena *a, const void *blob, size_t n, const Image *text, Image *out) {
    Text body = text_new(a), all = text_new(a);
    for (size_t i = 0; i < n; i += LINE) {
        text_add(&body, "//!");
        add_base64(&body, (const unsigned char *)blob + i, n - i < LINE ? n - i : LINE);
        text_add(&body, "\n");
    }
    text_addn(&body, text->data, text->bytes);
    unsigned char hash[RW_HASH_BYTES];
    SHA2_CTX c;
    SHA256Init(&c);
    SHA256Update(&c, (const uint8_t *)body.data, body.n);
    SHA256Final(hash, &c);
    text_printf(&all, "//!rwkvc %d %zu %zu ", RW_FORMAT_VERSION, n, text->bytes);
    for (size_t i = 0; i < sizeof hash; i++) text_printf(&all, "%02x", hash[i]);
    text_add(&all, "\n");
    text_addn(&all, body.data, body.n);
    *out = (Image){all.data, all.n};
}
