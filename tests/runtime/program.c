#define _GNU_SOURCE /* RTLD_NEXT */
/* Files that are cut, changed, or made to lie: all are refused with a reason, and none of them reaches
 * the system's loader. */
#include <dlfcn.h>
#include <elf.h>
#include <math.h>
#include <sha2.h>

#include "check.h"
#include "compiled.h"
#include "runtime/format.h"
#include "runtime/weights_impl.h"

/* Everything that would be loaded comes through here; the library is linked into this program. */
static int n_loads;
static bool forbidden;

/* A load that must fail before any code is mapped. */
static bool refused(rw_context *c, const void *image, size_t n, const char *what) {
    rw_message m = {""};
    rw_program *p = NULL;
    rw_status s = rw_program_load_memory(c, "test.so", image, n, &p, &m);
    CHECK(s == RW_BAD_FILE && p == NULL, "%s: %s", what, rw_status_name(s));
    CHECK(strstr(m.text, "test.so") != NULL, "%s: '%s'", what, m.text);
    rw_program_destroy(p);
    return s == RW_BAD_FILE;
}

static uint64_t state = 88172645463325252u;
static uint64_t draw(void) {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static void test_cut(rw_context *c, const uint8_t *file, size_t n) {
    for (size_t k = 0; k < n; k++)
        if (!refused(c, file, k, "a prefix")) return;
    uint8_t *longer = calloc(n + 1, 1);
    memcpy(longer, file, n);
    refused(c, longer, n + 1, "one byte more");
    free(longer);
}

static void test_flipped(rw_context *c, const uint8_t *file, size_t n) {
    uint8_t *copy = malloc(n);
    memcpy(copy, file, n);
    for (int k = 0; k < 1500; k++) {
        size_t bit = (size_t)(draw() % (8 * n));
        if (k < 8 * RW_TRAILER_BYTES) /* every bit of the trailer, then others */
            bit = 8 * (n - RW_TRAILER_BYTES) + (size_t)k;
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        refused(c, copy, n, "a changed bit");
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    free(copy);
}

static void sign(uint8_t *file, size_t n) {
    SHA2_CTX h;
    SHA256Init(&h);
    SHA256Update(&h, file, n - RW_HASH_BYTES);
    SHA256Final(file + n - RW_HASH_BYTES, &h);
}

/* The manifest begins with a map of ten and the key "format". */
static size_t find_manifest(const uint8_t *file, size_t n, size_t *bytes) {
    static const uint8_t head[] = {0x8a, 0xa6, 'f', 'o', 'r', 'm', 'a', 't', RW_FORMAT_VERSION};
    for (size_t i = 0; i + sizeof head < n; i++)
        if (memcmp(file + i, head, sizeof head) == 0) {
            for (size_t k = i + 16; k + 8 < n;
                 k += 8) { /* its length stands behind it, at a multiple of 16 */
                uint64_t length = 0;
                for (int b = 7; b >= 0; b--) length = length << 8 | file[k + (size_t)b];
                if (length <= k - i && k - i - length < 16 && (k - i) % 16 == 0) {
                    *bytes = (size_t)length;
                    return i;
                }
            }
        }
    return 0;
}

/* Names are shown to people. */
static void check_name(const char *name) {
    CHECK(name == NULL || text_is_valid(name, strlen(name)), "a name that is not UTF-8: %s", name);
}

/* Everything that can be asked of a program that was read from a changed manifest. */
static void look_around(rw_program *p) {
    rw_info info;
    size_t bytes;
    rw_session_options o = {.dims = (rw_dim[]){{"T", 7}}, .n_dims = 1};
    rw_message m;
    for (size_t e = 0; e <= rw_program_entries(p); e++)
        for (int kind = 0; kind < RW_KINDS; kind++) {
            const char *name = rw_program_entry(p, e);
            size_t n = rw_program_count(p, (rw_kind)kind, name);
            check_name(name);
            for (size_t i = 0; i <= n && i < 1000; i++)
                if (rw_program_info(p, (rw_kind)kind, name, i, &info) == RW_OK)
                    check_name(info.name);
        }
    for (size_t e = 0; e < rw_program_entries(p); e++) {
        const char *name = rw_program_entry(p, e);
        char text[100];
        rw_work w;
        rw_status s = rw_program_work(p, name, o.dims, o.n_dims, &w);
        CHECK(s == RW_OK || s == RW_NO_SUCH, "work of %s: %s", name, rw_status_name(s));
        for (int i = 0; i < RW_WORKS; i++) {
            CHECK(isfinite(w.of[i]), "work of %s: %g", name, w.of[i]);
            (void)rw_program_work_text(p, name, (rw_work_part)i, text, sizeof text);
        }
        (void)rw_program_launches(p, name);
    }
    (void)rw_program_weights(p);
    (void)rw_program_bytes(p, &o, &bytes, &m);
    (void)rw_program_bytes(p, NULL, &bytes, &m);
}

/* Reads copy, rightly signed, from a file: it is read, or refused with a reason. */
static bool is_read(rw_context *c, uint8_t *copy, size_t n) {
    char path[300];
    rw_message m = {""};
    rw_program *p = NULL;
    snprintf(path, sizeof path, "%s/lies.so", folder);
    sign(copy, n);
    FILE *f = fopen(path, "wb");
    CHECK(f != NULL && fwrite(copy, 1, n, f) == n, "%s cannot be written", path);
    if (f != NULL) fclose(f);
    rw_status s = rw_program_read(c, path, &p, &m);
    CHECK(s == RW_OK || (s == RW_BAD_FILE && m.text[0] != '\0'), "%s %s", rw_status_name(s),
          m.text);
    if (s == RW_OK) look_around(p);
    rw_program_destroy(p);
    return s == RW_OK;
}

/* A manifest in which each byte in turn is another one, then several at random. */
static void test_lies(rw_context *c, const uint8_t *file, size_t n) {
    static const uint8_t others[] = {0x7f, 0x00};
    size_t bytes, at = find_manifest(file, n, &bytes), accepted = 0, tried = 0;
    CHECK(at > 0, "no manifest found");
    uint8_t *copy = malloc(n);
    memcpy(copy, file, n);
    for (size_t k = 0; at > 0 && k < 2 * bytes; k++) {
        copy[at + k / 2] = others[k % 2];
        accepted += is_read(c, copy, n);
        copy[at + k / 2] = file[at + k / 2];
        tried++;
    }
    for (int k = 0; at > 0 && k < 500; k++) {
        for (int edit = 0; edit < 3; edit++)
            copy[at + draw() % bytes] ^= (uint8_t)(1u << draw() % 8);
        accepted += is_read(c, copy, n);
        memcpy(copy, file, n);
        tried++;
    }
    CHECK(accepted > 0 && accepted < tried, "%zu of %zu accepted", accepted, tried);
    free(copy);
}

/* A section that has no room for the length at its end, or no more than that. */
static void test_short_sections(rw_context *c, const uint8_t *file, size_t n) {
    size_t bytes, at = find_manifest(file, n, &bytes);
    uint8_t *copy = malloc(n);
    rw_message m;
    rw_program *p;
    memcpy(copy, file, n);
    Elf64_Ehdr h;
    memcpy(&h, copy, sizeof h);
    for (uint64_t size = 0; size < 9; size++) {
        for (size_t i = 0; i < h.e_shnum; i++) {
            Elf64_Shdr s;
            memcpy(&s, file + h.e_shoff + i * sizeof s, sizeof s);
            if (s.sh_offset != at) continue;
            s.sh_size = size;
            memcpy(copy + h.e_shoff + i * sizeof s, &s, sizeof s);
        }
        sign(copy, n);
        CHECK(rw_program_load_memory(c, "x", copy, n, &p, &m) == RW_BAD_FILE &&
                  strstr(m.text, "another length than its section"),
              "a section of %d bytes: %s", (int)size, m.text);
    }
    free(copy);
}

static void test_reasons(rw_context *c, const uint8_t *file, size_t n) {
    size_t bytes, at = find_manifest(file, n, &bytes);
    uint8_t *copy = malloc(n);
    rw_message m;
    rw_program *p;
    memcpy(copy, file, n);
    copy[at + 8] = RW_FORMAT_VERSION + 1;
    sign(copy, n);
    char wants[60];
    snprintf(wants, sizeof wants, "version %d of the format; this runtime reads version %d",
             RW_FORMAT_VERSION + 1, RW_FORMAT_VERSION);
    CHECK(rw_program_load_memory(c, "x", copy, n, &p, &m) == RW_BAD_FILE && strstr(m.text, wants),
          "%s", m.text);
    memcpy(copy, file, n);
    copy[18] = 40; /* e_machine: ARM */
    sign(copy, n);
    CHECK(rw_program_load_memory(c, "x", copy, n, &p, &m) == RW_WRONG_TARGET &&
              strstr(m.text, "machine"),
          "%s", m.text);
    memcpy(copy, file, n);
    for (size_t i = at; i + 9 < at + bytes; i++) /* needs: "x86-64-v3" the second time it occurs */
        if (memcmp(copy + i, "x86-64-v3", 9) == 0) copy[i + 8] = '9';
    sign(copy, n);
    CHECK(rw_program_load_memory(c, "x", copy, n, &p, &m) == RW_WRONG_TARGET &&
              strstr(m.text, "x86-64-v9"),
          "%s", m.text);
    CHECK(rw_program_load(c, "/does/not/exist.so", &p, &m) == RW_IO, "%s", m.text);
    CHECK(rw_program_load_memory(c, "x", "", 0, &p, &m) == RW_BAD_FILE, "%s", m.text);
    free(copy);
}

/* Loaded twice, and again after it was closed: each time the right one. */
static void test_loads(rw_context *c, const uint8_t *file, size_t n) {
    rw_program *p, *q;
    rw_message m = {""};
    forbidden = false;
    CHECK(rw_program_load_memory(c, "a", file, n, &p, &m) == RW_OK, "%s", m.text);
    CHECK(rw_program_load_memory(c, "b", file, n, &q, &m) == RW_OK, "%s", m.text);
    CHECK(n_loads == 2, "%d loads", n_loads);
    CHECK(strcmp(rw_program_name(q), "tiny") == 0 && strcmp(rw_program_target(q), "x86-64-v3") == 0,
          "%s", rw_program_name(q));
    CHECK(rw_program_entries(q) == 6 && rw_program_count(q, RW_PARAM, NULL) == TINY_PARAMS,
          "%zu entries, %zu parameters", rw_program_entries(q),
          rw_program_count(q, RW_PARAM, NULL));
    CHECK(rw_program_count(q, RW_STATE, NULL) == TINY_L &&
              rw_program_count(q, RW_OPTIMIZER, NULL) == 2 * TINY_PARAMS,
          "%zu states", rw_program_count(q, RW_STATE, NULL));
    rw_program_destroy(p);
    rw_program_destroy(q);
}

/* In front of the C library's. */
void *dlopen(const char *path, int flags) {
    static void *(*real)(const char *, int);
    CHECK(!forbidden, "dlopen(%s)", path);
    n_loads++;
    if (real == NULL) {
        void *found = dlsym(RTLD_NEXT, "dlopen");
        memcpy(&real, &found, sizeof found);
    }
    return real(path, flags);
}

/* The same with one entry, so that every byte of the manifest can be changed. */
static void test_small(rw_context *c) {
    static const char *const names[] = {"start", "step", NULL};
    char path[300];
    size_t n;
    Arena *a = arena_new();
    snprintf(path, sizeof path, "%s/small.so", folder);
    const char *wrong = compile_text(a, tiny_text, names, "x86-64-v3", path);
    CHECK(wrong == NULL, "%s", wrong);
    uint8_t *file = wrong == NULL ? slurp(path, &n) : NULL;
    if (file != NULL) test_lies(c, file, n);
    free(file);
    arena_free(a);
}

int main(void) {
    folder_make();
    char path[300];
    size_t n = 0;
    rw_context *c = NULL;
    rw_message m = {""};
    snprintf(path, sizeof path, "%s/tiny.so", folder);
    if (!compile_tiny(path)) return 1;
    uint8_t *file = slurp(path, &n);
    CHECK(rw_context_create(&(rw_context_options){.threads = 1}, &c, &m) == RW_OK, "%s", m.text);
    if (file != NULL && c != NULL) {
        forbidden = true;
        test_cut(c, file, n);
        test_flipped(c, file, n);
        test_small(c);
        test_short_sections(c, file, n);
        test_reasons(c, file, n);
        test_loads(c, file, n);
    }
    free(file);
    rw_context_destroy(c);
    folder_remove();
    return finish();
}
