/* What every command needs: exit codes, options one by one, an honest end of standard output. */
#include "options.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int usage_error(const char *command, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s: ", command);
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\n  '%s --help' shows how it is used\n", command);
    va_end(ap);
    return EXIT_USAGE;
}

int failed(const char *command, int code, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s: ", command);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    return code;
}

static void option_mistake(const Line *l, const char *word, bool lacks_value) {
    bool is_long = strncmp(word, "--", 2) == 0;
    char letter[3] = {'-', (char)optopt, 0};
    const char *name = is_long ? word : letter;
    int len = (int)(is_long ? strcspn(word, "=") : 2);
    if (lacks_value)
        usage_error(l->command, "option '%.*s' needs a value", len, name);
    else if (is_long && optopt)
        usage_error(l->command, "option '%.*s' takes no value", len, name);
    else
        usage_error(l->command, "there is no option '%.*s'", len, name);
}

/* -h is --help wherever there is one. */
static int help_value(const Line *l) {
    for (const struct option *o = l->longs; o->name; o++)
        if (strcmp(o->name, "help") == 0) return o->val;
    return 0;
}

int next_option(Line *l) {
    if (optind < l->argc && strcmp(l->argv[optind], "--") == 0 && !l->only_arguments) {
        l->only_arguments = true;
        optind++;
    }
    if (l->only_arguments) {
        if (optind >= l->argc) return -1;
        optarg = l->argv[optind++];
        return 1;
    }
    char all[64];
    /* '-': arguments come as option 1 in their order, whatever POSIXLY_CORRECT says; ':': a missing
     * value is told apart from an unknown option. */
    snprintf(all, sizeof all, "-:h%s", l->shorts);
    opterr = 0;
    int at = optind;
    int c = getopt_long(l->argc, l->argv, all, l->longs, NULL);
    if (c == 'h') return help_value(l);
    if (c != '?' && c != ':') return c;
    option_mistake(l, l->argv[at < l->argc ? at : l->argc - 1], c == ':');
    return 0;
}

bool split_pair(const char *command, const char *option, char *text, Pair *out) {
    char *eq = strchr(text, '=');
    if (!eq || eq == text) {
        usage_error(command, "%s wants NAME=VALUE and got '%s'", option, text);
        return false;
    }
    *eq = 0;
    *out = (Pair){.name = text, .value = eq + 1};
    return true;
}

bool add_pair(const char *command, const char *option, char *text, Pairs *to) {
    Pair p;
    if (!split_pair(command, option, text, &p)) return false;
    if (find_pair(to, p.name)) {
        usage_error(command, "%s gives '%s' twice", option, p.name);
        return false;
    }
    Pair *data = realloc(to->data, (to->n + 1) * sizeof *data);
    if (!data) exit(failed(command, EXIT_INTERNAL, "out of memory"));
    to->data = data;
    to->data[to->n++] = p;
    return true;
}

const char *find_pair(const Pairs *p, const char *name) {
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->data[i].name, name) == 0) return p->data[i].value;
    return NULL;
}

void free_pairs(Pairs *p) {
    free(p->data);
    *p = (Pairs){0};
}

/* strtoll and its like skip blanks in front; here a number begins with its first character. */
static bool starts_number(const char *text) { return *text && !strchr(" \t\n\v\f\r", *text); }

bool parse_int(const char *text, int64_t *out) {
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (!starts_number(text) || *end || errno) return false;
    *out = v;
    return true;
}

bool parse_u64(const char *text, uint64_t *out) {
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (!starts_number(text) || *text == '-' || *end || errno) return false;
    *out = v;
    return true;
}

bool parse_real(const char *text, double *out) {
    char *end;
    double v = strtod(text, &end);
    if (!starts_number(text) || *end) return false;
    *out = v;
    return true;
}

int exit_of_status(rw_status s) {
    switch (s) {
    case RW_OK: return EXIT_DONE;
    case RW_BAD_ARG: return EXIT_USAGE;
    case RW_IO: return EXIT_IO;
    case RW_BAD_FILE:
    case RW_NO_SUCH:
    case RW_BAD_SHAPE: return EXIT_INPUT;
    case RW_NO_DEVICE:
    case RW_WRONG_TARGET:
    case RW_DRIVER: return EXIT_DEVICE;
    case RW_NO_MEMORY: break;
    }
    return EXIT_INTERNAL;
}

/* True if standard output is a pipe that nobody reads any more. */
static bool reader_is_gone(void) {
    struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLERR) != 0;
}

int finish_output(const char *command, int code) {
    bool bad = ferror(stdout) != 0;
    errno = 0;
    if (fflush(stdout) != 0) bad = true;
    if (!bad) return code;
    const char *why = errno ? strerror(errno) : "it could not be written";
    if (!reader_is_gone()) failed(command, EXIT_IO, "standard output: %s", why);
    return code ? code : EXIT_IO;
}

bool same_file(const char *a, const char *b) {
    struct stat x, y;
    if (stat(a, &x) == 0 && stat(b, &y) == 0)
        return S_ISREG(x.st_mode) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
    return strcmp(a, b) == 0;
}

bool has_ending(const char *path, const char *ending) {
    size_t n = strlen(path), m = strlen(ending);
    return n >= m && strcmp(path + n - m, ending) == 0;
}
