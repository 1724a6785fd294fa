/* Code objects: the part of an offload bundle for the processor, the segments of an ELF file laid out
 * in memory, its symbols, and its kernels. Every number of the file is checked before it is used. */
#include "wave.h"

#include <stdlib.h>

typedef struct Header {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, segments, sections;
    uint32_t flags;
    uint16_t bytes, segment_bytes, n_segments, section_bytes, n_sections, names;
} Header;

typedef struct Segment {
    uint32_t type, flags;
    uint64_t offset, address, physical, file_bytes, bytes, align;
} Segment;

typedef struct Section {
    uint32_t name, type;
    uint64_t flags, address, offset, bytes;
    uint32_t link, info;
    uint64_t align, entry_bytes;
} Section;

typedef struct ElfSymbol {
    uint32_t name;
    uint8_t info, other;
    uint16_t section;
    uint64_t value, bytes;
} ElfSymbol;

typedef struct Reloc {
    uint64_t offset, info;
    int64_t addend;
} Reloc;

enum {
    EM_AMDGPU = 224,
    OSABI_HSA = 64,
    ABI_V5 = 3,
    PT_LOAD = 1,
    SHT_SYMTAB = 2,
    SHT_RELA = 4,
    SHT_DYNSYM = 11,
    R_RELATIVE64 = 13,
    R_ABS64 = 3,
    R_ABS32 = 6,
    R_ABS32_LO = 1,
    R_ABS32_HI = 2,
};

static bool inside(uint64_t at, uint64_t bytes, uint64_t all) {
    return at <= all && bytes <= all - at;
}

/* ---- bundles --------------------------------------------------------------------------------- */

static uint64_t number64(const uint8_t *p) {
    uint64_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

/* "hipv4-amdgcn-amd-amdhsa--gfx942" or with ":xnack-" and the like behind. */
static bool names_processor(const char *id, size_t n, const char *processor) {
    size_t k = strlen(processor);
    for (size_t i = 0; i + k <= n; i++) {
        if (memcmp(id + i, processor, k) != 0 || i == 0 || id[i - 1] != '-') continue;
        if (i + k == n || id[i + k] == ':') return true;
    }
    return false;
}

static EmuStatus unbundle(Emu *emu, const uint8_t **data, size_t *bytes) {
    static const char magic[] = "__CLANG_OFFLOAD_BUNDLE__";
    const size_t head = sizeof magic - 1;
    if (*bytes < head + 8 || memcmp(*data, magic, head) != 0) return EMU_OK;
    const uint8_t *file = *data;
    uint64_t n = number64(file + head), all = *bytes, at = head + 8;
    for (uint64_t i = 0; i < n; i++) {
        if (!inside(at, 24, all)) break;
        uint64_t offset = number64(file + at), size = number64(file + at + 8),
                 length = number64(file + at + 16);
        if (!inside(at + 24, length, all) || !inside(offset, size, all)) break;
        if (names_processor((const char *)file + at + 24, (size_t)length, emu->processor->name)) {
            *data = file + offset;
            *bytes = (size_t)size;
            return EMU_OK;
        }
        at += 24 + length;
        if (i + 1 == n) {
            emu_say(emu, "the bundle has no code for %s", emu->processor->name);
            return EMU_NO_CODE;
        }
    }
    emu_say(emu, "the bundle is damaged");
    return EMU_BAD_IMAGE;
}

/* ---- segments -------------------------------------------------------------------------------- */

static bool header_of(const EmuImage *m, Header *h) {
    if (m->file_bytes < sizeof *h) return false;
    memcpy(h, m->file, sizeof *h);
    return memcmp(h->ident,
                  "\x7f"
                  "ELF\x02\x01",
                  6) == 0;
}

static EmuStatus check_header(EmuImage *m, const Header *h) {
    const Processor *p = m->emu->processor;
    if (h->machine != EM_AMDGPU || h->ident[7] != OSABI_HSA) {
        emu_say(m->emu, "the ELF file holds no code for AMD's GPUs");
        return EMU_BAD_IMAGE;
    }
    if (h->ident[8] != ABI_V5) {
        emu_say(m->emu, "code object version %d; version 5 is understood", h->ident[8] + 2);
        return EMU_BAD_IMAGE;
    }
    if ((h->flags & 0xffu) != p->machine) {
        emu_say(m->emu, "the code is for another processor than %s", p->name);
        return EMU_NO_CODE;
    }
    return EMU_OK;
}

static bool segment_of(const EmuImage *m, const Header *h, unsigned i, Segment *s) {
    uint64_t at = h->segments + (uint64_t)i * h->segment_bytes;
    if (h->segment_bytes != sizeof *s || !inside(at, sizeof *s, m->file_bytes)) return false;
    memcpy(s, m->file + at, sizeof *s);
    return true;
}

static bool section_of(const EmuImage *m, const Header *h, unsigned i, Section *s) {
    uint64_t at = h->sections + (uint64_t)i * h->section_bytes;
    if (i >= h->n_sections || h->section_bytes < sizeof *s || !inside(at, sizeof *s, m->file_bytes))
        return false;
    memcpy(s, m->file + at, sizeof *s);
    return true;
}

static EmuStatus load_segments(EmuImage *m, const Header *h) {
    const uint64_t most = (uint64_t)1 << 30;
    uint64_t end = 0;
    Segment s;
    for (unsigned i = 0; i < h->n_segments; i++) {
        if (!segment_of(m, h, i, &s)) return EMU_BAD_IMAGE;
        if (s.type != PT_LOAD) continue;
        if (!inside(s.offset, s.file_bytes, m->file_bytes) || s.file_bytes > s.bytes ||
            !inside(s.address, s.bytes, most))
            return EMU_BAD_IMAGE;
        if (s.address + s.bytes > end) end = s.address + s.bytes;
    }
    if (end == 0) return EMU_BAD_IMAGE;
    m->memory_bytes = ((size_t)end + 4095) & ~(size_t)4095;
    m->memory = aligned_alloc(4096, m->memory_bytes);
    if (m->memory == NULL) return EMU_NO_MEMORY;
    memset(m->memory, 0, m->memory_bytes);
    for (unsigned i = 0; i < h->n_segments; i++)
        if (segment_of(m, h, i, &s) && s.type == PT_LOAD)
            memcpy(m->memory + s.address, m->file + s.offset, (size_t)s.file_bytes);
    return EMU_OK;
}

/* ---- symbols --------------------------------------------------------------------------------- */

static const char *text_at(const EmuImage *m, const Section *s, uint64_t offset) {
    if (!inside(s->offset, s->bytes, m->file_bytes) || offset >= s->bytes) return NULL;
    const char *text = (const char *)m->file + s->offset + offset;
    return memchr(text, '\0', (size_t)(s->bytes - offset)) != NULL ? text : NULL;
}

static EmuStatus load_symbols(EmuImage *m, const Header *h) {
    Section table = {0}, names;
    bool found = false;
    for (unsigned i = 0; i < h->n_sections; i++) {
        Section s;
        if (!section_of(m, h, i, &s)) return EMU_BAD_IMAGE;
        if (s.type != SHT_SYMTAB && (s.type != SHT_DYNSYM || found)) continue;
        table = s;
        found = true;
        if (s.type == SHT_SYMTAB) break;
    }
    if (!found || !section_of(m, h, table.link, &names) ||
        !inside(table.offset, table.bytes, m->file_bytes))
        return EMU_BAD_IMAGE;
    size_t n = (size_t)(table.bytes / sizeof(ElfSymbol));
    m->symbols = calloc(n + 1, sizeof *m->symbols);
    if (m->symbols == NULL) return EMU_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        ElfSymbol s;
        memcpy(&s, m->file + table.offset + i * sizeof s, sizeof s);
        const char *name = text_at(m, &names, s.name);
        if (name == NULL) return EMU_BAD_IMAGE;
        if (s.section == 0 || name[0] == '\0' || !inside(s.value, s.bytes, m->memory_bytes))
            continue;
        m->symbols[m->n_symbols++] = (Symbol){name, s.value, s.bytes};
    }
    return EMU_OK;
}

bool image_find(const EmuImage *m, const char *name, Symbol *out) {
    for (size_t i = 0; i < m->n_symbols; i++)
        if (strcmp(m->symbols[i].name, name) == 0) {
            *out = m->symbols[i];
            return true;
        }
    return false;
}

/* What the linker leaves to the loader. */
static EmuStatus relocate(EmuImage *m, const Section *s) {
    uint64_t base = (uint64_t)(uintptr_t)m->memory;
    if (!inside(s->offset, s->bytes, m->file_bytes)) return EMU_BAD_IMAGE;
    for (uint64_t at = 0; at + sizeof(Reloc) <= s->bytes; at += sizeof(Reloc)) {
        Reloc r;
        memcpy(&r, m->file + s->offset + at, sizeof r);
        if (!inside(r.offset, 8, m->memory_bytes)) return EMU_BAD_IMAGE;
        if ((r.info & UINT32_MAX) != R_RELATIVE64) {
            emu_say(m->emu, "relocation type %u", (unsigned)(r.info & UINT32_MAX));
            return EMU_BAD_IMAGE;
        }
        uint64_t x = base + (uint64_t)r.addend;
        memcpy(m->memory + r.offset, &x, sizeof x);
    }
    return EMU_OK;
}

static EmuStatus load_relocations(EmuImage *m, const Header *h) {
    for (unsigned i = 0; i < h->n_sections; i++) {
        Section s;
        if (!section_of(m, h, i, &s)) return EMU_BAD_IMAGE;
        EmuStatus status = s.type == SHT_RELA && (s.flags & 2) ? relocate(m, &s) : EMU_OK;
        if (status != EMU_OK) return status;
    }
    return EMU_OK;
}

/* ---- kernels --------------------------------------------------------------------------------- */

static uint32_t number32(const uint8_t *p) {
    uint32_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

static void read_descriptor(EmuKernel *k, const uint8_t *d, const Processor *p) {
    k->info.lds = number32(d);
    k->info.scratch = number32(d + 4);
    k->info.kernarg = number32(d + 8);
    k->rsrc3 = number32(d + 44);
    k->rsrc1 = number32(d + 48);
    k->rsrc2 = number32(d + 52);
    k->properties = (uint16_t)(d[56] | d[57] << 8);
    k->preload = (uint16_t)(d[58] | d[59] << 8);
    uint32_t all = ((k->rsrc1 & 63u) + 1) * 8, first = ((k->rsrc3 & 63u) + 1) * 4;
    if (p->is_gfx11) {
        k->next_vector = all;
    } else { /* one file: the accumulation registers behind the others */
        k->next_vector = first < all ? first : all;
        k->next_agpr = all - k->next_vector;
    }
    if (k->next_vector > 256) k->next_vector = 256;
    if (k->next_agpr > 256) k->next_agpr = 256;
    k->info.vgprs = k->next_vector;
    k->info.agprs = k->next_agpr;
    k->info.sgprs = p->is_gfx11 ? 106 : ((k->rsrc1 >> 6 & 15u) / 2 + 1) * 16;
}

static uint64_t code_end(const EmuImage *m, uint64_t entry) {
    uint64_t end = m->memory_bytes;
    for (size_t i = 0; i < m->n_symbols; i++) {
        const Symbol *s = &m->symbols[i];
        if (s->value == entry && s->bytes > 0) return entry + s->bytes;
        if (s->value > entry && s->value < end) end = s->value;
    }
    return end;
}

static EmuStatus add_kernel(EmuImage *m, const Symbol *s, size_t length) {
    EmuKernel *k = &m->kernels[m->n_kernels];
    *k = (EmuKernel){.image = m, .name = malloc(length + 1)};
    if (k->name == NULL) return EMU_NO_MEMORY;
    m->n_kernels++;
    memcpy(k->name, s->name, length);
    k->name[length] = '\0';
    k->info.name = k->name;
    if (s->bytes < 64 || !inside(s->value, 64, m->memory_bytes)) return EMU_BAD_IMAGE;
    const uint8_t *d = m->memory + s->value;
    read_descriptor(k, d, m->emu->processor);
    uint64_t entry = s->value + number64(d + 16);
    if (!inside(entry, 4, m->memory_bytes) || (entry & 3) != 0) return EMU_BAD_IMAGE;
    bool is_wave32 = k->properties >> 10 & 1;
    if (is_wave32 != (m->emu->processor->lanes == 32)) {
        emu_say(m->emu, "kernel %s: waves of %d lanes are not emulated for %s", k->name,
                is_wave32 ? 32 : 64, m->emu->processor->name);
        return EMU_BAD_IMAGE;
    }
    k->descriptor = (uint64_t)(uintptr_t)d;
    k->entry = (uint64_t)(uintptr_t)m->memory + entry;
    k->code_bytes = code_end(m, entry) - entry;
    return EMU_OK;
}

static EmuStatus load_kernels(EmuImage *m) {
    m->kernels = calloc(m->n_symbols + 1, sizeof *m->kernels);
    if (m->kernels == NULL) return EMU_NO_MEMORY;
    for (size_t i = 0; i < m->n_symbols; i++) {
        const Symbol *s = &m->symbols[i];
        size_t n = strlen(s->name);
        if (n <= 3 || strcmp(s->name + n - 3, ".kd") != 0) continue;
        EmuStatus status = add_kernel(m, s, n - 3);
        if (status != EMU_OK) return status;
    }
    return EMU_OK;
}

/* ---- images ---------------------------------------------------------------------------------- */

EmuStatus image_load_elf(EmuImage *m) {
    Header h;
    emu_say(m->emu, "not a code object, or a damaged one");
    if (!header_of(m, &h)) return EMU_BAD_IMAGE;
    EmuStatus status = check_header(m, &h);
    if (status == EMU_OK) status = load_segments(m, &h);
    if (status == EMU_OK) status = load_symbols(m, &h);
    if (status == EMU_OK) status = load_relocations(m, &h);
    if (status == EMU_OK) status = load_kernels(m);
    if (status == EMU_OK && !image_parse_notes(m)) status = EMU_BAD_IMAGE;
    if (status != EMU_OK) return status;
    Buffer b = {.base = m->memory, .bytes = m->memory_bytes, .is_read_only = true};
    return buffers_add(&m->emu->buffers, b) ? EMU_OK : EMU_NO_MEMORY;
}

EmuStatus emu_image_load(Emu *emu, const void *data, size_t bytes, EmuImage **out) {
    const uint8_t *code = data;
    EmuStatus status = unbundle(emu, &code, &bytes);
    if (status != EMU_OK) return status;
    EmuImage *m = calloc(1, sizeof *m);
    if (m == NULL || (m->file = malloc(bytes + 1)) == NULL) {
        free(m);
        return EMU_NO_MEMORY;
    }
    m->emu = emu;
    m->file_bytes = bytes;
    memcpy(m->file, code, bytes);
    m->file[bytes] = '\0';
    if (emu->last == NULL)
        emu->first = m;
    else
        emu->last->next = m;
    emu->last = m;
    status = emu->processor->family->load(m);
    if (status != EMU_OK) {
        emu_image_free(m);
        return status;
    }
    emu->said[0] = '\0';
    *out = m;
    return EMU_OK;
}

static void unlink_image(EmuImage *m) {
    Emu *emu = m->emu;
    EmuImage *before = NULL;
    for (EmuImage *i = emu->first; i != m; i = i->next) before = i;
    if (before == NULL)
        emu->first = m->next;
    else
        before->next = m->next;
    if (emu->last == m) emu->last = before;
}

void emu_image_free(EmuImage *m) {
    if (m == NULL) return;
    const Family *family = m->emu->processor->family;
    unlink_image(m);
    if (m->memory != NULL) buffers_remove(&m->emu->buffers, m->memory);
    for (size_t i = 0; i < m->n_kernels; i++) {
        EmuKernel *k = &m->kernels[i];
        family->release(k);
        if (family->unload != NULL) family->unload(k);
        free(k->name);
        free(k->arguments);
        free(k->kinds);
        free(k->counts);
    }
    free(m->kernels);
    free(m->symbols);
    free(m->memory);
    free(m->file);
    free(m);
}

EmuStatus emu_image_kernel(EmuImage *m, const char *name, EmuKernel **out) {
    for (size_t i = 0; i < m->n_kernels; i++)
        if (strcmp(m->kernels[i].name, name) == 0) {
            *out = &m->kernels[i];
            return EMU_OK;
        }
    emu_say(m->emu, "there is no kernel %s", name);
    return EMU_NOT_FOUND;
}

EmuStatus emu_image_symbol(EmuImage *m, const char *name, void **at, size_t *bytes) {
    Symbol s;
    if (!image_find(m, name, &s)) {
        emu_say(m->emu, "there is no symbol %s", name);
        return EMU_NOT_FOUND;
    }
    *at = m->memory + s.value;
    *bytes = (size_t)s.bytes;
    return EMU_OK;
}

bool emu_has_kernel(const Emu *emu, const EmuKernel *kernel) {
    for (const EmuImage *m = emu->first; m != NULL; m = m->next)
        for (size_t i = 0; i < m->n_kernels; i++)
            if (&m->kernels[i] == kernel) return true;
    return false;
}

const EmuKernelInfo *emu_kernel_info(const EmuKernel *k) { return &k->info; }
