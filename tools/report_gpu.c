/* Registers, spills, local memory and occupancy of GPU kernels. */
#include "report_gpu.h"

#include <elf.h>
#include <string.h>

/* ---- AMD: MessagePack in a note -------------------------------------------------------------------- */

typedef struct Pack {
    const uint8_t *at, *end;
    bool bad;
} Pack;

static uint64_t bytes_of(Pack *p, uint32_t n) {
    uint64_t x = 0;
    if ((size_t)(p->end - p->at) < n) {
        p->bad = true;
        p->at = p->end;
        return 0;
    }
    for (; n > 0; n--) x = x << 8 | *p->at++;
    return x;
}

typedef enum PackKind { PACK_INT, PACK_STR, PACK_LIST, PACK_MAP, PACK_OTHER } PackKind;
typedef struct PackItem {
    PackKind kind;
    uint64_t n; /* the number, or how many bytes, items or pairs */
    const char *str;
} PackItem;

static PackItem string_of(Pack *p, uint64_t n) {
    PackItem x = {PACK_STR, n, (const char *)p->at};
    if ((uint64_t)(p->end - p->at) < n) {
        p->bad = true;
        return (PackItem){PACK_STR, 0, ""};
    }
    p->at += n;
    return x;
}

/* Lists and maps: the items follow. */
static PackItem next(Pack *p) {
    uint8_t b = (uint8_t)bytes_of(p, 1);
    if (b < 0x80) return (PackItem){PACK_INT, b, NULL};
    if (b < 0x90) return (PackItem){PACK_MAP, b & 15u, NULL};
    if (b < 0xa0) return (PackItem){PACK_LIST, b & 15u, NULL};
    if (b < 0xc0) return string_of(p, b & 31u);
    if (b >= 0xcc && b <= 0xcf) return (PackItem){PACK_INT, bytes_of(p, 1u << (b - 0xcc)), NULL};
    if (b >= 0xd9 && b <= 0xdb) return string_of(p, bytes_of(p, 1u << (b - 0xd9)));
    if (b == 0xdc || b == 0xdd) return (PackItem){PACK_LIST, bytes_of(p, b == 0xdc ? 2 : 4), NULL};
    if (b == 0xde || b == 0xdf) return (PackItem){PACK_MAP, bytes_of(p, b == 0xde ? 2 : 4), NULL};
    if (b != 0xc0 && b != 0xc2 && b != 0xc3 && b < 0xe0) p->bad = true; /* LLVM writes no others */
    return (PackItem){PACK_OTHER, 0, NULL};
}

static void skip(Pack *p) {
    uint64_t left = 1; /* items below, none deeper than the first */
    while (left > 0 && !p->bad) {
        PackItem x = next(p);
        left += (x.kind == PACK_LIST ? x.n : x.kind == PACK_MAP ? 2 * x.n : 0) - 1;
    }
}

static bool is(const PackItem *x, const char *name) {
    return x->kind == PACK_STR && x->n == strlen(name) && memcmp(x->str, name, x->n) == 0;
}

static void one_kernel(Arena *a, Pack *p, GpuUse *u) {
    const struct {
        const char *name;
        uint32_t *to;
    } numbers[] = {{".vgpr_count", &u->vector},
                   {".agpr_count", &u->matrix},
                   {".sgpr_count", &u->scalar},
                   {".vgpr_spill_count", &u->spilled},
                   {".sgpr_spill_count", &u->scalar_spilled},
                   {".group_segment_fixed_size", &u->local},
                   {".private_segment_fixed_size", &u->own},
                   {".max_flat_workgroup_size", &u->block}};
    PackItem map = next(p);
    for (uint64_t i = 0; i < (map.kind == PACK_MAP ? map.n : 0) && !p->bad; i++) {
        PackItem key = next(p);
        uint32_t *to = NULL;
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
            if (is(&key, numbers[k].name)) to = numbers[k].to;
        if (to)
            *to = (uint32_t)next(p).n;
        else if (is(&key, ".name")) {
            PackItem name = next(p);
            u->symbol = arena_strn(a, name.str, name.n);
        } else
            skip(p);
    }
}

static const char *read_note(Arena *a, const uint8_t *data, size_t n, GpuUses *out) {
    Pack p = {data, data + n, false};
    PackItem map = next(&p);
    for (uint64_t i = 0; i < (map.kind == PACK_MAP ? map.n : 0) && !p.bad; i++) {
        PackItem key = next(&p);
        if (!is(&key, "amdhsa.kernels")) {
            skip(&p);
            continue;
        }
        PackItem list = next(&p);
        for (uint64_t k = 0; k < (list.kind == PACK_LIST ? list.n : 0) && !p.bad; k++)
            one_kernel(a, &p, PUSH(a, out));
    }
    for (uint32_t i = 0; i < out->n; i++) p.bad = p.bad || !out->data[i].symbol;
    return p.bad ? "the code object's metadata cannot be read" : NULL;
}

enum { AMD_METADATA = 32 };

const char *gpu_uses_of_object(Arena *a, const void *object, size_t bytes, GpuUses *out) {
    const uint8_t *data = object;
    const Elf64_Ehdr *h = object;
    if (bytes < sizeof *h || h->e_shoff + h->e_shnum * sizeof(Elf64_Shdr) > bytes)
        return "no code object";
    const Elf64_Shdr *s = (const void *)(data + h->e_shoff);
    for (uint32_t i = 0; i < h->e_shnum; i++) {
        const Elf64_Nhdr *note = (const void *)(data + s[i].sh_offset);
        if (s[i].sh_type != SHT_NOTE || s[i].sh_offset + s[i].sh_size > bytes ||
            s[i].sh_size < sizeof *note || note->n_type != AMD_METADATA)
            continue;
        size_t first = sizeof *note + (note->n_namesz + 3) / 4 * 4;
        if (first + note->n_descsz <= s[i].sh_size)
            return read_note(a, (const uint8_t *)note + first, note->n_descsz, out);
    }
    return "the code object has no metadata";
}

/* ---- occupancy -------------------------------------------------------------------------------------------- */

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* Registers are given out by waves of one part, all else by workgroups of the whole unit. */
uint32_t gpu_waves(const TargetInfo *t, const GpuUse *u) {
    uint32_t each = (u->vector + t->granule - 1) / t->granule * t->granule;
    uint32_t waves = least(t->unit_waves, t->unit_registers / (each ? each : t->granule));
    if (u->block < t->wave) return waves;
    uint32_t of_block = u->block / t->wave, blocks = waves * t->units / of_block;
    uint32_t local = u->local + t->block_local;
    if (local) blocks = least(blocks, t->unit_local / local);
    if (t->unit_blocks) blocks = least(blocks, t->unit_blocks);
    return blocks * of_block / t->units;
}

static void print_nvidia(const TargetInfo *t, const GpuUses *all, Text *out) {
    text_printf(
        out,
        "functions: registers of a thread, bytes spilled, shared by a block, of a thread's own, warps "
        "at once of %u\n",
        t->unit_waves);
    text_printf(out, "  %-36s %6s %9s %7s %7s %7s %6s\n", "function", "block", "registers",
                "spills", "shared", "stack", "warps");
    for (uint32_t i = 0; i < all->n; i++) {
        const GpuUse *u = &all->data[i];
        text_printf(out, "  %-36s %6u %9u %7u %7u %7u %6u\n", u->symbol, u->block, u->vector,
                    u->spilled, u->local, u->own, gpu_waves(t, u));
    }
}

static void print_amd(const TargetInfo *t, const GpuUses *all, Text *out) {
    text_printf(
        out,
        "functions: registers of a thread, of the matrix unit, of a wave, spills, bytes, waves at once "
        "of %u\n",
        t->unit_waves);
    text_printf(out, "  %-36s %6s %6s %6s %6s %7s %7s %7s %6s\n", "function", "block", "VGPR",
                "AGPR", "SGPR", "spills", "local", "private", "waves");
    for (uint32_t i = 0; i < all->n; i++) {
        const GpuUse *u = &all->data[i];
        text_printf(out, "  %-36s %6u %6u %6u %6u %7u %7u %7u %6u\n", u->symbol, u->block,
                    u->vector, u->matrix, u->scalar, u->spilled + u->scalar_spilled, u->local,
                    u->own, gpu_waves(t, u));
    }
}

void gpu_print_uses(const TargetInfo *t, const GpuUses *all, Text *out) {
    if (t->family == FAMILY_AMD)
        print_amd(t, all, out);
    else
        print_nvidia(t, all, out);
}
