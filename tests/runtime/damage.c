/* Files of weights that are cut, changed, or made to do harm: an error or a set of tensors, never a
 * crash, a hang, or memory beyond what the bytes of the file account for. */
#include <sys/resource.h>
#include <time.h>

#include "build.h"
#include "check.h"
#include "runtime/weights.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_SANITIZER 1
#endif
#endif

/* The file under test, opened anew for each change. */
static const char *victim;

/* Opens the victim and reads every byte it hands out. */
static rw_status try_open(rw_message *m) {
    rw_weights *w = NULL;
    m->text[0] = '\0';
    rw_status s = rw_weights_open(victim, &w, m);
    CHECK((s == RW_OK) == (w != NULL), "status %d", s);
    CHECK(s == RW_OK || s == RW_BAD_FILE, "status %d: %s", s, m->text);
    CHECK(s == RW_OK || strncmp(m->text, victim, strlen(victim)) == 0, "no file named: %s", m->text);
    unsigned sum = 0;
    for (size_t i = 0; s == RW_OK && i < rw_weights_count(w); i++) {
        const rw_tensor *t = rw_weights_at(w, i);
        size_t n = 0;
        CHECK(rw_tensor_count(t, &n) == RW_OK && n * rw_dtype_bytes(t->dtype) == t->bytes, "bytes");
        for (size_t k = 0; k < t->bytes; k++)
            sum += ((const uint8_t *)t->data)[k];
        CHECK(rw_weights_find(w, t->name) == t, "%s is not found", t->name);
    }
    rw_weights_close(w);
    return sum == 1 ? s : s; /* the sum is used: the reads stay */
}

static void expect(const char *what, const void *data, size_t n, rw_status status,
                   const char *why) {
    rw_message m;
    spill(victim, data, n);
    rw_status s = try_open(&m);
    CHECK(s == status, "%s: status %d, %s", what, s, m.text);
    CHECK(s == RW_OK || strstr(m.text, why) != NULL, "%s: %s", what, m.text);
}

/* ---- cutting and changing sound files ------------------------------------------------------ */

/* Every prefix of a file. All are to be refused, but for .bin, which may end behind any tensor. */
static void cut_everywhere(const char *kind, const uint8_t *data, size_t n) {
    rw_message m;
    spill(victim, data, n);
    CHECK(try_open(&m) == RW_OK, "%s: %s", kind, m.text);
    for (size_t k = n; k-- > 0;) {
        if (truncate(victim, (off_t)k) != 0)
            abort();
        rw_status s = try_open(&m);
        CHECK(s == RW_BAD_FILE || (k > 0 && strcmp(kind, "ggmf") == 0), "%s cut at %zu", kind, k);
    }
}

/* `times` changes of one to three bytes, each byte of the file at least once where there are as
 * many; a new value is often one that is special. */
static void change_everywhere(const char *kind, const uint8_t *data, size_t n, int times) {
    static const uint8_t special[] = {0, 1, 0x7f, 0x80, 0xff, '{', '"', '(', '.'};
    uint64_t state = 11;
    rw_message m;
    int n_sound = 0;
    spill(victim, data, n);
    FILE *f = fopen(victim, "r+b");
    if (f == NULL)
        abort();
    setbuf(f, NULL);
    for (int i = 0; i < times; i++) {
        size_t at[3] = {(size_t)i % n, dice(&state) % n, dice(&state) % n};
        int changes = 1 + (int)(dice(&state) % 3);
        for (int k = 0; k < changes; k++) {
            uint32_t x = dice(&state);
            int value = x & 1 ? special[(x >> 1) % sizeof special] : (int)(x >> 1 & 255);
            fseek(f, (long)at[k], SEEK_SET);
            fputc(value, f);
        }
        n_sound += try_open(&m) == RW_OK;
        for (int k = 0; k < changes; k++) {
            fseek(f, (long)at[k], SEEK_SET);
            fputc(data[at[k]], f);
        }
    }
    fclose(f);
    CHECK(try_open(&m) == RW_OK, "%s: not what it was", kind);
    CHECK(n_sound < times, "%s: no change was noticed", kind);
}

static void make_small(const char *path) {
    float x[6] = {1, 2, 3, 4, 5, 6};
    uint8_t b[3] = {1, 0, 1};
    rw_tensor t[3] = {{.name = "a.weight", .dtype = RW_F32, .rank = 2, .shape = {2, 3}, .data = x,
                       .bytes = 24},
                      {.name = "b\xc3\xbc", .dtype = RW_BOOL, .rank = 1, .shape = {3}, .data = b,
                       .bytes = 3},
                      {.name = "s", .dtype = RW_F16, .rank = 0, .data = x, .bytes = 2}};
    static const char *const meta[] = {"step", "1", NULL};
    rw_message m = {""};
    CHECK(rw_weights_save(path, t, 3, meta, &m) == RW_OK, "%s", m.text);
}

static void test_small_files(void) {
    size_t n;
    make_small(in_folder("small.safetensors"));
    make_small(in_folder("small.pth"));
    uint8_t *p = slurp(in_folder("small.safetensors"), &n);
    cut_everywhere("safetensors", p, n);
    change_everywhere("safetensors", p, n, 8000);
    free(p);
    p = slurp(in_folder("small.pth"), &n);
    cut_everywhere("pth", p, n);
    change_everywhere("pth", p, n, 8000);
    free(p);
    const int64_t dims[] = {2, 32};
    float x[64] = {0};
    bytes f = {NULL, 0, 0};
    add_ggmf_header(&f, 101, 0);
    add_ggmf_tensor(&f, "emb.weight", 0, 2, dims, x, 256);
    add_ggmf_tensor(&f, "odd", 1, 2, dims, x, 128);
    add_ggmf_tensor(&f, "quantised", 8, 2, dims, x, 48);
    cut_everywhere("ggmf", f.p, f.n);
    change_everywhere("ggmf", f.p, f.n, 8000);
    free(f.p);
}

/* The awkward real files; without check sums of their data more changes get through. */
static void test_real_files(void) {
    static const char *const names[] = {"ref/odd.pth", "ref/odd_nested.pth",
                                        "ref/odd.expected.safetensors"};
    for (int i = 0; i < 3; i++) {
        size_t n;
        uint8_t *p = slurp(shared(names[i]), &n);
        cut_everywhere("real", p, n);
        change_everywhere("real", p, n, 12000);
        free(p);
    }
}

/* ---- claims: .safetensors ------------------------------------------------------------------ */

static void expect_header(const char *json, rw_status status, const char *why) {
    bytes b = {NULL, 0, 0};
    add_int(&b, strlen(json), 8);
    add_text(&b, json);
    add_int(&b, 0, 32);
    expect(json, b.p, b.n, status, why);
    free(b.p);
}

#define ONE(rest) "{\"a\":{" rest "}}"

static void test_safetensors_claims(void) {
    expect_header(ONE("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]"), RW_OK, "");
    expect_header("{}", RW_OK, "");
    expect_header(ONE("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,9]"), RW_BAD_FILE, "9 bytes");
    expect_header(ONE("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[32,40]"), RW_BAD_FILE, "40");
    expect_header(ONE("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]"), RW_BAD_FILE, "8 to 0");
    expect_header(ONE("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]"), RW_BAD_FILE, "-8");
    expect_header(ONE("\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]"), RW_BAD_FILE, "whole");
    expect_header(ONE("\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]"), RW_BAD_FILE, "whole");
    expect_header(ONE("\"dtype\":\"F8_E4M3\",\"shape\":[2],\"data_offsets\":[0,2]"), RW_BAD_FILE,
                  "F8_E4M3");
    expect_header(ONE("\"shape\":[2],\"data_offsets\":[0,2]"), RW_BAD_FILE, "dtype");
    expect_header(ONE("\"dtype\":\"F32\",\"data_offsets\":[0,2]"), RW_BAD_FILE, "shape");
    expect_header(ONE("\"dtype\":\"F32\",\"shape\":[2]"), RW_BAD_FILE, "data_offsets");
    expect_header(ONE("\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]"),
                  RW_BAD_FILE, "does not take");
    expect_header(ONE("\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,0]"),
                  RW_BAD_FILE, "JSON");
    expect_header(ONE("\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]"),
                  RW_BAD_FILE, "8 dimensions");
    expect_header("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
                  "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[3,7]}}", RW_BAD_FILE,
                  "overlap");
    expect_header("{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
                  "\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}", RW_BAD_FILE,
                  "JSON");
    expect_header("{\"\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", RW_BAD_FILE, "empty");
    expect_header("{\"__metadata__\":{\"a\":1}}", RW_BAD_FILE, "text");
    expect_header("{\"a\\u0000b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", RW_BAD_FILE,
                  "JSON");
    expect_header("{\"a\":[]}", RW_BAD_FILE, "object");
    expect_header("{\"a\":{\"b\":{\"c\":{}}}}", RW_BAD_FILE, "nests");
    expect_header("{\"a\":1}garbage", RW_BAD_FILE, "JSON");
    bytes b = {NULL, 0, 0};
    for (uint64_t length = 10; length != 0; length <<= 1) { /* up to 2^63 and beyond */
        reset(&b);
        add_int(&b, length, 8);
        add_text(&b, "{}");
        expect("a length", b.p, b.n, RW_BAD_FILE, "");
    }
    /* 4 MB of brackets, and of empty objects */
    for (int kind = 0; kind < 2; kind++) {
        reset(&b);
        add_int(&b, 4000006, 8);
        add_text(&b, "{\"a\":");
        for (int i = 0; i < (kind == 0 ? 4000001 : 1000000); i++)
            add_text(&b, kind == 0 ? "[" : "{},,");
        add_text(&b, "}");
        expect("depth", b.p, b.n, RW_BAD_FILE, "nests");
    }
    free(b.p);
}

/* ---- claims: .pth -------------------------------------------------------------------------- */

static const float four[4] = {1, 2, 3, 4};

static void expect_pickle(const char *what, const bytes *pickle, rw_status status, const char *why) {
    archive z = {.n = 0};
    make_pth(&z, pickle, four, 4);
    expect(what, z.file.p, z.file.n, status, why);
    reset_archive(&z);
}

/* {"w": a view of the four floats} */
static void expect_view(int64_t count, int64_t offset, int rank, const int64_t *shape,
                        const int64_t *stride, rw_status status, const char *why) {
    bytes p = {NULL, 0, 0};
    add_text(&p, "\x80\x02}");
    p_text(&p, "w");
    p_tensor(&p, "0", count, offset, rank, shape, stride);
    add_text(&p, "s.");
    expect_pickle("a view", &p, status, why);
    free(p.p);
}

static void test_views(void) {
    const int64_t huge = (int64_t)1 << 62, big = (int64_t)1 << 40;
#define VIEW(count, offset, rank, status, why, ...)                                                \
    do {                                                                                           \
        const int64_t d[][8] = __VA_ARGS__;                                                        \
        expect_view(count, offset, rank, d[0], d[1], status, why);                                 \
    } while (0)
    VIEW(4, 0, 1, RW_OK, "", {{4}, {1}});
    VIEW(4, 1, 1, RW_BAD_FILE, "beyond", {{4}, {1}});
    VIEW(4, 0, 1, RW_BAD_FILE, "beyond", {{3}, {2}});
    VIEW(4, 4, 0, RW_BAD_FILE, "beyond", {{0}, {0}});
    VIEW(4, 5, 1, RW_BAD_FILE, "beyond", {{0}, {1}});
    VIEW(4, huge, 1, RW_BAD_FILE, "beyond", {{1}, {1}});
    VIEW(4, INT64_MAX, 2, RW_BAD_FILE, "beyond", {{2, 2}, {huge, huge}});
    VIEW(4, 0, 2, RW_BAD_FILE, "beyond", {{2, 2}, {INT64_MAX, INT64_MAX}});
    VIEW(4, 0, 1, RW_BAD_FILE, "expanded", {{huge / 8}, {0}});
    VIEW(4, 0, 1, RW_BAD_FILE, "expanded", {{big}, {0}});
    VIEW(4, 0, 1, RW_OK, "", {{200000}, {0}});
    VIEW(4, 0, 2, RW_BAD_FILE, "counted", {{huge, huge}, {0, 0}});
    VIEW(4, 0, 1, RW_BAD_FILE, "whole number", {{-1}, {1}});
    VIEW(4, 0, 1, RW_BAD_FILE, "whole number", {{1}, {-1}});
    VIEW(4, -1, 1, RW_BAD_FILE, "not made of", {{1}, {1}});
    VIEW(5, 0, 1, RW_BAD_FILE, "5 elements", {{1}, {1}});
    VIEW(huge, 0, 1, RW_BAD_FILE, "elements", {{1}, {1}});
    VIEW(-1, 0, 1, RW_BAD_FILE, "storage", {{1}, {1}});
#undef VIEW
}

/* Many views, each within the bound, that together are not. */
static void test_many_views(void) {
    bytes p = {NULL, 0, 0};
    const int64_t shape[] = {200000}, stride[] = {0};
    add_text(&p, "\x80\x02}(");
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "w%d", i);
        p_text(&p, name);
        p_tensor(&p, "0", 4, 0, 1, shape, stride);
    }
    add_text(&p, "u.");
    expect_pickle("many views", &p, RW_BAD_FILE, "expanded");
    free(p.p);
}

static void expect_ops(const char *ops, size_t n, rw_status status, const char *why) {
    bytes p = {NULL, 0, 0};
    add(&p, ops, n);
    expect_pickle(ops, &p, status, why);
    free(p.p);
}

#define OPS(text, status, why) expect_ops(text, sizeof(text) - 1, status, why)

static void test_pickles(void) {
    OPS("\x80\x02}.", RW_OK, "");
    OPS("\x80\x02N.", RW_OK, "");
    OPS("\x80\x02" "cos\nsystem\n(X\x02\0\0\0lstR.", RW_BAD_FILE, "os.system");
    OPS("\x80\x04\x8c\x05posix\x8c\x06system\x93.", RW_BAD_FILE, "posix.system");
    OPS("\x80\x02" "c__builtin__\neval\n.", RW_BAD_FILE, "eval");
    OPS("\x80\x02" "ctorch\n\n.", RW_BAD_FILE, "torch.");
    OPS("\x80\x02" "c\x1b[2J\nx\n.", RW_BAD_FILE, "?[2J.x");
    OPS("\x80\x02i", RW_BAD_FILE, "0x69");
    OPS("\x80\x01.", RW_BAD_FILE, "protocol");
    OPS("\x80\x02.", RW_BAD_FILE, "empty stack");
    OPS("\x80\x02(.", RW_BAD_FILE, "empty stack");
    OPS("\x80\x02}(K\x01u.", RW_BAD_FILE, "without a value");
    OPS("\x80\x02t.", RW_BAD_FILE, "mark");
    OPS("\x80\x02K\x01u.", RW_BAD_FILE, "mark");
    OPS("\x80\x02]K\x01K\x01s.", RW_BAD_FILE, "no dict");
    OPS("\x80\x02}K\x01" "a.", RW_BAD_FILE, "no list");
    OPS("\x80\x02K\x01R.", RW_BAD_FILE, "empty stack");
    OPS("\x80\x02)NR", RW_BAD_FILE, "cannot be called");
    OPS("\x80\x02)Q.", RW_BAD_FILE, "storage");
    OPS("\x80\x02NQ.", RW_BAD_FILE, "storage");
    OPS("\x80\x02Nr\xff\xff\xff\xff.", RW_BAD_FILE, "too high");
    OPS("\x80\x02h\x07.", RW_BAD_FILE, "did not remember");
    OPS("\x80\x02j\xff\xff\xff\xff.", RW_BAD_FILE, "did not remember");
    OPS("\x80\x02X\xff\xff\xff\xff.", RW_BAD_FILE, "ends inside");
    OPS("\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", RW_BAD_FILE, "ends inside");
    OPS("\x80\x02\x8b\xff\xff\xff\xff.", RW_BAD_FILE, "ends inside");
    OPS("\x80\x02" "ctorch._utils\n_rebuild_tensor_v2\n(NK\x01))tR.", RW_BAD_FILE, "not made of");
    OPS("\x80\x02" "ctorch._utils\n_rebuild_parameter\n(NtR.", RW_BAD_FILE, "no tensor");
    OPS("\x80\x02" "ctorch\nSize\n)R.", RW_BAD_FILE, "no tuple");
    OPS("\x80\x02" "ctorch\nFloatStorage\n)R.", RW_BAD_FILE, "cannot be called");
    OPS("\x80\x02", RW_BAD_FILE, "ends");
    OPS("", RW_BAD_FILE, "ends");
    OPS("\x80\x02]q\x01h\x01" "a.", RW_BAD_FILE, "deep"); /* a list that holds itself */
    OPS("\x80\x02}q\x01X\x01\0\0\0ah\x01s.", RW_BAD_FILE, "deep");
}

/* Changes in a pickle whose check sum is right all the same. */
static void test_changed_pickles(void) {
    const int64_t shape[] = {2, 2}, stride[] = {2, 1};
    uint64_t state = 17;
    rw_message m;
    bytes p = {NULL, 0, 0};
    add_text(&p, "\x80\x02}(");
    p_text(&p, "model");
    add_text(&p, "}q\x01");
    p_text(&p, "w");
    p_tensor(&p, "0", 4, 0, 2, shape, stride);
    add_text(&p, "s");
    p_text(&p, "list");
    add_text(&p, "](K\x01");
    p_tensor(&p, "0", 4, 1, 1, shape, stride);
    add_text(&p, "h\x01" "eu.");
    expect_pickle("sound", &p, RW_OK, "");
    for (int i = 0; i < 20000; i++) {
        static const char ops[] = "(.0)]}NKMJGXCBaesuqrhjctQRb\x80\x85\x88\x8a\x8c\x93\x94";
        size_t at[2] = {(size_t)i % p.n, dice(&state) % p.n};
        uint8_t was[2] = {p.p[at[0]], p.p[at[1]]};
        for (int k = 0; k < 1 + i % 2; k++) {
            uint32_t x = dice(&state);
            p.p[at[k]] = (uint8_t)(x & 1 ? ops[(x >> 1) % (sizeof ops - 1)] : (int)(x >> 1 & 255));
        }
        archive z = {.n = 0};
        make_pth(&z, &p, four, 4);
        spill(victim, z.file.p, z.file.n);
        (void)try_open(&m);
        reset_archive(&z);
        p.p[at[1]] = was[1];
        p.p[at[0]] = was[0];
    }
    free(p.p);
}

/* Depth, and dicts that hold the dict before them twice: 2^15 leaves from a few bytes. */
static void test_growth(void) {
    const int64_t one[] = {1};
    bytes p = {NULL, 0, 0};
    add_text(&p, "\x80\x02");
    for (int i = 0; i < 1000000; i++)
        add_text(&p, "]");
    for (int i = 0; i < 999999; i++)
        add_text(&p, "a");
    add_text(&p, ".");
    expect_pickle("a million lists", &p, RW_BAD_FILE, "deep");
    for (int levels = 3; levels <= 15; levels += 12) {
        reset(&p);
        add_text(&p, "\x80\x02");
        p_tensor(&p, "0", 4, 0, 1, one, one);
        add_text(&p, "q\x01");
        for (int i = 0; i < levels; i++) {
            add_text(&p, "0}("); /* drop what was remembered; a dict of it, twice */
            p_text(&p, "a");
            add_text(&p, "h\x01");
            p_text(&p, "b");
            add_text(&p, "h\x01uq\x01");
        }
        add_text(&p, ".");
        expect_pickle("dicts in dicts", &p, levels == 3 ? RW_OK : RW_BAD_FILE, "again and again");
    }
    /* names: a long key on each of a few levels, over many leaves */
    reset(&p);
    add_text(&p, "\x80\x02}q\x02(");
    for (int i = 0; i < 200; i++) {
        p_int(&p, i);
        if (i == 0) {
            p_tensor(&p, "0", 4, 0, 1, one, one);
            add_text(&p, "q\x01");
        } else {
            add_text(&p, "h\x01");
        }
    }
    add_text(&p, "u0}(");
    char key[4000];
    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = '\0';
    for (int i = 0; i < 5; i++) {
        key[0] = (char)('a' + i);
        p_text(&p, key);
        add_text(&p, "h\x02");
    }
    add_text(&p, "u.");
    expect_pickle("long names", &p, RW_BAD_FILE, "names");
    free(p.p);
}

static void expect_archive(archive *z, rw_status status, const char *why) {
    end_archive(z);
    expect(why, z->file.p, z->file.n, status, why);
    reset_archive(z);
}

static void test_archives(void) {
    static const char pickled[] = "\x80\x02}.";
    archive z = {.n = 0};
    add_entry(&z, "a/x", "1", 1);
    expect_archive(&z, RW_BAD_FILE, "no data.pkl");
    expect_archive(&z, RW_BAD_FILE, "no data.pkl");
    z.method = 8;
    add_entry(&z, "a/data.pkl", pickled, 4);
    expect_archive(&z, RW_BAD_FILE, "compressed");
    z.flags = 1;
    add_entry(&z, "a/data.pkl", pickled, 4);
    expect_archive(&z, RW_BAD_FILE, "encrypted");
    z.spoil = 1;
    add_entry(&z, "a/data.pkl", pickled, 4);
    expect_archive(&z, RW_BAD_FILE, "check sum");
    add_entry(&z, "a/data.pkl", pickled, 4);
    add_entry(&z, "a/byteorder", "big", 3);
    expect_archive(&z, RW_BAD_FILE, "big-endian");
    add_entry(&z, "a/data.pkl", pickled, 4);
    add_entry(&z, "a/data.pkl", pickled, 4);
    expect_archive(&z, RW_BAD_FILE, "twice");
    add_entry(&z, "data.pkl", pickled, 4);
    expect_archive(&z, RW_OK, "");
    /* a storage with a wrong check sum; without its entry */
    for (int k = 0; k < 2; k++) {
        const int64_t shape[] = {4}, stride[] = {1};
        bytes p = {NULL, 0, 0};
        add_text(&p, "\x80\x02}");
        p_text(&p, "w");
        p_tensor(&p, "0", 4, 0, 1, shape, stride);
        add_text(&p, "s.");
        add_entry(&z, "a/data.pkl", p.p, p.n);
        z.spoil = 1;
        add_entry(&z, k == 0 ? "a/data/0" : "a/data/1", four, sizeof four);
        expect_archive(&z, RW_BAD_FILE, k == 0 ? "check sum" : "not in the file");
        free(p.p);
    }
    /* numbers of the directory that lie: each 32-bit field of an entry, of the ends */
    z.is_wide = 1;
    add_entry(&z, "a/data.pkl", pickled, 4);
    end_archive(&z);
    for (size_t at = z.file.n - 22 - 20 - 56 - 100; at + 4 <= z.file.n; at++) {
        static const uint32_t lies[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffff0};
        for (int k = 0; k < 6; k++) {
            uint8_t was[4];
            rw_message m;
            memcpy(was, z.file.p + at, 4);
            memcpy(z.file.p + at, &lies[k], 4);
            spill(victim, z.file.p, z.file.n);
            (void)try_open(&m);
            memcpy(z.file.p + at, was, 4);
        }
    }
    reset_archive(&z);
}

/* ---- claims: .bin, and strangers ----------------------------------------------------------- */

static void expect_ggmf(int version, int type, int64_t a, int64_t b, const char *name, size_t n,
                        const char *why) {
    bytes f = {NULL, 0, 0};
    const int64_t dims[] = {a, b};
    uint8_t data[256] = {0};
    add_ggmf_header(&f, version, 0);
    add_ggmf_tensor(&f, name, type, 2, dims, data, n);
    expect(why, f.p, f.n, RW_BAD_FILE, why);
    free(f.p);
}

static void test_ggmf_claims(void) {
    expect_ggmf(101, 0, 0x7fffffff, 0x7fffffff, "w", 16, "counted");
    expect_ggmf(101, 0, 0x7fffffff, 1, "w", 16, "left");
    expect_ggmf(101, 0, -1, 1, "w", 16, "negative");
    expect_ggmf(101, 8, 0x7fffffff, 32, "w", 24, "left");
    expect_ggmf(101, 8, 1, 31, "w", 24, "multiple of 32");
    expect_ggmf(100, 8, 1, 32, "w", 24, "quantise the model again");
    expect_ggmf(101, 4, 1, 32, "w", 24, "type 4");
    expect_ggmf(101, -1, 1, 32, "w", 24, "type -1");
    expect_ggmf(102, 0, 1, 1, "w", 4, "version 102");
    expect_ggmf(101, 0, 1, 1, "\xff", 4, "UTF-8");
    expect_ggmf(101, 0, 1, 1, "", 4, "no tensor begins");
    bytes f = {NULL, 0, 0};
    for (int64_t rank = -1; rank < 12; rank += 10) {
        reset(&f);
        add_ggmf_header(&f, 101, 0);
        add_int(&f, (uint64_t)rank, 4);
        add_int(&f, 1, 4);
        add_int(&f, 0, 40);
        expect("rank", f.p, f.n, RW_BAD_FILE, "no tensor begins");
    }
    reset(&f);
    const int64_t dims[] = {1, 1};
    add_ggmf_header(&f, 101, 0);
    add_ggmf_tensor(&f, "w", 0, 2, dims, four, 4);
    add_ggmf_tensor(&f, "w", 0, 2, dims, four, 4);
    expect("two of one name", f.p, f.n, RW_BAD_FILE, "two tensors are named 'w'");
    free(f.p);
}

static void test_strangers(void) {
    static const char old[] = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
    expect("nothing", "", 0, RW_BAD_FILE, "empty");
    expect("old torch", old, sizeof old - 1, RW_BAD_FILE, "newer torch");
    expect("GGUF", "GGUF\3\0\0\0{\0\0\0\0\0\0\0", 16, RW_BAD_FILE, "GGUF");
    expect("npy", "\x93NUMPY\1\0", 8, RW_BAD_FILE, ".npy");
    expect("pointer", "version https://git-lfs.github.com/spec/v1\n", 43, RW_BAD_FILE, "git lfs");
    expect("page", "<!DOCTYPE html>", 15, RW_BAD_FILE, "web page");
    expect("text", "hello", 5, RW_BAD_FILE, "neither");
}

/* From here on the process has `mb` of memory: what a claim asks for beyond fails, and since try_open
 * allows no failure for memory, that is seen. A sanitizer needs more than any limit. */
static void limit_memory(unsigned mb) {
#ifdef HAS_SANITIZER
    (void)mb;
#else
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_AS, &limit) == 0, "getrlimit");
    limit.rlim_cur = (rlim_t)mb << 20;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0, "setrlimit");
#endif
}

int main(void) {
    bool has_shared = shared("README.md") != NULL;
    char path[600];
    folder_make();
    snprintf(path, sizeof path, "%s", in_folder("victim"));
    victim = path;
    clock_t start = clock();
    limit_memory(48);
    test_small_files();
    limit_memory(400); /* the files of some MB that follow may take more */
    test_safetensors_claims();
    test_views();
    test_many_views();
    test_pickles();
    test_changed_pickles();
    test_growth();
    test_archives();
    test_ggmf_claims();
    test_strangers();
    if (has_shared)
        test_real_files();
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    CHECK(seconds < 120, "%g seconds of processor for some 90000 files", seconds);
    folder_remove();
    return has_shared ? finish() : finish_without_shared();
}
