/* The bytes of a file before anything of it is believed: trailer and hash, then the ELF headers as
 * far as the manifest's place needs them. */
#include <elf.h>
#include <sha2.h>
#include <string.h>

#include "program.h"

static uint64_t read_u64(const uint8_t *p) {
    uint64_t n = 0;
    for (int i = 7; i >= 0; i--) n = n << 8 | p[i];
    return n;
}

rw_status image_check(const char *path, const uint8_t *data, size_t bytes, size_t *image_bytes,
                      rw_message *m) {
    if (bytes < RW_TRAILER_BYTES)
        return rw_fail(m, RW_BAD_FILE, "%s: %zu bytes are no program of rwkvc", path, bytes);
    const uint8_t *trailer = data + bytes - RW_TRAILER_BYTES;
    if (memcmp(trailer, RW_TRAILER_MAGIC, RW_TRAILER_MAGIC_BYTES) != 0)
        return rw_fail(m, RW_BAD_FILE,
                       "%s: no program of rwkvc, or cut off: its last bytes are missing", path);
    if (read_u64(trailer + RW_TRAILER_MAGIC_BYTES) != bytes - RW_TRAILER_BYTES)
        return rw_fail(m, RW_BAD_FILE, "%s: damaged: its length is not the one it was written with",
                       path);
    SHA2_CTX c;
    uint8_t hash[SHA256_DIGEST_LENGTH];
    SHA256Init(&c);
    SHA256Update(&c, data, bytes - RW_HASH_BYTES);
    SHA256Final(hash, &c);
    if (memcmp(hash, data + bytes - RW_HASH_BYTES, RW_HASH_BYTES) != 0)
        return rw_fail(m, RW_BAD_FILE, "%s: damaged: its bytes are not those it was written with",
                       path);
    *image_bytes = bytes - RW_TRAILER_BYTES;
    return RW_OK;
}

static bool inside(uint64_t at, uint64_t n, size_t bytes) { return at <= bytes && n <= bytes - at; }

/* Whether a section whose name stands at `at` is called that. */
static bool has_name(const uint8_t *image, const Elf64_Shdr *names, uint32_t at, const char *name) {
    size_t n = strlen(name) + 1;
    return inside(at, n, names->sh_size) && memcmp(image + names->sh_offset + at, name, n) == 0;
}

/* The manifest, up to 15 zeros, and its length. */
static rw_status section_manifest(const char *path, const uint8_t *section, size_t bytes,
                                  const uint8_t **data, size_t *n, rw_message *m) {
    uint64_t length = bytes >= 8 ? read_u64(section + bytes - 8) : UINT64_MAX;
    if (bytes < 8 || length > bytes - 8 || bytes - 8 - length > 15)
        return rw_fail(m, RW_BAD_FILE, "%s: its manifest has another length than its section",
                       path);
    *data = section;
    *n = (size_t)length;
    return RW_OK;
}

/* The headers of an image's sections, all of them inside it; names: the section of their names. */
typedef struct sections {
    const char *path;
    const uint8_t *image;
    size_t bytes;
    Elf64_Ehdr h;
    Elf64_Shdr names;
} sections;

static Elf64_Shdr section_at(const sections *x, uint32_t i) {
    Elf64_Shdr s;
    memcpy(&s, x->image + x->h.e_shoff + i * sizeof s, sizeof s);
    return s;
}

static bool has_bytes(const sections *x, const Elf64_Shdr *s) {
    return s->sh_type != SHT_NOBITS && inside(s->sh_offset, s->sh_size, x->bytes);
}

/* On NVIDIA's GPUs it is a constant of the program, which has a symbol and no section of its own. */
static rw_status symbol_manifest(const sections *x, const Elf64_Sym *symbol, const uint8_t **data,
                                 size_t *n, rw_message *m) {
    Elf64_Shdr s = {.sh_type = SHT_NOBITS};
    if (symbol->st_shndx < x->h.e_shnum) s = section_at(x, symbol->st_shndx);
    if (!has_bytes(x, &s) || symbol->st_value < s.sh_addr ||
        !inside(symbol->st_value - s.sh_addr, symbol->st_size, s.sh_size))
        return rw_fail(m, RW_BAD_FILE, "%s: its manifest lies outside it", x->path);
    *data = x->image + s.sh_offset + (symbol->st_value - s.sh_addr);
    *n = symbol->st_size;
    return RW_OK;
}

static rw_status find_symbol(const sections *x, const uint8_t **data, size_t *n, rw_message *m) {
    for (uint32_t i = 0; i < x->h.e_shnum; i++) {
        Elf64_Shdr table = section_at(x, i), names;
        Elf64_Sym symbol;
        if (table.sh_type != SHT_SYMTAB) continue;
        if (table.sh_link < x->h.e_shnum) names = section_at(x, table.sh_link);
        if (table.sh_link >= x->h.e_shnum || !has_bytes(x, &table) || !has_bytes(x, &names))
            return rw_fail(m, RW_BAD_FILE, "%s: its symbols lie outside it", x->path);
        for (uint64_t k = 0; k < table.sh_size / sizeof symbol; k++) {
            memcpy(&symbol, x->image + table.sh_offset + k * sizeof symbol, sizeof symbol);
            if (has_name(x->image, &names, symbol.st_name, RW_MANIFEST_SYMBOL))
                return symbol_manifest(x, &symbol, data, n, m);
        }
    }
    return rw_fail(m, RW_BAD_FILE, "%s: it has no manifest (symbol %s)", x->path,
                   RW_MANIFEST_SYMBOL);
}

static rw_status find_section(const sections *x, const uint8_t **data, size_t *n, rw_message *m) {
    for (uint32_t i = 0; i < x->h.e_shnum; i++) {
        Elf64_Shdr s = section_at(x, i);
        if (!has_name(x->image, &x->names, s.sh_name, RW_MANIFEST_SECTION)) continue;
        if (!has_bytes(x, &s))
            return rw_fail(m, RW_BAD_FILE, "%s: its manifest lies outside it", x->path);
        return section_manifest(x->path, x->image + s.sh_offset, s.sh_size, data, n, m);
    }
    return rw_fail(m, RW_BAD_FILE, "%s: it has no manifest (section %s)", x->path,
                   RW_MANIFEST_SECTION);
}

rw_status image_manifest(const char *path, const uint8_t *image, size_t bytes, const uint8_t **data,
                         size_t *n, unsigned *machine, rw_message *m) {
    Elf64_Ehdr h;
    if (bytes < sizeof h) return rw_fail(m, RW_BAD_FILE, "%s: no ELF image", path);
    memcpy(&h, image, sizeof h);
    if (memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 || h.e_ident[EI_CLASS] != ELFCLASS64 ||
        h.e_ident[EI_DATA] != ELFDATA2LSB)
        return rw_fail(m, RW_BAD_FILE, "%s: no ELF image of 64 bits", path);
    *machine = h.e_machine;
    bool is_cubin = h.e_machine == EM_CUDA; /* linked to its end; the others are shared objects */
    if (h.e_type != (is_cubin ? ET_EXEC : ET_DYN))
        return rw_fail(m, RW_BAD_FILE, "%s: the ELF image is no shared object", path);
    if (h.e_shentsize != sizeof(Elf64_Shdr) || h.e_shstrndx >= h.e_shnum ||
        !inside(h.e_shoff, (uint64_t)h.e_shnum * sizeof(Elf64_Shdr), bytes) ||
        h.e_phentsize != sizeof(Elf64_Phdr) ||
        !inside(h.e_phoff, (uint64_t)h.e_phnum * sizeof(Elf64_Phdr), bytes))
        return rw_fail(m, RW_BAD_FILE, "%s: its ELF headers lie outside it", path);
    sections x = {.path = path, .image = image, .bytes = bytes, .h = h};
    x.names = section_at(&x, h.e_shstrndx);
    if (!inside(x.names.sh_offset, x.names.sh_size, bytes))
        return rw_fail(m, RW_BAD_FILE, "%s: its ELF headers lie outside it", path);
    return is_cubin ? find_symbol(&x, data, n, m) : find_section(&x, data, n, m);
}
