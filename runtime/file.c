/* Whole files. Reading maps; writing goes to a temporary name beside the final one, which is
 * flushed and renamed when all is written, so that whoever opens the final name finds either the
 * old file or the whole new one. */
#define _XOPEN_SOURCE 700 /* realpath */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- reading ------------------------------------------------------------------------------- */

/* Reads a pipe or device to its end. Memory grows with what really came, never by a claim. */
static rw_status read_stream(int fd, const char *path, rw_file *out, rw_message *m) {
    size_t cap = (size_t)1 << 16, n = 0;
    uint8_t *data = malloc(cap);
    while (data != NULL) {
        if (n == cap) {
            if (cap >= RW_FILE_STREAM_MAX) {
                free(data);
                return rw_fail(m, RW_IO, "%s: more than %zu bytes come from this stream; "
                               "store them in a file and name that", path, RW_FILE_STREAM_MAX);
            }
            uint8_t *more = realloc(data, cap * 2);
            if (more == NULL)
                break;
            data = more;
            cap *= 2;
        }
        ssize_t got = read(fd, data + n, cap - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            int why = errno;
            free(data);
            return rw_fail(m, RW_IO, "%s: cannot read at offset %zu: %s", path, n, strerror(why));
        }
        if (got == 0) {
            *out = (rw_file){.data = data, .bytes = n};
            return RW_OK;
        }
        n += (size_t)got;
    }
    free(data);
    return rw_fail(m, RW_NO_MEMORY, "%s: no memory for its bytes (%zu so far)", path, n);
}

static rw_status map_fd(int fd, const char *path, rw_file *out, rw_message *m) {
    struct stat st;
    if (fstat(fd, &st) != 0)
        return rw_fail(m, RW_IO, "%s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return rw_fail(m, RW_IO, "%s: is a folder; a file is wanted", path);
    if (!S_ISREG(st.st_mode))
        return read_stream(fd, path, out, m);
    if (st.st_size == 0) /* also files under /proc, which say 0 and hold something */
        return read_stream(fd, path, out, m);
    if ((uintmax_t)st.st_size > (uintmax_t)PTRDIFF_MAX)
        return rw_fail(m, RW_IO, "%s: too large to map", path);
    size_t bytes = (size_t)st.st_size;
    void *p = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return rw_fail(m, RW_IO, "%s: cannot map its %zu bytes: %s", path, bytes, strerror(errno));
    *out = (rw_file){.data = p, .bytes = bytes, .is_mapped = 1};
    return RW_OK;
}

rw_status rw_file_map(const char *path, rw_file *out, rw_message *m) {
    *out = (rw_file){0};
    int fd;
    do
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return rw_fail(m, RW_IO, "%s: cannot open: %s", path, strerror(errno));
    rw_status s = map_fd(fd, path, out, m);
    close(fd);
    return s;
}

void rw_file_unmap(rw_file *f) {
    if (f->is_mapped)
        munmap((void *)(uintptr_t)f->data, f->bytes);
    else
        free((void *)(uintptr_t)f->data);
    *f = (rw_file){0};
}

/* ---- writing ------------------------------------------------------------------------------- */

struct rw_output {
    char *path; /* as the caller wrote it, for messages         */
    char *last; /* where the file is to be, links resolved      */
    char *temp; /* where it is written; NULL: last, directly    */
    int fd;
    bool has_failed;
    uint64_t written;
};

static void output_free(rw_output *o) {
    if (o->fd >= 0)
        close(o->fd);
    free(o->path);
    free(o->last);
    free(o->temp);
    free(o);
}

/* A new file beside o->last. Its name is unlike that of any other process or earlier attempt; where
 * the longest name there may be leaves no room for it, it is one of its own. */
static rw_status open_temp(rw_output *o, mode_t mode, rw_message *m) {
    size_t cap = strlen(o->last) + 48;
    const char *slash = strrchr(o->last, '/');
    int keep = (int)strlen(o->last);
    o->temp = malloc(cap);
    if (o->temp == NULL)
        return rw_fail(m, RW_NO_MEMORY, "%s: no memory", o->path);
    for (int k = 0; k < 1000; k++) {
        snprintf(o->temp, cap, "%.*s.part-%ld-%d", keep, o->last, (long)getpid(), k);
        o->fd = open(o->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (o->fd >= 0) {
            if (mode != 0)
                (void)fchmod(o->fd, mode); /* not all file systems keep rights: not an error */
            return RW_OK;
        }
        if (errno == ENAMETOOLONG && keep > 0) {
            int folder = slash != NULL ? (int)(slash - o->last) + 1 : 0;
            errno = keep == folder ? ENAMETOOLONG : EEXIST;
            keep = folder;
        }
        if (errno != EEXIST && errno != EINTR)
            break;
    }
    int why = errno;
    free(o->temp);
    o->temp = NULL;
    return rw_fail(m, RW_IO, "%s: cannot create a file in its folder: %s", o->path, strerror(why));
}

static rw_status output_open(rw_output *o, rw_message *m) {
    struct stat st;
    mode_t mode = 0;
    bool exists = stat(o->path, &st) == 0;
    if (exists && S_ISDIR(st.st_mode))
        return rw_fail(m, RW_IO, "%s: is a folder; cannot write a file of this name", o->path);
    if (exists && !S_ISREG(st.st_mode)) {
        o->fd = open(o->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
        if (o->fd < 0)
            return rw_fail(m, RW_IO, "%s: cannot open for writing: %s", o->path, strerror(errno));
        return RW_OK;
    }
    if (exists) {
        /* renaming would replace what may not be written to: ask as a plain write would */
        if (access(o->path, W_OK) != 0)
            return rw_fail(m, RW_IO, "%s: cannot open for writing: %s", o->path, strerror(errno));
        mode = st.st_mode & 07777;
    }
    o->last = exists ? realpath(o->path, NULL) : strdup(o->path);
    if (o->last == NULL)
        return rw_fail(m, errno == ENOMEM ? RW_NO_MEMORY : RW_IO, "%s: %s", o->path,
                       strerror(errno));
    return open_temp(o, mode, m);
}

rw_status rw_file_create(const char *path, rw_output **out, rw_message *m) {
    *out = NULL;
    if (path[0] == '\0')
        return rw_fail(m, RW_BAD_ARG, "the name of the file to write is empty");
    rw_output *o = calloc(1, sizeof *o);
    if (o == NULL)
        return rw_fail(m, RW_NO_MEMORY, "%s: no memory", path);
    o->fd = -1;
    o->path = strdup(path);
    rw_status s = o->path == NULL ? rw_fail(m, RW_NO_MEMORY, "%s: no memory", path)
                                  : output_open(o, m);
    if (s != RW_OK) {
        output_free(o);
        return s;
    }
    *out = o;
    return RW_OK;
}

rw_status rw_file_write(rw_output *o, const void *data, size_t bytes, rw_message *m) {
    const uint8_t *p = data;
    if (o->has_failed)
        return rw_fail(m, RW_IO, "%s: an earlier write failed", o->path);
    while (bytes > 0) {
        /* Linux takes 2^31 - 4096 bytes a call at most */
        ssize_t done = write(o->fd, p, bytes < (size_t)1 << 30 ? bytes : (size_t)1 << 30);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            int why = done < 0 ? errno : ENOSPC;
            o->has_failed = true;
            return rw_fail(m, RW_IO, "%s: cannot write at offset %llu: %s", o->path,
                           (unsigned long long)o->written, strerror(why));
        }
        p += done;
        bytes -= (size_t)done;
        o->written += (uint64_t)done;
    }
    return RW_OK;
}

uint64_t rw_file_written(const rw_output *o) {
    return o->written;
}

void rw_file_abort(rw_output *o) {
    if (o == NULL)
        return;
    if (o->temp != NULL)
        unlink(o->temp);
    output_free(o);
}

/* A rename is on the disk when its folder is; where a folder cannot be flushed nothing is lost
 * but certainty after a power cut, so failures are not reported. */
static void flush_folder(const char *path) {
    char *folder = strdup(path);
    if (folder == NULL)
        return;
    char *slash = strrchr(folder, '/');
    if (slash == folder)
        slash[1] = '\0';
    else if (slash != NULL)
        slash[0] = '\0';
    int fd = open(slash != NULL ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    free(folder);
}

rw_status rw_file_commit(rw_output *o, rw_message *m) {
    rw_status s = RW_OK;
    if (o->has_failed)
        s = rw_fail(m, RW_IO, "%s: an earlier write failed", o->path);
    if (s == RW_OK && o->temp != NULL && fsync(o->fd) != 0)
        s = rw_fail(m, RW_IO, "%s: cannot flush to the disk: %s", o->path, strerror(errno));
    int fd = o->fd;
    o->fd = -1;
    if (close(fd) != 0 && errno != EINTR && s == RW_OK)
        s = rw_fail(m, RW_IO, "%s: cannot close: %s", o->path, strerror(errno));
    if (s == RW_OK && o->temp != NULL) {
        if (rename(o->temp, o->last) == 0) {
            flush_folder(o->last);
            free(o->temp);
            o->temp = NULL;
        } else {
            s = rw_fail(m, RW_IO, "%s: cannot rename the finished file: %s", o->path,
                        strerror(errno));
        }
    }
    rw_file_abort(o);
    return s;
}

rw_status rw_file_save(const char *path, const void *data, size_t bytes, rw_message *m) {
    rw_output *o;
    rw_status s = rw_file_create(path, &o, m);
    if (s != RW_OK)
        return s;
    s = rw_file_write(o, data, bytes, m);
    if (s != RW_OK) {
        rw_file_abort(o);
        return s;
    }
    return rw_file_commit(o, m);
}
