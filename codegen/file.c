/* From plans to a file. */
#include <errno.h>
#include <pthread.h>
#include <sha2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../runtime/format.h"
#include "bundle.h"

/* magic, length of the image, hash of all before the hash */
static void make_trailer(const void *image, size_t bytes, unsigned char *trailer) {
    memcpy(trailer, RW_TRAILER_MAGIC, RW_TRAILER_MAGIC_BYTES);
    for (int i = 0; i < 8; i++)
        trailer[RW_TRAILER_MAGIC_BYTES + i] = (unsigned char)((uint64_t)bytes >> (8 * i));
    SHA2_CTX c;
    SHA256Init(&c);
    SHA256Update(&c, image, bytes);
    SHA256Update(&c, trailer, RW_TRAILER_BYTES - RW_HASH_BYTES);
    SHA256Final(trailer + RW_TRAILER_BYTES - RW_HASH_BYTES, &c);
}

/* Written beside its place and renamed, with the rights a new file would have. */
static const char *write_file(Arena *a, const char *path, const Image *image, bool trailer) {
    unsigned char end[RW_TRAILER_BYTES];
    char *name = arena_printf(a, "%s.part-XXXXXX", path);
    int fd = mkstemp(name);
    if (fd < 0) return arena_printf(a, "%s: %s", path, strerror(errno));
    mode_t mask = umask(0);
    umask(mask);
    FILE *f = fdopen(fd, "wb");
    if (trailer) make_trailer(image->data, image->bytes, end);
    bool good = f && fwrite(image->data, 1, image->bytes, f) == image->bytes &&
                (!trailer || fwrite(end, 1, sizeof end, f) == sizeof end);
    good = good && fflush(f) == 0 && fchmod(fd, 0666 & ~mask) == 0 && fsync(fd) == 0;
    if (f ? fclose(f) : close(fd)) good = false;
    if (good && rename(name, path) == 0) return NULL;
    const char *wrong = arena_printf(a, "%s: %s", path, strerror(errno));
    unlink(name);
    return wrong;
}

/* ---- one target ------------------------------------------------------------------------------------- */

typedef struct Part {
    Arena *arena; /* of its own: parts are compiled side by side */
    Codegen *cg;
    const TargetInfo *t;
    const FileTo *to;
    Image blob, object;
    const char *wrong;
    bool is_io;
    pthread_t thread;
    bool started;
} Part;

/* Plans and their sizes are shared, so this is done for one target after another. */
static const char *part_build(Part *p, FileEntry *entries, uint32_t n) {
    p->cg = codegen_new(p->arena, p->t);
    const char *wrong = NULL;
    for (uint32_t i = 0; i < n && !wrong; i++) {
        if (!entries[i].plan) continue;
        entries[i].codes = NEWN(p->arena, KernelCode, entries[i].plan->kernels.n + 1);
        wrong = codegen_add(p->cg, entries[i].plan, entries[i].codes);
    }
    if (wrong) return wrong;
    Rates rates;
    codegen_rates(p->cg, &rates);
    return manifest_write(p->arena, entries, n, p->t, &rates, p->to->program, &p->blob.data,
                          &p->blob.bytes);
}

static void *part_compile(void *user) {
    Part *p = user;
    p->wrong =
        codegen_object(p->cg, p->blob.data, p->blob.bytes, &p->object.data, &p->object.bytes);
    if (p->wrong || !p->to->ptxas) return NULL;
    Text said = text_new(p->arena);
    Image text = p->object;
    p->is_io = true;
    p->wrong = ptxas_run(p->arena, p->to->ptxas, p->t, NULL, &text, &p->object, &said);
    return NULL;
}

static const char *compile_all(Part *p, uint32_t n, bool *is_io) {
    for (uint32_t i = 1; i < n; i++)
        p[i].started = pthread_create(&p[i].thread, NULL, part_compile, &p[i]) == 0;
    for (uint32_t i = 0; i < n; i++)
        if (!p[i].started) part_compile(&p[i]);
    const char *wrong = NULL;
    for (uint32_t i = 0; i < n; i++) {
        if (p[i].started) pthread_join(p[i].thread, NULL);
        if (wrong || !p[i].wrong) continue;
        wrong = p[i].wrong;
        *is_io = p[i].is_io;
    }
    return wrong;
}

/* ---- the file ------------------------------------------------------------------------------------------ */

static bool is_text(const Part *p) { return p->t->family == FAMILY_NVIDIA && !p->to->ptxas; }

static const char *pack(Arena *a, Part *p, const TargetInfo *const *targets, uint32_t n,
                        Image *out) {
    if (is_text(p)) {
        ptx_make(a, p[0].blob.data, p[0].blob.bytes, &p[0].object, out);
        return NULL;
    }
    Image *images = NEWN(a, Image, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        images[i] = p[i].object;
        if (p->to->ptxas) continue;
        const char *wrong = link_shared(a, p[i].object.data, p[i].object.bytes, p->to->path,
                                        &images[i].data, &images[i].bytes);
        if (wrong) return wrong;
    }
    if (n == 1)
        *out = images[0];
    else
        bundle_make(a, targets, images, n, out);
    return NULL;
}

static const char *make(Arena *a, Part *parts, FileEntry *entries, uint32_t n,
                        const TargetInfo *const *targets, uint32_t n_targets, bool *is_io) {
    const char *wrong = NULL;
    for (uint32_t i = 0; i < n_targets && !wrong; i++) wrong = part_build(&parts[i], entries, n);
    if (!wrong) wrong = compile_all(parts, n_targets, is_io);
    if (wrong) return arena_str(a, wrong);
    Image image;
    *is_io = true;
    wrong = pack(a, parts, targets, n_targets, &image);
    return wrong ? wrong : write_file(a, parts->to->path, &image, !is_text(parts));
}

const char *file_write_all(Arena *a, FileEntry *entries, uint32_t n,
                           const TargetInfo *const *targets, uint32_t n_targets, const FileTo *to,
                           bool *is_io) {
    *is_io = false;
    Part *parts = NEWN(a, Part, n_targets + 1);
    for (uint32_t i = 0; i < n_targets; i++)
        parts[i] = (Part){.arena = arena_new(), .t = targets[i], .to = to};
    const char *wrong = make(a, parts, entries, n, targets, n_targets, is_io);
    for (uint32_t i = 0; i < n_targets; i++) {
        codegen_free(parts[i].cg);
        arena_free(parts[i].arena);
    }
    for (uint32_t i = 0; i < n; i++) entries[i].codes = NULL;
    return wrong;
}

const char *file_write(Arena *a, FileEntry *entries, uint32_t n, const TargetInfo *t,
                       const char *program, const char *path, bool *is_io) {
    FileTo to = {.path = path, .program = program};
    return file_write_all(a, entries, n, &t, 1, &to, is_io);
}
