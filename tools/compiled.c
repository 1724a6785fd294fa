/* A compiled model as the commands of `rwkv` use it. */
#include "compiled.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int set_machine(Machine *m, const char *command, int option, const char *text) {
    switch (option) {
    case MACHINE_DEVICE: m->device = text; return EXIT_DONE;
    case MACHINE_HIP: m->hip_library = text; return EXIT_DONE;
    case MACHINE_CUDA: m->cuda_library = text; return EXIT_DONE;
    default:
        if (parse_u64(text, &m->threads) && m->threads >= 1 && m->threads <= 256) return EXIT_DONE;
        return usage_error(command, "--threads %s: a number from 1 to 256", text);
    }
}

int compiled_failed(const Compiled *c, rw_status s, const rw_message *m) {
    return failed(c->command, exit_of_status(s), "%s", m->text[0] ? m->text : rw_status_name(s));
}

int compiled_open(Compiled *c, const Machine *machine, bool only_read) {
    rw_message m = {""};
    rw_context_options o = {0};
    if (machine) {
        o.device = machine->device;
        o.threads = (unsigned)machine->threads;
        bool is_cuda = o.device && strncmp(o.device, "cuda", 4) == 0;
        o.library = is_cuda ? machine->cuda_library : machine->hip_library;
    }
    rw_status s = rw_context_create(&o, &c->context, &m);
    if (s == RW_OK)
        s = (only_read ? rw_program_read : rw_program_load)(c->context, c->path, &c->program, &m);
    return s == RW_OK ? EXIT_DONE : compiled_failed(c, s, &m);
}

void compiled_close(Compiled *c) {
    rw_session_destroy(c->session);
    rw_weights_close(c->weights);
    rw_program_destroy(c->program);
    rw_context_destroy(c->context);
    c->session = NULL;
    c->weights = NULL;
    c->program = NULL;
    c->context = NULL;
}

/* ---- entries and names ----------------------------------------------------------------------- */

bool compiled_has_entry(const Compiled *c, const char *entry) {
    for (size_t i = 0; i < rw_program_entries(c->program); i++)
        if (strcmp(rw_program_entry(c->program, i), entry) == 0) return true;
    return false;
}

int compiled_need_entry(const Compiled *c, const char *entry) {
    if (compiled_has_entry(c, entry)) return EXIT_DONE;
    char all[400] = "";
    size_t at = 0;
    for (size_t i = 0; i < rw_program_entries(c->program) && at < sizeof all; i++)
        at += (size_t)snprintf(all + at, sizeof all - at, "%s%s", i ? ", " : "",
                               rw_program_entry(c->program, i));
    return failed(c->command, EXIT_INPUT, "%s: there is no entry '%s'; it has: %s", c->path, entry,
                  all);
}

bool compiled_find(const Compiled *c, rw_kind kind, const char *entry, const char *name,
                   rw_info *out) {
    size_t n = rw_program_count(c->program, kind, entry);
    for (size_t i = 0; i < n; i++)
        if (rw_program_info(c->program, kind, entry, i, out) == RW_OK &&
            strcmp(out->name, name) == 0)
            return true;
    return false;
}

/* ---- parameters ------------------------------------------------------------------------------ */

static int by_name(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Tensors of the file that are no parameters of the model. */
static void tell_unused(const Compiled *c) {
    size_t n = rw_program_count(c->program, RW_PARAM, NULL), unused = 0;
    size_t n_file = rw_weights_count(c->weights);
    const char **names = malloc((n ? n : 1) * sizeof *names);
    if (!names) return;
    size_t n_names = 0, at = 0;
    rw_info info;
    for (size_t i = 0; i < n; i++)
        if (rw_program_info(c->program, RW_PARAM, NULL, i, &info) == RW_OK)
            names[n_names++] = info.name;
    qsort(names, n_names, sizeof *names, by_name);
    char list[400] = "";
    for (size_t i = 0; i < n_file; i++) {
        const char *name = rw_weights_at(c->weights, i)->name;
        if (bsearch(&name, names, n_names, sizeof *names, by_name)) continue;
        if (unused++ < 6 && at < sizeof list)
            at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", at ? ", " : "", name);
    }
    if (unused)
        fprintf(stderr, "%s: %s: %zu tensor%s not used: %s%s\n", c->command, c->weights_path,
                unused, unused == 1 ? " is" : "s are", list, unused > 6 ? ", ..." : "");
    free(names);
}

int compiled_weights(Compiled *c, const char *path) {
    rw_message m = {""};
    c->weights_path = path;
    rw_status s = rw_weights_open(path, &c->weights, &m);
    if (s != RW_OK) return compiled_failed(c, s, &m);
    tell_unused(c);
    return EXIT_DONE;
}

int compiled_session(Compiled *c, const rw_session_options *options) {
    rw_message m = {""};
    rw_session_options o = *options;
    o.weights = c->weights;
    rw_status s = rw_session_create(c->program, &o, &c->session, &m);
    if (s == RW_OK && !c->weights) s = rw_params_init(c->session, o.seed, &m);
    if (s == RW_OK) return EXIT_DONE;
    if (c->weights && (s == RW_NO_SUCH || s == RW_BAD_SHAPE) && !strstr(m.text, c->weights_path))
        return failed(c->command, exit_of_status(s), "%s: %s", c->weights_path, m.text);
    return compiled_failed(c, s, &m);
}

int compiled_init(Compiled *c, const char *path, uint64_t seed) {
    rw_message m = {""};
    rw_session_options o = {.seed = seed}; /* of all entries: what none reads is not written */
    int code = compiled_session(c, &o);
    if (code != EXIT_DONE) return code;
    rw_status s = rw_session_save(c->session, RW_PARAM, path, NULL, &m);
    return s == RW_OK ? EXIT_DONE : compiled_failed(c, s, &m);
}

/* ---- lengths of axes ------------------------------------------------------------------------- */

int lengths_begin(Lengths *l, const Compiled *c) {
    int64_t multiple;
    l->n = rw_program_axes(c->program);
    if (l->n > MAX_AXES)
        return failed(c->command, EXIT_INPUT, "%s: %zu axes; this program knows %d", c->path, l->n,
                      MAX_AXES);
    for (size_t i = 0; i < l->n; i++) {
        l->dim[i].name = rw_program_axis(c->program, i, &multiple);
        l->dim[i].value = multiple > 1 ? multiple : 1;
    }
    return EXIT_DONE;
}

bool lengths_need(Lengths *l, const char *name, int64_t length) {
    for (size_t i = 0; i < l->n; i++) {
        if (strcmp(l->dim[i].name, name) != 0) continue;
        if (length > l->dim[i].value) l->dim[i].value = length;
        return true;
    }
    return false;
}

/* "T", "2*T", "T + 3", "3 + T", "T - 3", "T//2" of `length`. */
static void claim_one(Lengths *l, const char *text, int64_t length) {
    char name[64], end;
    long long n;
    if (length < 1 || length > (int64_t)1 << 40) return;
    if (sscanf(text, "%lld*%63[A-Za-z0-9_]%c", &n, name, &end) == 2 && n > 0)
        lengths_need(l, name, length / n);
    else if (sscanf(text, "%lld + %63[A-Za-z0-9_]%c", &n, name, &end) == 2)
        lengths_need(l, name, length - n);
    else if (sscanf(text, "%63[A-Za-z0-9_] + %lld%c", name, &n, &end) == 2)
        lengths_need(l, name, length - n);
    else if (sscanf(text, "%63[A-Za-z0-9_] - %lld%c", name, &n, &end) == 2)
        lengths_need(l, name, length + n);
    else if (sscanf(text, "%63[A-Za-z0-9_]//%lld%c", name, &n, &end) == 2 && n < 1 << 20)
        lengths_need(l, name, length * n + n - 1);
    else if (sscanf(text, "%63[A-Za-z0-9_]%c", name, &end) == 1)
        lengths_need(l, name, length);
}

void lengths_claim(Lengths *l, const rw_info *info, const int64_t *shape, int rank) {
    const char *p = info->shape_text;
    if (rank != info->rank || *p != '[') return;
    for (int i = 0; i < rank; i++) {
        char text[128];
        size_t n = 0;
        int depth = 0;
        for (p++; *p && (depth || (*p != ',' && *p != ']')); p++) {
            depth += (*p == '(') - (*p == ')');
            if (n + 1 < sizeof text) text[n++] = *p;
        }
        text[n] = 0;
        if (info->shape[i] < 0) claim_one(l, text, shape[i]);
        if (*p != ',') return;
    }
}
