/* The metadata of a code object: MessagePack in an ELF note. What the descriptors do not say is taken
 * from it: arguments and the sizes of groups. */
#include "runtime/unpack.h"
#include "wave.h"

#include <stdlib.h>

/* ---- MessagePack beyond what manifests use --------------------------------------------------- */

static uint8_t peek(const unpacker *u) { return u->at < u->end ? *u->at : 0xc1; }

static uint64_t big(unpacker *u, unsigned n) {
    uint64_t x = 0;
    if ((size_t)(u->end - u->at) < n) {
        unpack_fail(u, "it ends early");
        return 0;
    }
    for (unsigned i = 0; i < n; i++) x = x << 8 | *u->at++;
    return x;
}

static size_t map_size(unpacker *u) {
    uint8_t h = (uint8_t)big(u, 1);
    uint64_t n = 0;
    if (h >> 4 == 8)
        n = h & 15u;
    else if (h == 0xde || h == 0xdf)
        n = big(u, h == 0xde ? 2 : 4);
    else
        unpack_fail(u, "a map was expected");
    if (unpack_good(u) && 2 * n > (size_t)(u->end - u->at))
        unpack_fail(u, "a map is larger than what is left");
    return unpack_good(u) ? (size_t)n : 0;
}

static bool is_map(uint8_t h) { return h >> 4 == 8 || h == 0xde || h == 0xdf; }
static bool is_array(uint8_t h) { return h >> 4 == 9 || h == 0xdc || h == 0xdd; }
static bool is_text(uint8_t h) { return h >> 5 == 5 || (h >= 0xd9 && h <= 0xdb); }

static void skip(unpacker *u, unsigned depth) {
    uint8_t h = peek(u);
    size_t n = 0;
    if (depth > 16) unpack_fail(u, "nested too deep");
    if (is_map(h))
        n = 2 * map_size(u);
    else if (is_array(h))
        n = unpack_array(u);
    else if (is_text(h))
        unpack_text(u, &n), n = 0;
    else if (h == 0xc2 || h == 0xc3)
        unpack_bool(u);
    else if (h == 0xc0)
        big(u, 1);
    else if (h == 0xcb)
        unpack_real(u);
    else
        unpack_int(u, INT64_MIN, INT64_MAX);
    for (size_t i = 0; i < n && unpack_good(u); i++) skip(u, depth + 1);
}

static bool is_key(const char *key, size_t n, const char *word) {
    return strlen(word) == n && memcmp(key, word, n) == 0;
}

/* ---- kernels --------------------------------------------------------------------------------- */

static void read_argument(unpacker *u, EmuArgument *a, char *kind, size_t room) {
    size_t n = map_size(u);
    for (size_t i = 0; i < n && unpack_good(u); i++) {
        size_t length, k;
        const char *key = unpack_text(u, &length);
        if (is_key(key, length, ".offset")) {
            a->offset = (uint32_t)unpack_int(u, 0, 65536);
        } else if (is_key(key, length, ".size")) {
            a->size = (uint32_t)unpack_int(u, 0, 65536);
        } else if (is_key(key, length, ".value_kind")) {
            const char *word = unpack_text(u, &k);
            if (k >= room) k = room - 1;
            memcpy(kind, word, k);
            kind[k] = '\0';
            a->is_hidden = strncmp(kind, "hidden_", 7) == 0;
        } else {
            skip(u, 0);
        }
    }
}

static bool read_arguments(unpacker *u, EmuKernel *k) {
    size_t n = unpack_array(u);
    if (k->arguments != NULL) unpack_fail(u, "two lists of arguments");
    if (!unpack_good(u)) return true;
    k->arguments = calloc(n + 1, sizeof *k->arguments);
    k->kinds = calloc(n + 1, sizeof *k->kinds);
    if (k->arguments == NULL || k->kinds == NULL) return false;
    for (size_t i = 0; i < n && unpack_good(u); i++)
        read_argument(u, &k->arguments[i], k->kinds[i], sizeof *k->kinds);
    k->info.arguments = k->arguments;
    k->info.n_arguments = n;
    return true;
}

/* The name may come behind the rest, so that the map is read twice. */
static EmuKernel *kernel_named(EmuImage *m, unpacker u) {
    size_t n = map_size(&u);
    for (size_t i = 0; i < n && unpack_good(&u); i++) {
        size_t length;
        const char *key = unpack_text(&u, &length);
        if (!is_key(key, length, ".symbol")) {
            skip(&u, 0);
            continue;
        }
        const char *name = unpack_text(&u, &length);
        for (size_t k = 0; k < m->n_kernels; k++)
            if (length == strlen(m->kernels[k].name) + 3 &&
                memcmp(m->kernels[k].name, name, length - 3) == 0)
                return &m->kernels[k];
    }
    return NULL;
}

static bool read_kernel(EmuImage *m, unpacker *u) {
    EmuKernel *k = kernel_named(m, *u);
    size_t n = map_size(u);
    for (size_t i = 0; i < n && unpack_good(u); i++) {
        size_t length;
        const char *key = unpack_text(u, &length);
        if (k == NULL) {
            skip(u, 0);
        } else if (is_key(key, length, ".args")) {
            if (!read_arguments(u, k)) return false;
        } else if (is_key(key, length, ".max_flat_workgroup_size")) {
            k->info.max_block = (uint32_t)unpack_int(u, 0, 1024);
        } else if (is_key(key, length, ".reqd_workgroup_size")) {
            unpack_array_of(u, 3);
            for (unsigned d = 0; d < 3; d++) k->info.block[d] = (uint32_t)unpack_int(u, 0, 1024);
        } else {
            skip(u, 0);
        }
    }
    return true;
}

static bool read_metadata(EmuImage *m, const uint8_t *data, size_t bytes) {
    unpacker u;
    unpack_begin(&u, data, bytes);
    size_t n = map_size(&u);
    for (size_t i = 0; i < n && unpack_good(&u); i++) {
        size_t length;
        const char *key = unpack_text(&u, &length);
        if (!is_key(key, length, "amdhsa.kernels")) {
            skip(&u, 0);
            continue;
        }
        size_t kernels = unpack_array(&u);
        for (size_t k = 0; k < kernels && unpack_good(&u); k++)
            if (!read_kernel(m, &u)) return false;
    }
    if (!unpack_good(&u)) emu_say(m->emu, "the metadata is damaged: %s", u.error);
    return unpack_good(&u);
}

/* ---- notes ----------------------------------------------------------------------------------- */

enum { PT_NOTE = 4, NT_AMDGPU_METADATA = 32 };

static uint32_t small(const uint8_t *p) {
    uint32_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

static bool read_notes(EmuImage *m, const uint8_t *p, size_t bytes) {
    while (bytes >= 12) {
        uint32_t name = small(p), size = small(p + 4), type = small(p + 8);
        uint64_t to_data = 12 + (((uint64_t)name + 3) & ~(uint64_t)3),
                 all = to_data + (((uint64_t)size + 3) & ~(uint64_t)3);
        if (to_data + size > bytes) return false;
        if (type == NT_AMDGPU_METADATA && name == 7 && memcmp(p + 12, "AMDGPU", 7) == 0)
            return read_metadata(m, p + to_data, size);
        if (all >= bytes) break;
        p += all;
        bytes -= (size_t)all;
    }
    return true;
}

bool image_parse_notes(EmuImage *m) {
    uint64_t at, count = (uint64_t)m->file[56] | (uint64_t)m->file[57] << 8;
    memcpy(&at, m->file + 32, sizeof at);
    for (uint64_t i = 0; i < count; i++) { /* the headers were checked when they were loaded */
        const uint8_t *s = m->file + at + i * 56;
        uint64_t offset, bytes;
        if (small(s) != PT_NOTE) continue;
        memcpy(&offset, s + 8, sizeof offset);
        memcpy(&bytes, s + 32, sizeof bytes);
        if (offset > m->file_bytes || bytes > m->file_bytes - offset) return false;
        if (!read_notes(m, m->file + offset, (size_t)bytes)) return false;
    }
    return true;
}
