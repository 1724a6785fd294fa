/* One relocatable object into a shared one. lld reads and writes files: two with names of their own, beside
 * the one that is to be made, gone when this is done. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bundle.h"
#include "link.h"

/* A new file that is open, its name in *name; -1. */
static int temporary(Arena *a, const char *path, char **name) {
    *name = arena_printf(a, "%s.part-XXXXXX", path);
    return mkstemp(*name);
}

static bool put(int fd, const char *data, size_t n) {
    while (n > 0) {
        ssize_t k = write(fd, data, n);
        if (k < 0 && errno != EINTR) return false;
        if (k > 0) data += k, n -= (size_t)k;
    }
    return true;
}

const char *image_read(Arena *a, const char *name, Image *out) {
    FILE *f = fopen(name, "rb");
    long n = -1;
    if (f && fseek(f, 0, SEEK_END) == 0) n = ftell(f);
    char *to = n > 0 ? arena_alloc(a, (size_t)n) : NULL;
    bool good = to && fseek(f, 0, SEEK_SET) == 0 && fread(to, 1, (size_t)n, f) == (size_t)n;
    if (f) fclose(f);
    if (!good) return arena_printf(a, "%s: cannot be read back", name);
    *out = (Image){to, (size_t)n};
    return NULL;
}

const char *link_shared(Arena *a, const void *object, size_t n, const char *path,
                        const void **image, size_t *bytes) {
    char *in, *out;
    int fd = temporary(a, path, &in);
    if (fd < 0) return arena_printf(a, "%s: %s", path, strerror(errno));
    bool good = put(fd, object, n);
    good = close(fd) == 0 && good;
    int made = good ? temporary(a, path, &out) : -1;
    if (made < 0) {
        const char *why = arena_printf(a, "%s: %s", path, strerror(errno));
        unlink(in);
        return why;
    }
    close(made);
    const char *args[] = {"ld.lld",
                          "-shared",
                          "--no-undefined",
                          "--threads=1",
                          "-z",
                          "noexecstack",
                          "--strip-debug",
                          in,
                          "-o",
                          out};
    char *said = link_elf(args, sizeof args / sizeof *args);
    Image made_of = {NULL, 0};
    const char *wrong = said ? arena_str(a, said) : image_read(a, out, &made_of);
    *image = made_of.data;
    *bytes = made_of.bytes;
    free(said);
    unlink(in);
    unlink(out);
    return wrong;
}
