/* The directory of a zip file, read in place. Entries must be stored, not packed: their bytes are
 * used from the map of the file. Not for users of the runtime. */
#ifndef RW_ZIP_H
#define RW_ZIP_H

#include <stdbool.h>

#include "file.h"

typedef struct zip_entry {
    const char *name; /* in the map; not NUL-terminated */
    size_t name_length;
    uint64_t at;      /* of its local header            */
    uint64_t bytes;
    uint32_t crc;
    uint16_t method;  /* 0 = stored                     */
    uint16_t flags;
    bool is_checked;  /* its check sum was right        */
    bool is_used;     /* for the one who reads: not set here */
} zip_entry;

typedef struct zip_directory {
    const rw_file *file;
    const char *path; /* for messages */
    zip_entry *entry; /* n of them, sorted by name */
    size_t n;
} zip_directory;

/* Reads the directory, zip64 records included. out->entry must be freed, also after a failure.
 * What is allocated is bounded by the bytes the directory really has. */
rw_status zip_open(const rw_file *file, const char *path, zip_directory *out, rw_message *m);
/* The entry named a followed by b, or NULL. */
zip_entry *zip_find(const zip_directory *z, const char *a, size_t a_length, const char *b,
                    size_t b_length);
/* Where the bytes of e lie, all of them inside the file. */
rw_status zip_data(const zip_directory *z, const zip_entry *e, const uint8_t **data, rw_message *m);
/* Compares the check sum of e's bytes, once. */
rw_status zip_check(const zip_directory *z, zip_entry *e, rw_message *m);

#endif
