/* Vocabularies: bytes, lists of characters, the World file; what is said about damaged ones. */
#include "check.h"

#include <jansson.h>

#include "runtime/vocab.h"

static rw_message m;

static rw_vocab *opened(const char *name) {
    rw_vocab *v = NULL;
    CHECK(rw_vocab_open(name, &v, &m) == RW_OK, "%s: %s", name, m.text);
    return v;
}

static void refused(const char *text, const char *words) {
    rw_vocab *v = NULL;
    spill(in_folder("v"), text, strlen(text));
    rw_status s = rw_vocab_open(in_folder("v"), &v, &m);
    CHECK(s == RW_BAD_FILE && v == NULL, "'%s': status %d", text, s);
    CHECK(strstr(m.text, words) != NULL, "'%s' lacks '%s'", m.text, words);
    rw_vocab_close(v);
}

/* Encodes, compares with the wanted tokens, and decodes. */
static void round_trip(const rw_vocab *v, const void *text, size_t bytes, const int32_t *want,
                       size_t n_want) {
    int32_t *tokens = malloc((bytes + 1) * sizeof *tokens);
    size_t n = 0, at = 0;
    CHECK(rw_vocab_encode(v, text, bytes, tokens, &n, &m) == RW_OK, "%s", m.text);
    CHECK(n == n_want && memcmp(tokens, want, n * sizeof *tokens) == 0, "%zu tokens, not %zu: %.*s",
          n, n_want, (int)bytes, (const char *)text);
    for (size_t i = 0; i < n; i++) {
        size_t k;
        const uint8_t *p = rw_vocab_piece(v, tokens[i], &k);
        CHECK(p != NULL && at + k <= bytes && memcmp((const char *)text + at, p, k) == 0,
              "token %d", tokens[i]);
        at += k;
    }
    CHECK(at == bytes, "%zu of %zu bytes come back", at, bytes);
    free(tokens);
}

static void small(void) {
    rw_vocab *v = opened("bytes");
    round_trip(v, "a\0\xff", 3, (int32_t[]){97, 0, 255}, 3);
    CHECK(rw_vocab_count(v) == 256, "%zu", rw_vocab_count(v));
    size_t n;
    CHECK(rw_vocab_piece(v, 256, &n) == NULL && rw_vocab_piece(v, -1, &n) == NULL, "none such");
    rw_vocab_close(v);
    v = opened("chars:0123456789,#");
    round_trip(v, "31,#", 4, (int32_t[]){3, 1, 10, 11}, 4);
    int32_t tokens[4];
    CHECK(rw_vocab_encode(v, "1x2", 3, tokens, &n, &m) == RW_NO_SUCH, "x");
    CHECK(strstr(m.text, "'x' (byte 1, 0x78)") != NULL, "%s", m.text);
    rw_vocab_close(v);
    spill(in_folder("list"), "aä€𝄞 \n\n", strlen("aä€𝄞 \n\n"));
    v = opened(in_folder("list"));
    round_trip(v, "€ 𝄞äa", strlen("€ 𝄞äa"), (int32_t[]){2, 4, 3, 1, 0}, 5);
    rw_vocab_close(v);
}

static void literals(void) {
    static const char text[] = "1 'a' 1\n2 'ab' 2\r\n5 \"abc'\" 4\n7 b'\\xff\\n' 2\n8 '\\xe4\\u20ac' 5\n"
                               "9 ' x ' 3\n10 '\\'\\\\' 2\n11 '\\U0001d11e' 4\n";
    spill(in_folder("w"), text, sizeof text - 1);
    rw_vocab *v = opened(in_folder("w"));
    round_trip(v, "abc'abaa\xff\nä€ x '\\𝄞", 8 + 2 + 5 + 3 + 2 + 4,
               (int32_t[]){5, 2, 1, 1, 7, 8, 9, 10, 11}, 9);
    CHECK(rw_vocab_count(v) == 12, "%zu", rw_vocab_count(v));
    size_t n;
    CHECK(rw_vocab_piece(v, 6, &n) == NULL, "6 is none");
    rw_vocab_close(v);
}

static void damaged(void) {
    refused("1 'a' 1\n2 'b' 2\n", ":2: not a line");
    refused("1 'a' 1\n2 'a' 1\n", "tokens 1 and 2 are the same");
    refused("1 'a' 1\n1 'b' 1\n", "token 1 is there twice");
    refused("1 'a' 1\nx 'b' 1\n", ":2:");
    refused("1 'a' 1\n3 'b 1\n", ":2:");
    refused("1 'a' 1\n3 '\\q' 1\n", ":2:");
    refused("1 'a' 1\n3 '\\x4' 1\n", ":2:");
    refused("1 'a' 1\n3 b'\\u0041' 1\n", ":2:");
    refused("1 'a' 1\n99999999999 'b' 1\n", ":2:");
    refused("1 'a' 1\n3 '' 0\n", ":2:");
    refused("a\xff", "byte 1");
    refused("aba", "tokens 0 and 2 are the same");
    refused("\n", "without tokens");
    rw_vocab *v = NULL;
    CHECK(rw_vocab_open(in_folder("absent"), &v, &m) == RW_IO, "%s", m.text);
}

static void utf8(void) {
    CHECK(rw_utf8_whole("aä", 3) == 3 && rw_utf8_whole("aä", 2) == 1, "ä");
    CHECK(rw_utf8_whole("𝄞", 3) == 0 && rw_utf8_whole("𝄞", 4) == 4, "𝄞");
    CHECK(rw_utf8_whole("\xff\xfe", 2) == 2, "bytes that are no character");
    CHECK(rw_utf8_whole("\xe2\x28", 2) == 2, "a character that broke off");
    CHECK(rw_utf8_whole("\xed\xa0", 2) == 2, "half a surrogate pair");
    CHECK(rw_utf8_whole("\xe2\x82", 2) == 0, "two of three");
    CHECK(rw_utf8_whole("\xe0\x80", 2) == 2, "longer than it need be");
    CHECK(rw_utf8_whole("\xf4\x90", 2) == 2, "beyond the last code point");
    CHECK(rw_utf8_whole("\xc3\xc3", 2) == 1, "one that broke off, one that may go on");
}

static size_t unhex(const char *hex, uint8_t *out) {
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++) {
        unsigned byte;
        sscanf(hex + 2 * i, "%2x", &byte);
        out[i] = (uint8_t)byte;
    }
    return n;
}

static bool world(void) {
    const char *file = shared("rwkv_vocab_v20230424.txt"), *list = shared("ref/tokenizer.json");
    if (file == NULL || list == NULL) return false;
    rw_vocab *v = opened(file);
    CHECK(rw_vocab_count(v) == 65530, "%zu", rw_vocab_count(v));
    json_t *cases = json_load_file(list, JSON_ALLOW_NUL, NULL);
    CHECK(json_array_size(cases) > 20, "%zu cases", json_array_size(cases));
    for (size_t c = 0; c < json_array_size(cases); c++) {
        json_t *one = json_array_get(cases, c), *ids = json_object_get(one, "ids");
        json_t *text = json_object_get(one, "text");
        const char *hex = json_string_value(json_object_get(one, "bytes_hex"));
        size_t n = json_array_size(ids), bytes = hex ? strlen(hex) / 2 : json_string_length(text);
        uint8_t *p = malloc(bytes + 1);
        int32_t *want = malloc((n + 1) * sizeof *want);
        if (hex)
            unhex(hex, p);
        else
            memcpy(p, json_string_value(text), bytes);
        for (size_t i = 0; i < n; i++)
            want[i] = (int32_t)json_integer_value(json_array_get(ids, i));
        round_trip(v, p, bytes, want, n);
        free(p);
        free(want);
    }
    json_decref(cases);
    rw_vocab_close(v);
    return true;
}

int main(void) {
    folder_make();
    small();
    literals();
    damaged();
    utf8();
    folder_remove();
    return world() ? finish() : finish_without_shared();
}
