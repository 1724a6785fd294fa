/* From plans to a file. */
#include <errno.h>
#include <sha2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../runtime/format.h"
#include "codegen.h"

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
static const char *write_file(Arena *a, const char *path, const void *image, size_t bytes) {
    unsigned char trailer[RW_TRAILER_BYTES];
    char *name = arena_printf(a, "%s.part-XXXXXX", path);
    int fd = mkstemp(name);
    if (fd < 0) return arena_printf(a, "%s: %s", path, strerror(errno));
    mode_t mask = umask(0);
    umask(mask);
    FILE *f = fdopen(fd, "wb");
    make_trailer(image, bytes, trailer);
    bool good = f && fwrite(image, 1, bytes, f) == bytes &&
                fwrite(trailer, 1, sizeof trailer, f) == sizeof trailer;
    good = good && fflush(f) == 0 && fchmod(fd, 0666 & ~mask) == 0 && fsync(fd) == 0;
    if (f ? fclose(f) : close(fd)) good = false;
    if (good && rename(name, path) == 0) return NULL;
    const char *wrong = arena_printf(a, "%s: %s", path, strerror(errno));
    unlink(name);
    return wrong;
}

static const char *make(Codegen *cg, Arena *a, FileEntry *entries, uint32_t n, const TargetInfo *t,
                        const char *program, const char *path, bool *is_io) {
    const void *blob, *object, *image;
    size_t blob_bytes, object_bytes, image_bytes;
    const char *wrong = NULL;
    for (uint32_t i = 0; i < n && !wrong; i++) {
        if (!entries[i].plan) continue;
        entries[i].codes = NEWN(a, KernelCode, entries[i].plan->kernels.n + 1);
        wrong = codegen_add(cg, entries[i].plan, entries[i].codes);
    }
    if (!wrong) wrong = manifest_write(a, entries, n, t, program, &blob, &blob_bytes);
    if (!wrong) wrong = codegen_object(cg, blob, blob_bytes, &object, &object_bytes);
    if (wrong) return arena_str(a, wrong);
    *is_io = true;
    wrong = link_shared(a, object, object_bytes, path, &image, &image_bytes);
    return wrong ? wrong : write_file(a, path, image, image_bytes);
}

const char *file_write(Arena *a, FileEntry *entries, uint32_t n, const TargetInfo *t,
                       const char *program, const char *path, bool *is_io) {
    *is_io = false;
    Codegen *cg = codegen_new(a, t);
    const char *wrong = make(cg, a, entries, n, t, program, path, is_io);
    codegen_free(cg);
    return wrong;
}
