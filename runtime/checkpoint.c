/* The files of a training run. */
#include "checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const parts[2] = {"train", "model"}; /* in the order they are written */

/* "DIR/model-0000000100.safetensors"; to be freed. */
static char *part_path(const char *dir, const char *part, uint64_t step) {
    size_t cap = strlen(dir) + strlen(part) + 48;
    char *path = malloc(cap);
    if (path != NULL)
        snprintf(path, cap, "%s/%s-%010llu.safetensors", dir, part, (unsigned long long)step);
    return path;
}

static rw_status no_memory(const char *dir, rw_message *m) {
    return rw_fail(m, RW_NO_MEMORY, "%s: no memory for names of files", dir);
}

rw_status rw_checkpoint_folder(const char *dir, rw_message *m) {
    struct stat st;
    if (mkdir(dir, 0777) != 0 && errno != EEXIST)
        return rw_fail(m, RW_IO, "%s: cannot make this folder: %s", dir, strerror(errno));
    if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode))
        return rw_fail(m, RW_IO, "%s: is no folder", dir);
    return RW_OK;
}

/* ---- what there is --------------------------------------------------------------------------- */

/* Which part a name is of, and its step; -1: neither. */
static int part_of(const char *name, uint64_t *step) {
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(parts[i]);
        if (strncmp(name, parts[i], n) != 0 || name[n] != '-') continue;
        char *end;
        errno = 0;
        unsigned long long v = strtoull(name + n + 1, &end, 10);
        if (end - (name + n + 1) < 10 || errno != 0 || strcmp(end, ".safetensors") != 0) continue;
        *step = v;
        return i;
    }
    return -1;
}

/* What a killed run was writing: "model-0000000100.safetensors.part-17-0". */
static int is_left_over(const char *name) {
    int ours = strncmp(name, "model", 5) == 0 || strncmp(name, "train-", 6) == 0 ||
               strncmp(name, "metrics.csv", 11) == 0;
    return ours && strstr(name, ".part-") != NULL;
}

typedef struct listing {
    uint64_t *step[2];
    size_t n[2], cap[2];
} listing;

static void listing_free(listing *l) {
    free(l->step[0]);
    free(l->step[1]);
}

static int by_step(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int list_name(listing *l, const char *name) {
    uint64_t step;
    int i = part_of(name, &step);
    if (i < 0) return 1;
    if (l->n[i] == l->cap[i]) {
        size_t cap = l->cap[i] ? 2 * l->cap[i] : 16;
        uint64_t *more = realloc(l->step[i], cap * sizeof *more);
        if (more == NULL) return 0;
        l->step[i] = more;
        l->cap[i] = cap;
    }
    l->step[i][l->n[i]++] = step;
    return 1;
}

/* The steps of both parts, ascending. */
static rw_status list(const char *dir, listing *l, rw_message *m) {
    *l = (listing){0};
    DIR *d = opendir(dir);
    if (d == NULL)
        return rw_fail(m, RW_IO, "%s: cannot read this folder: %s", dir, strerror(errno));
    int good = 1;
    for (struct dirent *e; good && (e = readdir(d)) != NULL;) good = list_name(l, e->d_name);
    closedir(d);
    if (!good) return no_memory(dir, m);
    for (int i = 0; i < 2; i++)
        if (l->n[i] > 0) qsort(l->step[i], l->n[i], sizeof *l->step[i], by_step);
    return RW_OK;
}

static int has_both(const listing *l, size_t model) {
    return l->n[0] > 0 &&
           bsearch(&l->step[1][model], l->step[0], l->n[0], sizeof(uint64_t), by_step) != NULL;
}

rw_status rw_checkpoint_newest(const char *dir, bool *found, uint64_t *step, rw_message *m) {
    listing l;
    *found = false;
    rw_status s = list(dir, &l, m);
    for (size_t i = l.n[1]; i-- > 0 && !*found;)
        if (has_both(&l, i)) {
            *found = true;
            *step = l.step[1][i];
        }
    listing_free(&l);
    return s;
}

/* ---- writing --------------------------------------------------------------------------------- */

static rw_status remove_part(const char *dir, int i, uint64_t step, rw_message *m) {
    char *path = part_path(dir, parts[i], step);
    if (path == NULL) return no_memory(dir, m);
    rw_status s = RW_OK;
    if (unlink(path) != 0 && errno != ENOENT)
        s = rw_fail(m, RW_IO, "%s: cannot be removed: %s", path, strerror(errno));
    free(path);
    return s;
}

static void remove_left_overs(const char *dir) {
    DIR *d = opendir(dir);
    if (d == NULL) return;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (is_left_over(e->d_name)) (void)unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
}

/* Everything before the keep'th newest whole checkpoint. */
static rw_status prune(const char *dir, unsigned keep, rw_message *m) {
    listing l;
    rw_status s = list(dir, &l, m);
    uint64_t oldest = 0;
    unsigned whole = 0;
    for (size_t i = l.n[1]; i-- > 0 && whole < keep;)
        if (has_both(&l, i)) {
            whole++;
            oldest = l.step[1][i];
        }
    if (whole < keep) oldest = 0;
    for (int i = 1; i >= 0; i--) /* the parameters first: half a checkpoint counts for none */
        for (size_t k = 0; k < l.n[i] && s == RW_OK && l.step[i][k] < oldest; k++)
            s = remove_part(dir, i, l.step[i][k], m);
    listing_free(&l);
    return s;
}

/* model.safetensors becomes another name of the newest file. */
static rw_status link_newest(const char *dir, const char *model, const rw_session *session,
                             rw_message *m) {
    size_t cap = strlen(dir) + 48;
    char *temp = malloc(cap), *last = malloc(cap);
    rw_status s = RW_OK;
    if (temp == NULL || last == NULL) {
        s = no_memory(dir, m);
    } else {
        snprintf(temp, cap, "%s/model.safetensors.part-%ld-l", dir, (long)getpid());
        snprintf(last, cap, "%s/model.safetensors", dir);
        (void)unlink(temp);
        /* a file system without links gets a second copy */
        if (link(model, temp) != 0 || rename(temp, last) != 0)
            s = rw_session_save(session, RW_PARAM, last, NULL, m);
        (void)unlink(temp);
    }
    free(temp);
    free(last);
    return s;
}

rw_status rw_checkpoint_save(const char *dir, uint64_t step, const rw_session *session,
                             const char *const *meta, unsigned keep, rw_message *m) {
    char *train = part_path(dir, "train", step), *model = part_path(dir, "model", step);
    rw_status s = RW_OK;
    if (train == NULL || model == NULL) s = no_memory(dir, m);
    if (s == RW_OK) s = rw_session_save(session, RW_OPTIMIZER, train, meta, m);
    if (s == RW_OK) s = rw_session_save(session, RW_PARAM, model, NULL, m);
    if (s == RW_OK) s = link_newest(dir, model, session, m);
    free(train);
    free(model);
    if (s != RW_OK) return s;
    remove_left_overs(dir);
    return keep > 0 ? prune(dir, keep, m) : RW_OK;
}

/* ---- reading --------------------------------------------------------------------------------- */

rw_status rw_checkpoint_load(const char *dir, uint64_t step, rw_session *session,
                             rw_weights **state, rw_message *m) {
    char *train = part_path(dir, "train", step), *model = part_path(dir, "model", step);
    rw_weights *w = NULL;
    *state = NULL;
    rw_status s = train == NULL || model == NULL ? no_memory(dir, m) : RW_OK;
    if (s == RW_OK) s = rw_weights_open(model, &w, m);
    if (s == RW_OK) s = rw_params_load(session, w, false, m);
    if (s == RW_OK) s = rw_weights_open(train, state, m);
    if (s == RW_OK && rw_session_count(session, RW_OPTIMIZER) > 0)
        s = rw_states_load(session, RW_OPTIMIZER, *state, m);
    rw_weights_close(w);
    free(train);
    free(model);
    if (s == RW_OK) return s;
    rw_weights_close(*state);
    *state = NULL;
    return s;
}
