/* What the tests of this folder share: a folder for their files, the folder of shared data, numbers at random.
 * Each test is one program: include this in one file only. */
#ifndef TESTS_RUNTIME_CHECK_H
#define TESTS_RUNTIME_CHECK_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/file.h"
#include "tests/failures.h"

/* ---- files --------------------------------------------------------------------------------- */

static char folder[256];

static inline void folder_make(void) {
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/runtime-test-XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(folder) == NULL) {
        perror(folder);
        exit(1);
    }
}

/* Removes the folder; says whether anything was in it beside what the test made (temporary files
 * that were left behind end in "part-..."). */
static inline void folder_remove(void) {
    char path[600];
    DIR *d = opendir(folder);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        CHECK(strstr(e->d_name, ".part-") == NULL, "%s was left behind", e->d_name);
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] != '.') remove(path);
    }
    if (d != NULL) closedir(d);
    CHECK(rmdir(folder) == 0, "%s is not empty", folder);
}

/* A path in the folder; each call has its own text, four of them at a time. */
static inline const char *in_folder(const char *name) {
    static char text[4][512];
    static int next;
    next = (next + 1) % 4;
    snprintf(text[next], sizeof text[next], "%s/%s", folder, name);
    return text[next];
}

/* A new file: some file systems flush to the disk when one that was cut is closed. */
static inline void spill(const char *path, const void *data, size_t n) {
    remove(path);
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(data, 1, n, f) != n || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
}

/* The bytes of a file; *n = their number. To be freed. */
static inline uint8_t *slurp(const char *path, size_t *n) {
    rw_message m = {""};
    rw_file f;
    if (rw_file_map(path, &f, &m) != RW_OK) {
        printf("%s\n", m.text);
        exit(1);
    }
    uint8_t *p = malloc(f.bytes + 1);
    memcpy(p, f.data, f.bytes);
    *n = f.bytes;
    rw_file_unmap(&f);
    return p;
}

/* ---- shared data --------------------------------------------------------------------------- */

#ifndef RWKVC_SHARED
#define RWKVC_SHARED ""
#endif

/* A path in data/ of the shared folder, or NULL where there is none. */
static inline const char *shared(const char *name) {
    static char text[4][1024];
    static int next;
    const char *base = getenv("RWKVC_SHARED");
    base = base != NULL && base[0] != '\0' ? base : RWKVC_SHARED;
    next = (next + 1) % 4;
    snprintf(text[next], sizeof text[next], "%s/data/%s", base, name);
    return base[0] != '\0' && access(text[next], R_OK) == 0 ? text[next] : NULL;
}

/* A test whose other checks passed but which missed the shared data. */
static inline int finish_without_shared(void) {
    if (n_failures == 0) printf("SKIP: no shared data\n");
    return n_failures > 0 ? finish() : 77;
}

/* ---- numbers ------------------------------------------------------------------------------- */

/* A plain generator for what tests need at random; nothing under test is used for it. */
static inline uint32_t dice(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

#endif
