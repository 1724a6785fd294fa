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
    if (length > bytes - 8 || bytes - 8 - length > 15)
        return rw_fail(m, RW_BAD_FILE, "%s: its manifest has another length than its section",
                       path);
    *data = section;
    *n = (size_t)length;
    return RW_OK;
}

rw_status image_manifest(const char *path, const uint8_t *image, size_t bytes, const uint8_t **data,
                         size_t *n, unsigned *machine, rw_message *m) {
    Elf64_Ehdr h;
    if (bytes < sizeof h) return rw_fail(m, RW_BAD_FILE, "%s: no ELF image", path);
    memcpy(&h, image, sizeof h);
    if (memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 || h.e_ident[EI_CLASS] != ELFCLASS64 ||
        h.e_ident[EI_DATA] != ELFDATA2LSB)
        return rw_fail(m, RW_BAD_FILE, "%s: no ELF image of 64 bits", path);
    if (h.e_type != ET_DYN)
        return rw_fail(m, RW_BAD_FILE, "%s: the ELF image is no shared object", path);
    *machine = h.e_machine;
    if (h.e_shentsize != sizeof(Elf64_Shdr) || h.e_shstrndx >= h.e_shnum ||
        !inside(h.e_shoff, (uint64_t)h.e_shnum * sizeof(Elf64_Shdr), bytes) ||
        h.e_phentsize != sizeof(Elf64_Phdr) ||
        !inside(h.e_phoff, (uint64_t)h.e_phnum * sizeof(Elf64_Phdr), bytes))
        return rw_fail(m, RW_BAD_FILE, "%s: its ELF headers lie outside it", path);
    Elf64_Shdr names, s;
    memcpy(&names, image + h.e_shoff + h.e_shstrndx * sizeof names, sizeof names);
    if (!inside(names.sh_offset, names.sh_size, bytes))
        return rw_fail(m, RW_BAD_FILE, "%s: its ELF headers lie outside it", path);
    for (uint32_t i = 0; i < h.e_shnum; i++) {
        memcpy(&s, image + h.e_shoff + i * sizeof s, sizeof s);
        if (!has_name(image, &names, s.sh_name, RW_MANIFEST_SECTION)) continue;
        if (s.sh_type == SHT_NOBITS || !inside(s.sh_offset, s.sh_size, bytes))
            return rw_fail(m, RW_BAD_FILE, "%s: its manifest lies outside it", path);
        return section_manifest(path, image + s.sh_offset, s.sh_size, data, n, m);
    }
    return rw_fail(m, RW_BAD_FILE, "%s: it has no manifest (section %s)", path,
                   RW_MANIFEST_SECTION);
}
