/* Which code of a file a device is given. A file holds one ELF image (of a processor or of one GPU), several
 * of GPUs of one maker in an offload bundle, or text for NVIDIA's driver. The hash of the whole is checked
 * before anything else, whatever it holds. */
#include <elf.h>
#include <sha2.h>
#include <stdio.h>
#include <string.h>

#include "program.h"

enum { AMD_MACHINE = 224, MOST_ENTRIES = 64, MOST_NAME = 200 };

static bool inside(uint64_t at, uint64_t n, size_t bytes) { return at <= bytes && n <= bytes - at; }

/* ---- bundles ------------------------------------------------------------------------------------- */

static const char bundle_magic[] = "__CLANG_OFFLOAD_BUNDLE__";
static const char *const gpu_entries[] = {"hipv4-amdgcn-amd-amdhsa--",
                                          "cuda-nvptx64-nvidia-cuda--"};
enum { MAGIC = sizeof bundle_magic - 1 };

static uint64_t read_u64(const uint8_t *p) {
    uint64_t n = 0;
    for (int i = 7; i >= 0; i--) n = n << 8 | p[i];
    return n;
}

typedef struct bundle_entry {
    const uint8_t *image;
    size_t bytes;
    char processor[64]; /* "" of the host's */
} bundle_entry;

/* The entry whose row stands at *at; false: it lies outside. */
static bool next_entry(const uint8_t *data, size_t bytes, size_t *at, bundle_entry *out) {
    if (!inside(*at, 24, bytes)) return false;
    uint64_t from = read_u64(data + *at), n = read_u64(data + *at + 8),
             name = read_u64(data + *at + 16);
    const char *id = (const char *)data + *at + 24;
    if (name > MOST_NAME || !inside(*at + 24, name, bytes) || !inside(from, n, bytes)) return false;
    *at += 24 + (size_t)name;
    *out = (bundle_entry){.image = data + from, .bytes = (size_t)n};
    for (size_t k = 0; k < sizeof gpu_entries / sizeof *gpu_entries; k++) {
        size_t prefix = strlen(gpu_entries[k]), length = 0;
        if (name <= prefix || memcmp(id, gpu_entries[k], prefix) != 0) continue;
        while (prefix + length < name && id[prefix + length] != ':') length++;
        if (length >= sizeof out->processor) return false;
        memcpy(out->processor, id + prefix, length);
    }
    return true;
}

/* Whether code for x is the better one for a device than code for y: it runs there, and knows more of it. */
static bool is_better(const char *arch, const char *x, const char *y) {
    if (arch == NULL || !machine_code_runs(arch, x)) return false;
    return !machine_code_runs(arch, y) || machine_code_runs(x, y);
}

/* Adds ", name" to a list. */
static void add_target(char *all, size_t cap, const char *name) {
    size_t at = strlen(all);
    snprintf(all + at, cap - at, "%s%s", at > 0 ? ", " : "", name);
}

static rw_status open_bundle(rw_program *p, const char *arch, code *c, rw_message *m) {
    const uint8_t *data = c->image;
    size_t bytes = c->bytes, at = MAGIC + 8;
    uint64_t n = bytes >= at ? read_u64(data + MAGIC) : 0;
    bundle_entry e, best = {.image = NULL};
    char all[160] = "";
    for (uint64_t i = 0; i < n; i++) {
        if (n > MOST_ENTRIES || !next_entry(data, bytes, &at, &e))
            return rw_fail(m, RW_BAD_FILE, "%s: the bundle's table lies outside it", p->path);
        if (e.processor[0] == '\0') continue;
        add_target(all, sizeof all, e.processor);
        if (best.image == NULL || is_better(arch, e.processor, best.processor)) best = e;
    }
    c->image = best.image;
    c->bytes = best.bytes;
    c->targets = pool_text(&p->pool, all, strlen(all));
    if (c->targets == NULL) return rw_fail(m, RW_NO_MEMORY, "%s: no memory", p->path);
    if (c->image != NULL) return RW_OK;
    return rw_fail(m, RW_BAD_FILE, "%s: the bundle holds no code for a GPU", p->path);
}

/* ---- PTX ----------------------------------------------------------------------------------------- */

static const char ptx_magic[] = "//!rwkvc ";
enum { PTX_MAGIC = sizeof ptx_magic - 1, LINE = 57 }; /* bytes of the manifest in a line */

/* A number of at most 15 digits and the blank behind it. */
static bool take_number(const uint8_t **p, const uint8_t *end, size_t *out) {
    size_t n = 0;
    int digits = 0;
    for (*out = 0; *p < end && **p >= '0' && **p <= '9' && digits < 15; (*p)++, digits++)
        n = n * 10 + (size_t)(**p - '0');
    *out = n;
    return digits > 0 && *p < end && *(*p)++ == ' ';
}

static int hex_digit(uint8_t c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool hash_is(const uint8_t *hex, const uint8_t *data, size_t bytes) {
    SHA2_CTX c;
    uint8_t hash[SHA256_DIGEST_LENGTH];
    SHA256Init(&c);
    SHA256Update(&c, data, bytes);
    SHA256Final(hash, &c);
    for (int i = 0; i < RW_HASH_BYTES; i++)
        if (hex_digit(hex[2 * i]) != hash[i] >> 4 || hex_digit(hex[2 * i + 1]) != (hash[i] & 15))
            return false;
    return true;
}

static int base64_digit(uint8_t c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* n bytes from the digits at *p, which are as many as they have to be. */
static bool decode(const uint8_t **p, uint8_t *out, size_t n) {
    for (size_t i = 0; i < n; i += 3) {
        uint32_t x = 0;
        for (size_t k = 0; k < 4; k++) {
            int d = base64_digit((*p)[k]);
            if (d < 0 && !((*p)[k] == '=' && i + k > n)) return false;
            x = x << 6 | (uint32_t)(d < 0 ? 0 : d);
        }
        for (size_t k = 0; k < 3 && i + k < n; k++) out[i + k] = (uint8_t)(x >> (16 - 8 * k));
        *p += 4;
    }
    return true;
}

/* Comment lines of 57 bytes. */
static bool decode_lines(const uint8_t *p, const uint8_t *end, uint8_t *out, size_t n) {
    for (size_t at = 0; at < n; at += LINE) {
        size_t k = n - at < LINE ? n - at : LINE, digits = (k + 2) / 3 * 4;
        if ((size_t)(end - p) < 3 + digits + 1 || memcmp(p, "//!", 3) != 0) return false;
        p += 3;
        if (!decode(&p, out + at, k) || *p++ != '\n') return false;
    }
    return p == end;
}

static size_t lines_bytes(size_t n) {
    size_t last = n % LINE;
    return n / LINE * (3 + LINE / 3 * 4 + 1) + (last > 0 ? 3 + (last + 2) / 3 * 4 + 1 : 0);
}

static rw_status open_ptx(rw_program *p, const uint8_t *data, size_t bytes, code *c,
                          rw_message *m) {
    const uint8_t *at = data + PTX_MAGIC, *end = data + bytes;
    size_t version, n, text;
    if (!take_number(&at, end, &version) || !take_number(&at, end, &n) ||
        !take_number(&at, end, &text) || end - at < 2 * RW_HASH_BYTES + 1 ||
        at[2 * (size_t)RW_HASH_BYTES] != '\n')
        return rw_fail(m, RW_BAD_FILE, "%s: its first line is none of rwkvc's, or cut off",
                       p->path);
    if (version != RW_FORMAT_VERSION)
        return rw_fail(m, RW_BAD_FILE,
                       "%s: version %zu of the format; this runtime reads version %d", p->path,
                       version, RW_FORMAT_VERSION);
    const uint8_t *body = at + 2 * (size_t)RW_HASH_BYTES + 1;
    size_t rest = (size_t)(end - body);
    if (n > rest || text > rest || rest != lines_bytes(n) + text)
        return rw_fail(m, RW_BAD_FILE, "%s: damaged: its length is not the one it was written with",
                       p->path);
    if (!hash_is(at, body, rest))
        return rw_fail(m, RW_BAD_FILE, "%s: damaged: its bytes are not those it was written with",
                       p->path);
    uint8_t *manifest = pool_take(&p->pool, n + 1, 1),
            *copy = pool_take(&p->pool, text + 1, 1); /* the driver wants a text that ends */
    if (manifest == NULL || copy == NULL)
        return rw_fail(m, RW_NO_MEMORY, "%s: no memory for its code", p->path);
    if (!decode_lines(body, end - text, manifest, n))
        return rw_fail(m, RW_BAD_FILE, "%s: its manifest is no base64", p->path);
    memcpy(copy, end - text, text);
    *c = (code){
        .kind = CODE_PTX, .image = copy, .bytes = text, .manifest = manifest, .manifest_bytes = n};
    return RW_OK;
}

/* ---- all ----------------------------------------------------------------------------------------- */

rw_status code_open(rw_program *p, const uint8_t *data, size_t bytes, const char *arch, code *c,
                    rw_message *m) {
    unsigned machine;
    if (bytes > PTX_MAGIC && memcmp(data, ptx_magic, PTX_MAGIC) == 0)
        return open_ptx(p, data, bytes, c, m);
    *c = (code){.image = data};
    rw_status s = image_check(p->path, data, bytes, &c->bytes, m);
    if (s == RW_OK && c->bytes >= MAGIC && memcmp(c->image, bundle_magic, MAGIC) == 0)
        s = open_bundle(p, arch, c, m);
    if (s == RW_OK)
        s = image_manifest(p->path, c->image, c->bytes, &c->manifest, &c->manifest_bytes, &machine,
                           m);
    if (s != RW_OK) return s;
    c->kind = machine == AMD_MACHINE ? CODE_AMD : machine == EM_CUDA ? CODE_CUBIN : CODE_HOST;
    if (c->kind != CODE_HOST || machine == EM_X86_64) return RW_OK;
    return rw_fail(m, RW_WRONG_TARGET, "%s: it was compiled for another kind of machine (ELF %u)",
                   p->path, machine);
}
