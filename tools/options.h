/* What every command needs: exit codes, options read one by one, an honest end of standard output.
 * Both programs use it, so it knows the runtime's headers and none of the compiler's. */
#ifndef RW_TOOLS_OPTIONS_H
#define RW_TOOLS_OPTIONS_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../runtime/status.h"

/* Scripts count on these numbers. */
enum {
    EXIT_DONE = 0,
    EXIT_INPUT = 1,     /* the text's, the checkpoint's, the array's fault */
    EXIT_USAGE = 2,     /* the command line's fault                        */
    EXIT_IO = 3,        /* a file could not be read or written             */
    EXIT_DEVICE = 4,    /* no device, or its driver failed                 */
    EXIT_INTERNAL = 70, /* our fault, or no memory left                    */
};

/* An option without a short form gets a number from here on. */
enum { OPTION_LONG = 256 };

/* "rwkvc eval: <text>" and where help is, on standard error; returns EXIT_USAGE. */
int usage_error(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "rwkvc eval: <text>" on standard error; returns code. */
int failed(const char *command, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* A command line being read; -h is --help. argv[0] is not looked at; `shorts` is as for getopt, without anything
 * in front. Arguments and options may come in any order; behind "--" there are only arguments. */
typedef struct Line {
    const char *command;
    int argc;
    char **argv;
    const char *shorts;
    const struct option *longs;
    bool only_arguments;
} Line;

/* The next option: its `val`, 1 for an argument that is none (in optarg), -1 at the end, or 0 after
 * a mistake, which has been reported (the command then returns EXIT_USAGE). */
int next_option(Line *l);

/* Splits "NAME=VALUE" in place. False, reported, when there is no NAME or no '='. */
typedef struct Pair {
    const char *name, *value;
} Pair;
bool split_pair(const char *command, const char *option, char *text, Pair *out);

/* A list of pairs as the command line gave them; no name twice. */
typedef struct Pairs {
    Pair *data;
    size_t n;
} Pairs;
bool add_pair(const char *command, const char *option, char *text, Pairs *to);
const char *find_pair(const Pairs *p, const char *name); /* NULL if absent */
void free_pairs(Pairs *p);

/* Whole texts only: "12" and nothing behind it. False leaves *out as it was. */
bool parse_int(const char *text, int64_t *out);
bool parse_u64(const char *text, uint64_t *out);
bool parse_real(const char *text, double *out);

int exit_of_status(rw_status s);

/* Flushes standard output; EXIT_IO, reported, if something of it could not be written, else code.
 * A reader that went away (a closed pipe) is not worth a message. */
int finish_output(const char *command, int code);

/* Whether two paths lead to one regular file, or are the same name of none that is there. */
bool same_file(const char *a, const char *b);
bool has_ending(const char *path, const char *ending);

#endif
