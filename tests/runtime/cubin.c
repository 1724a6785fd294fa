/* Machine code for NVIDIA's GPUs: what of a file the driver is given, that the same is launched as from text, which
 * of several a device gets, and files that are cut, changed, or lie. Arguments: the library of fake_cuda.c, the
 * assembler that is none (fake_ptxas.py), and one that is, if there is one. */
#include <elf.h>
#include <sha2.h>

#include "faked.h"
#include "runtime/format.h"

static const char *cuda, *assembler;
static char ptx[300], old[300], new[300], both[300], twice[300];
typedef const void *loaded(size_t *bytes);
static loaded *code; /* of the fake: what was loaded last */

/* ---- what is loaded ------------------------------------------------------------------------------- */

static uint64_t number(const uint8_t *p) {
    uint64_t n = 0;
    for (int i = 7; i >= 0; i--) n = n << 8 | p[i];
    return n;
}

/* The code of a file for a target: all but the trailer, or an entry of the bundle. */
static const uint8_t *code_of(const uint8_t *file, size_t n, const char *target, size_t *bytes) {
    static const char magic[] = "__CLANG_OFFLOAD_BUNDLE__";
    char id[80];
    *bytes = n - RW_TRAILER_BYTES;
    if (memcmp(file, magic, sizeof magic - 1) != 0) return file;
    snprintf(id, sizeof id, "cuda-nvptx64-nvidia-cuda--%s", target);
    const uint8_t *at = file + sizeof magic - 1, *found = NULL;
    uint64_t entries = number(at);
    at += 8;
    for (uint64_t i = 0; i < entries; i++) {
        uint64_t length = number(at + 16);
        if (length == strlen(id) && memcmp(at + 24, id, length) == 0) {
            found = file + number(at);
            *bytes = (size_t)number(at + 8);
        }
        at += 24 + length;
    }
    return found;
}

/* A device is given the code for that target, whole, and runs with it. */
static void gets(const char *path, const char *device, const char *target) {
    on x;
    size_t n, bytes, wanted = 0;
    uint8_t *file = slurp(path, &n);
    const uint8_t *part = code_of(file, n, target, &wanted);
    pretend(device);
    GOOD(open_context(&x, "cuda:0", cuda));
    if (x.c != NULL) GOOD(rw_program_load(x.c, path, &x.p, &m));
    if (x.p != NULL) {
        const void *given = code(&bytes);
        CHECK(given != NULL && bytes <= wanted && wanted < bytes + 16 &&
                  memcmp(given, part, bytes) == 0,
              "%s on %s: %zu bytes of %zu", path, device, bytes, wanted);
        CHECK(strcmp(rw_program_target(x.p), target) == 0, "%s on %s: %s", path, device,
              rw_program_target(x.p));
        GOOD(open_session(&x));
        if (x.s != NULL) launches(&x, "step", 0, true);
    }
    close_on(&x);
    CHECK(count("faults") == 0 && count("live") == 0, "%s: %ld faults, %ld left", path,
          count("faults"), count("live"));
    free(file);
}

/* What all entries of a file launch: kernels, workgroups, numbers. */
static long trace_of(const char *path) {
    on x;
    count("start");
    pretend("sm_80");
    GOOD(open_context(&x, "cuda:0", cuda));
    if (x.c != NULL) GOOD(rw_program_load(x.c, path, &x.p, &m));
    if (x.p != NULL) GOOD(open_session(&x));
    for (int i = 0; i < 3 && x.s != NULL; i++) {
        GOOD(call(&x, "step", 0));
        GOOD(call(&x, "forward", T));
        GOOD(call(&x, "train", T));
    }
    close_on(&x);
    CHECK(count("trace") != 0, "%s: nothing was launched", path);
    return count("trace");
}

static void same_launches(void) {
    long first = trace_of(ptx), second = trace_of(old);
    CHECK(first == second, "other launches than from text: %lx, %lx", first, second);
}

static void sign(uint8_t *file, size_t size) {
    SHA2_CTX h;
    SHA256Init(&h);
    SHA256Update(&h, file, size - RW_HASH_BYTES);
    SHA256Final(file + size - RW_HASH_BYTES, &h);
}

/* Two that run there: the one that is nearer. Both images are for sm_80, marked, and one is called sm_86. */
static void nearest(const uint8_t *file, size_t n, int newer, const char *device, int wanted) {
    static const char name[] = "--sm_80";
    on x;
    size_t bytes;
    uint8_t *copy = malloc(n);
    int seen = 0, marked = 0;
    memcpy(copy, file, n);
    for (size_t i = 0; i < n && marked < 2; i++) {
        if (memcmp(copy + i, name, sizeof name - 1) == 0 && seen++ == newer)
            copy[i + sizeof name - 2] = '6';
        if (memcmp(copy + i, ELFMAG, SELFMAG) == 0) copy[i + EI_NIDENT - 1] = (uint8_t)++marked;
    }
    sign(copy, n);
    pretend(device);
    GOOD(open_context(&x, "cuda:0", cuda));
    if (x.c != NULL) GOOD(rw_program_load_memory(x.c, "two", copy, n, &x.p, &m));
    const uint8_t *given = code(&bytes);
    CHECK(x.p != NULL && given != NULL && given[EI_NIDENT - 1] == wanted, "%d, %s: not image %d",
          newer, device, wanted);
    close_on(&x);
    free(copy);
}

static void all_nearest(void) {
    size_t n;
    uint8_t *file = slurp(twice, &n);
    for (int newer = 0; newer < 2; newer++) {
        nearest(file, n, newer, "", newer + 1);
        nearest(file, n, newer, "sm_80", 2 - newer);
    }
    free(file);
}

/* Where a caller's bytes lie is the caller's business. */
static void anywhere(void) {
    on x;
    size_t n;
    uint8_t *file = slurp(old, &n), *odd = malloc(n + 1);
    memcpy(odd + 1, file, n);
    pretend("");
    GOOD(open_context(&x, "cuda:0", cuda));
    if (x.c != NULL) GOOD(rw_program_load_memory(x.c, "odd", odd + 1, n, &x.p, &m));
    close_on(&x);
    CHECK(count("faults") == 0, "%ld faults", count("faults"));
    free(odd);
    free(file);
}

/* ---- the wrong device ----------------------------------------------------------------------------- */

static void refused(const char *device, const char *path, const char *why) {
    on x;
    pretend(device);
    GOOD(open_context(&x, "cuda:0", cuda));
    if (x.c != NULL) FAILS(RW_WRONG_TARGET, why, rw_program_load(x.c, path, &x.p, &m));
    close_on(&x);
}

static void devices(void) {
    on x;
    gets(old, "", "sm_80"); /* sm_86 */
    gets(old, "sm_80", "sm_80");
    gets(new, "sm_90", "sm_90");
    gets(both, "", "sm_80");
    gets(both, "sm_90", "sm_90");
    refused(
        "sm_90", old,
        "it holds machine code for sm_80 (cubin), and cuda:0 is sm_90: compile it with "
        "--target=sm_90, if 'rwkvc --help' lists that, or as .ptx, which newer devices run too");
    refused("", new,
            "machine code for sm_90 (cubin), and cuda:0 is sm_86: compile it with "
            "--target=sm_80, if");
    refused("sm_75", both, "machine code for sm_80, sm_90 (cubin), and cuda:0 is sm_75");
    GOOD(open_context(&x, NULL, NULL));
    if (x.c == NULL) return;
    FAILS(RW_WRONG_TARGET, "code for sm_80, sm_90, a GPU: run it with --device cuda:0",
          rw_program_load(x.c, both, &x.p, &m));
    GOOD(rw_program_read(x.c, both, &x.p, &m));
    if (x.p != NULL)
        CHECK(strcmp(rw_program_target(x.p), "sm_80, sm_90") == 0, "%s", rw_program_target(x.p));
    close_on(&x);
    pretend("image");
    GOOD(open_context(&x, "cuda:0", cuda));
    if (x.c == NULL) return;
    FAILS(RW_DRIVER, "cuda:0: the driver does not take this machine code; it may be older than",
          rw_program_load(x.c, old, &x.p, &m));
    close_on(&x);
    pretend("");
}

/* ---- damage --------------------------------------------------------------------------------------- */

static uint64_t state = 88172645463325252u;
static uint64_t draw(void) {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static rw_context *reader; /* of a processor: files are listed, not loaded */
static size_t n_read, n_tried;

/* Cut, or with a bit changed: refused before anybody looks at it. */
static void damaged(const char *path) {
    size_t n;
    uint8_t *file = slurp(path, &n);
    rw_program *p = NULL;
    for (size_t k = 0; k < 3000; k++) {
        size_t cut = k < 400 ? k : draw() % n;
        FAILS(RW_BAD_FILE, "cut", rw_program_load_memory(reader, "cut", file, cut, &p, &m));
    }
    for (size_t k = 0; k < 300; k++) {
        size_t at = k < 8 * RW_TRAILER_BYTES ? 8 * (n - RW_TRAILER_BYTES) + k : draw() % (8 * n);
        file[at / 8] ^= (uint8_t)(1u << at % 8);
        FAILS(RW_BAD_FILE, "changed", rw_program_load_memory(reader, "changed", file, n, &p, &m));
        file[at / 8] ^= (uint8_t)(1u << at % 8);
    }
    free(file);
}

/* n bytes at `at` become another number, and the file is signed: it is read, or refused with a reason. */
static rw_status lies(uint8_t *file, size_t size, size_t at, const void *what, size_t n) {
    uint8_t was[8];
    rw_program *p = NULL;
    memcpy(was, file + at, n);
    memcpy(file + at, what, n);
    sign(file, size);
    spill(in_folder("lies.cubin"), file, size);
    m.text[0] = '\0';
    rw_status s = rw_program_read(reader, in_folder("lies.cubin"), &p, &m);
    CHECK(s == RW_OK || ((s == RW_BAD_FILE || s == RW_WRONG_TARGET) && m.text[0] != '\0'),
          "at %zu: %s: %s", at, rw_status_name(s), m.text);
    rw_program_destroy(p);
    memcpy(file + at, was, n);
    n_read += s == RW_OK;
    n_tried++;
    return s;
}

static void all_lies(uint8_t *file, size_t size, size_t from, size_t to) {
    const uint64_t special[] = {0,          1,          7,          0xffff,    size,      size - 1,
                                0x7fffffff, 0xffffffff, 1ull << 62, INT64_MAX, UINT64_MAX};
    for (size_t at = from; at + 8 <= to; at += 4)
        for (size_t k = 0; k < sizeof special / sizeof *special; k++) {
            lies(file, size, at, &special[k], 8);
            lies(file, size, at, &special[k], 4);
            lies(file, size, at, &special[k], 2);
        }
}

/* Where the section of that type, or with that name, has its row in the table. */
static size_t row_of(const uint8_t *image, uint32_t type, const char *name, Elf64_Shdr *s) {
    Elf64_Ehdr h;
    Elf64_Shdr names;
    memcpy(&h, image, sizeof h);
    memcpy(&names, image + h.e_shoff + h.e_shstrndx * sizeof names, sizeof names);
    for (uint32_t i = 0; i < h.e_shnum; i++) {
        size_t at = h.e_shoff + i * sizeof *s;
        memcpy(s, image + at, sizeof *s);
        const char *own = (const char *)image + names.sh_offset + s->sh_name;
        if (s->sh_type == type && (name == NULL || strcmp(own, name) == 0)) return at;
    }
    return 0;
}

static size_t symbol_of(const uint8_t *image, const Elf64_Shdr *table, const char *name) {
    Elf64_Ehdr h;
    Elf64_Shdr strings;
    memcpy(&h, image, sizeof h);
    memcpy(&strings, image + h.e_shoff + table->sh_link * sizeof strings, sizeof strings);
    for (size_t at = table->sh_offset; at < table->sh_offset + table->sh_size;
         at += sizeof(Elf64_Sym)) {
        Elf64_Sym s;
        memcpy(&s, image + at, sizeof s);
        if (strcmp((const char *)image + strings.sh_offset + s.st_name, name) == 0) return at;
    }
    return 0;
}

/* Every number between the file's first byte and the manifest is changed, and signed. */
static void test_lies(void) {
    size_t n;
    Elf64_Ehdr h;
    Elf64_Shdr s;
    uint8_t *file = slurp(old, &n);
    memcpy(&h, file, sizeof h);
    all_lies(file, n, 16, sizeof h);
    size_t names = h.e_shoff + h.e_shstrndx * sizeof s;
    all_lies(file, n, names, names + sizeof s);
    size_t at = row_of(file, SHT_PROGBITS, ".nv.global.init", &s);
    CHECK(at > 0, "no section of data");
    all_lies(file, n, at, at + sizeof s);
    at = row_of(file, SHT_SYMTAB, NULL, &s);
    CHECK(at > 0, "no symbols");
    all_lies(file, n, at, at + sizeof s);
    at = symbol_of(file, &s, RW_MANIFEST_SYMBOL);
    CHECK(at > 0, "no symbol of the manifest");
    all_lies(file, n, at, at + sizeof(Elf64_Sym));
    free(file);
    file = slurp(both, &n);
    all_lies(file, n, 0, 24 + 8 + 3 * 24 + 120); /* the bundle's table */
    free(file);
    CHECK(n_read > 100 && n_read < n_tried - 1000, "%zu of %zu are read", n_read, n_tried);
}

/* Some lies by name. */
static void reasons(void) {
    size_t n;
    Elf64_Shdr s;
    uint64_t big = UINT64_MAX, huge = (uint64_t)1 << 62;
    uint16_t type = ET_DYN, machine = 40, last = 0xffff;
    uint8_t *file = slurp(old, &n), x = 'x';
    row_of(file, SHT_SYMTAB, NULL, &s);
    size_t symbol = symbol_of(file, &s, RW_MANIFEST_SYMBOL);
#define SAYS(status, part, ...)                                                                    \
    do {                                                                                           \
        rw_status s_ = lies(file, n, __VA_ARGS__);                                                 \
        CHECK(s_ == (status) && strstr(m.text, part) != NULL, "%s", m.text);                       \
    } while (0)
    SAYS(RW_BAD_FILE, "its ELF headers lie outside", offsetof(Elf64_Ehdr, e_shoff), &big, 8);
    SAYS(RW_BAD_FILE, "is no shared object", offsetof(Elf64_Ehdr, e_type), &type, 2);
    SAYS(RW_BAD_FILE, "is no shared object", offsetof(Elf64_Ehdr, e_machine), &machine, 2);
    SAYS(RW_BAD_FILE, "its manifest lies outside", symbol + offsetof(Elf64_Sym, st_size), &huge, 8);
    SAYS(RW_BAD_FILE, "its manifest lies outside", symbol + offsetof(Elf64_Sym, st_value), &big, 8);
    SAYS(RW_BAD_FILE, "its manifest lies outside", symbol + offsetof(Elf64_Sym, st_shndx), &last,
         2);
    SAYS(RW_BAD_FILE, "it has no manifest (symbol rwkvc_manifest)", symbol, &x, 1);
    size_t table = row_of(file, SHT_SYMTAB, NULL, &s);
    SAYS(RW_BAD_FILE, "its symbols lie outside", table + offsetof(Elf64_Shdr, sh_size), &huge, 8);
    free(file);
    file = slurp(both, &n);
    SAYS(RW_BAD_FILE, "the bundle's table lies outside", 24, &huge, 8);
    SAYS(RW_BAD_FILE, "the bundle's table lies outside", 24 + 8 + 16, &huge, 8);
    free(file);
}

/* ---- files ---------------------------------------------------------------------------------------- */

static bool compile(const char *first, const char *second, const char *by, char *path,
                    const char *name) {
    static const char *const names[] = {"init", "start", "step", "forward", "grad", "train", NULL};
    const char *const targets[] = {first, second, NULL};
    snprintf(path, 300, "%s/%s", folder, name);
    Arena *a = arena_new();
    const char *wrong = compile_for(a, tiny_text, names, targets, DT_F32,
                                    &(FileTo){.path = path, .program = "tiny", .ptxas = by});
    CHECK(wrong == NULL, "%s: %s", name, wrong);
    arena_free(a);
    return wrong == NULL;
}

static bool compile_all(void) {
    return compile("sm_80", NULL, NULL, ptx, "a.ptx") &&
           compile("sm_80", NULL, assembler, old, "old.cubin") &&
           compile("sm_90", NULL, assembler, new, "new.cubin") &&
           compile("sm_80", "sm_90", assembler, both, "both.cubin") &&
           compile("sm_80", "sm_80", assembler, twice, "twice.cubin");
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    cuda = argv[1];
    void *fake = dlopen(cuda, RTLD_NOW | RTLD_LOCAL);
    folder_make();
    CHECK(find_in(fake, "fake_count", &count) && find_in(fake, "fake_code", &code), "no fake");
    GOOD(rw_context_create(&(rw_context_options){.threads = 1}, &reader, &m));
    for (int i = 2; i < argc && code != NULL; i++) {
        assembler = argv[i];
        if (argv[i][0] == '\0' || !compile_all()) continue;
        same_launches();
        anywhere();
        devices();
        all_nearest();
        damaged(old);
        damaged(both);
        if (i == 2) test_lies();
        reasons();
    }
    if (argc < 4 || argv[3][0] == '\0') printf("not with NVIDIA's assembler: there is none here\n");
    rw_context_destroy(reader);
    folder_remove();
    return finish();
}
