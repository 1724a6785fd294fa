/* A model text from the command line to a checked program, for the commands that take one. */
#include "model.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void model_options(ModelOptions *o, Arena *a, const char *command, int argc) {
    uint32_t most = (uint32_t)argc + 1;
    *o = (ModelOptions){.command = command,
                        .defines = NEWN(a, Define, most),
                        .dirs = NEWN(a, const char *, most),
                        .style = isatty(STDERR_FILENO) ? DIAG_COLOUR : DIAG_PLAIN};
}

bool model_option(ModelOptions *o, Arena *a, int c, char *text) {
    if (c == 'I') {
        o->dirs[o->n_dirs++] = text;
        return true;
    }
    if (c == 'W') {
        if (strcmp(text, "error") == 0) return o->warnings_are_errors = true;
        usage_error(o->command, "there is no option '-W%s'; -Werror makes errors of warnings",
                    text);
        return false;
    }
    Pair p;
    if (!split_pair(o->command, "-D", arena_str(a, text), &p)) return false;
    for (uint32_t i = 0; i < o->n_defines; i++)
        if (strcmp(o->defines[i].name, p.name) == 0) {
            usage_error(o->command, "-D gives '%s' twice", p.name);
            return false;
        }
    o->defines[o->n_defines++] = (Define){.name = p.name, .text = p.value};
    return true;
}

bool model_diagnostics(ModelOptions *o, const char *form) {
    if (strcmp(form, "json") == 0) o->style = DIAG_JSON;
    if (strcmp(form, "json") == 0 || strcmp(form, "text") == 0) return true;
    usage_error(o->command, "--diagnostics is text or json, not '%s'", form);
    return false;
}

/* A file that is not there is not the text's fault: told apart before the checker looks. */
static int try_reading(const ModelOptions *o) {
    errno = 0;
    struct stat is = {0};
    bool pipe = stat(o->path, &is) == 0 && !S_ISREG(is.st_mode) && !S_ISDIR(is.st_mode);
    if (pipe) return EXIT_DONE; /* what is read here would be lost to the checker */
    FILE *f = fopen(o->path, "rb");
    if (f) getc(f); /* a folder opens, and fails here */
    bool good = f && !ferror(f);
    int why = errno;
    if (f) fclose(f);
    if (good) return EXIT_DONE;
    return failed(o->command, EXIT_IO, "%s: %s", o->path, why ? strerror(why) : "cannot be read");
}

int model_read(Model *m, Arena *a, const ModelOptions *o) {
    *m = (Model){.options = o, .arena = a};
    if (!o->path) return usage_error(o->command, "which MODEL.rwkv?");
    int code = try_reading(o);
    if (code != EXIT_DONE) return code;
    m->diag = diag_new(a, 0);
    CheckOptions check = {.defines = o->defines,
                          .n_defines = o->n_defines,
                          .include_dirs = o->dirs,
                          .n_include_dirs = o->n_dirs};
    m->program = check_file(a, m->diag, o->path, &check);
    bool good = m->program && !(o->warnings_are_errors && diag_warnings(m->diag));
    return good ? EXIT_DONE : EXIT_INPUT;
}

Graph *model_graph(Model *m, const char *entry) {
    return program_graph(m->program, entry, m->diag);
}

bool model_has_entry(const Model *m, const char *entry) {
    for (uint32_t i = 0; i < program_entries(m->program); i++)
        if (strcmp(program_entry(m->program, i), entry) == 0) return true;
    return false;
}

int model_end(Model *m, int code) {
    if (!m->diag) return code;
    uint32_t errors = diag_errors(m->diag), warnings = diag_warnings(m->diag);
    if (errors || warnings || m->options->style == DIAG_JSON)
        diag_print(m->diag, stderr, m->options->style);
    if (code != EXIT_DONE) return code;
    return errors || (warnings && m->options->warnings_are_errors) ? EXIT_INPUT : EXIT_DONE;
}
