/* Code objects of several GPUs in one file, as AMD's runtime and LLVM's tools take it: a table of entries, then
 * the objects, each at a multiple of a page. The first entry is the host's, empty. */
#include <string.h>

#include "bundle.h"

enum { PAGE = 4096 };
static const char magic[] = "__CLANG_OFFLOAD_BUNDLE__", host[] = "host-x86_64-unknown-linux-gnu-";

static void put_number(Text *t, uint64_t n) {
    char bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (char)(n >> (8 * i));
    text_addn(t, bytes, sizeof bytes);
}

static void put_entry(Text *t, size_t at, size_t bytes, const char *id) {
    put_number(t, at);
    put_number(t, bytes);
    put_number(t, strlen(id));
    text_add(t, id);
}

static size_t page_above(size_t n) { return (n + PAGE - 1) / PAGE * PAGE; }

void bundle_make(Arena *a, const TargetInfo *const *targets, const Image *images, uint32_t n,
                 Image *out) {
    char **id = NEWN(a, char *, n + 1);
    size_t head = strlen(magic) + 8 + 24 + strlen(host);
    for (uint32_t i = 0; i < n; i++) {
        const char *kind = targets[i]->family == FAMILY_AMD ? "hipv4" : "cuda";
        id[i] = arena_printf(a, "%s-%s--%s", kind, targets[i]->triple, targets[i]->cpu);
        head += 24 + strlen(id[i]);
    }
    Text t = text_new(a);
    text_add(&t, magic);
    put_number(&t, n + 1);
    put_entry(&t, page_above(head), 0, host);
    size_t at = page_above(head);
    for (uint32_t i = 0; i < n; i++) {
        put_entry(&t, at, images[i].bytes, id[i]);
        at = page_above(at + images[i].bytes);
    }
    for (uint32_t i = 0; i < n; i++) {
        while (t.n % PAGE) text_addn(&t, "", 1);
        text_addn(&t, images[i].data, images[i].bytes);
    }
    *out = (Image){t.data, t.n};
}
