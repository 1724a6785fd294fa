/* Whole files: mapped for reading, written so that a half-written one is never seen. */
#ifndef RW_FILE_H
#define RW_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The bytes of a file, read only. An empty file has bytes == 0 and data not NULL. Regular files
 * are mapped: who shortens one while it is in use gets the reader killed by SIGBUS, so files are
 * replaced by renaming (as rw_file_create does), never cut in place. */
typedef struct rw_file {
    const uint8_t *data;
    size_t bytes;
    int is_mapped; /* else data was allocated */
} rw_file;

/* Opens path. Pipes and character devices (/dev/stdin) are read into memory, up to
 * RW_FILE_STREAM_MAX bytes. RW_IO: no such file, a folder, no permission, a read error.
 * On failure *out is empty, and unmapping it does nothing. */
#define RW_FILE_STREAM_MAX ((size_t)1 << 30)
rw_status rw_file_map(const char *path, rw_file *out, rw_message *m);
void rw_file_unmap(rw_file *f); /* may be called again, and on an all-zero rw_file */

/* A file being written. It lies beside its final place under another name until it is committed;
 * a file that was there before stays untouched until then, keeps its access rights, and a
 * symbolic link to it stays a link. Devices and pipes are written directly. */
typedef struct rw_output rw_output;

rw_status rw_file_create(const char *path, rw_output **out, rw_message *m);
/* Appends. After a failure (disk full, ...) every later write fails too, and so does commit. */
rw_status rw_file_write(rw_output *o, const void *data, size_t bytes, rw_message *m);
uint64_t rw_file_written(const rw_output *o); /* bytes so far */
/* Flushes to the disk and renames. Frees o, whatever it returns; on failure the temporary file
 * is removed. */
rw_status rw_file_commit(rw_output *o, rw_message *m);
void rw_file_abort(rw_output *o); /* removes the temporary file and frees o; o may be NULL */

/* rw_file_create, _write and _commit in one. */
rw_status rw_file_save(const char *path, const void *data, size_t bytes, rw_message *m);

#ifdef __cplusplus
}
#endif
#endif
