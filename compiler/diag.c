/* Diagnostics: kept as reported, printed by place. Requires: the texts live as long as the Diag.
 * Cost: reporting constant, printing n log n. */
#include "diag.h"

#include <stdlib.h>
#include <string.h>

typedef struct Note {
    Loc at; /* line 0: nowhere */
    const char *text;
} Note;

typedef struct Message {
    ErrorCode code;
    DiagLevel level;
    Loc at;
    const char *text; /* NULL: beyond the limit, only counted */
    VEC(Note) notes;
    VEC(const char *) helps;
} Message;

typedef struct Source {
    const char *name, *text;
    size_t n;
    uint32_t line; /* where the search for a line last ended */
} Source;

struct Diag {
    Arena *arena;
    uint32_t limit, errors, warnings;
    VEC(Message) messages;
    VEC(Source) sources;
};

enum { DEFAULT_LIMIT = 20, MAX_WARNINGS = 200, WIDTH = 100, TAB = 4 };

static const struct Row {
    uint32_t code;
    DiagLevel level;
    const char *title, *text;
} rows[] = {
#define ERROR                         DIAG_ERROR
#define WARNING                       DIAG_WARNING
#define ERR(code, level, title, text) {1##code - 10000, level, title, text},
#include "errors.def"
#undef ERR
#undef ERROR
#undef WARNING
};
enum { N_ROWS = sizeof rows / sizeof *rows };

static const struct Row *row_of(uint32_t code) {
    for (size_t i = 0; i < N_ROWS; i++)
        if (rows[i].code == code) return &rows[i];
    return NULL;
}

/* ---- reporting ------------------------------------------------------------------------------- */

Diag *diag_new(Arena *a, uint32_t limit) {
    Diag *d = NEW(a, Diag);
    d->arena = a;
    d->limit = limit ? limit : DEFAULT_LIMIT;
    return d;
}

uint32_t diag_source(Diag *d, const char *name, const char *text, size_t n) {
    *PUSH(d->arena, &d->sources) = (Source){name, text, n, 0};
    return d->sources.n;
}

static const Source *source_of(const Diag *d, uint32_t file) {
    return file && file <= d->sources.n ? &d->sources.data[file - 1] : NULL;
}

const char *diag_file_name(const Diag *d, uint32_t file) {
    const Source *s = source_of(d, file);
    return s ? s->name : "";
}

static const char *formatted(Diag *d, const char *fmt, va_list ap) {
    Text t = text_new(d->arena);
    text_vprintf(&t, fmt, ap);
    return t.data;
}

void diag_report(Diag *d, ErrorCode code, Loc at, const char *fmt, ...) {
    const struct Row *row = row_of((uint32_t)code);
    DiagLevel level = row ? row->level : DIAG_ERROR;
    uint32_t count = level == DIAG_ERROR ? d->errors++ : d->warnings++;
    Message *m = PUSH(d->arena, &d->messages);
    *m = (Message){.code = code, .level = level, .at = at};
    if (count >= (level == DIAG_ERROR ? d->limit : MAX_WARNINGS)) return;
    va_list ap;
    va_start(ap, fmt);
    m->text = formatted(d, fmt, ap);
    va_end(ap);
}

/* The message that notes and help belong to; NULL when it was only counted. */
static Message *current(Diag *d) {
    Message *m = d->messages.n ? &d->messages.data[d->messages.n - 1] : NULL;
    return m && m->text ? m : NULL;
}

void diag_note(Diag *d, Loc at, const char *fmt, ...) {
    Message *m = current(d);
    if (!m) return;
    va_list ap;
    va_start(ap, fmt);
    *PUSH(d->arena, &m->notes) = (Note){at, formatted(d, fmt, ap)};
    va_end(ap);
}

void diag_help(Diag *d, const char *fmt, ...) {
    Message *m = current(d);
    if (!m) return;
    va_list ap;
    va_start(ap, fmt);
    *PUSH(d->arena, &m->helps) = formatted(d, fmt, ap);
    va_end(ap);
}

uint32_t diag_mark(const Diag *d) { return d->messages.n; }

void diag_rewind(Diag *d, uint32_t mark) {
    while (d->messages.n > mark) {
        const Message *m = &d->messages.data[--d->messages.n];
        if (m->level == DIAG_ERROR)
            d->errors--;
        else
            d->warnings--;
    }
}

uint32_t diag_errors(const Diag *d) { return d->errors; }
uint32_t diag_warnings(const Diag *d) { return d->warnings; }
bool diag_full(const Diag *d) { return d->errors >= d->limit; }

/* ---- characters ------------------------------------------------------------------------------ */

/* Length of the UTF-8 character at s; 0 when it is none. Overlong forms, surrogates and what lies
 * beyond U+10FFFF are none. */
static size_t utf8_length(const char *s, size_t n) {
    const unsigned char *b = (const unsigned char *)s;
    if (!n) return 0;
    if (b[0] < 0x80) return 1;
    size_t len = b[0] >= 0xf0 ? 4 : b[0] >= 0xe0 ? 3 : 2;
    if (b[0] < 0xc2 || b[0] > 0xf4 || len > n) return 0;
    for (size_t i = 1; i < len; i++)
        if ((b[i] & 0xc0) != 0x80) return 0;
    if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f)) return 0;
    if ((b[0] == 0xf0 && b[1] < 0x90) || (b[0] == 0xf4 && b[1] > 0x8f)) return 0;
    return len;
}

/* Whether a character may go to a terminal as it is. */
static bool printable(const char *s, size_t len) {
    unsigned char c = (unsigned char)s[0];
    if (len == 1) return c >= 0x20 && c != 0x7f;
    return len > 1 && !(c == 0xc2 && (unsigned char)s[1] < 0xa0);
}

static void put_safe(FILE *f, const char *s, size_t n) {
    for (size_t i = 0; i < n;) {
        size_t len = utf8_length(s + i, n - i);
        if (printable(s + i, len))
            fwrite(s + i, 1, len, f);
        else
            fputc('?', f);
        i += len ? len : 1;
    }
}

static void put_text(FILE *f, const char *s) { put_safe(f, s, strlen(s)); }

/* ---- the user's line with a caret ------------------------------------------------------------ */

typedef struct Colours {
    const char *bold, *error, *warning, *note, *caret, *off;
} Colours;

static const Colours no_colours = {"", "", "", "", "", ""};
static const Colours colours = {"\033[1m",    "\033[1;31m", "\033[1;35m",
                                "\033[1;36m", "\033[1;32m", "\033[0m"};

/* Line `line` of a source without its end; false when there is none. */
static bool find_line(const Source *s, uint32_t line, const char **start, size_t *n) {
    size_t at = 0;
    for (uint32_t k = 1; k < line; k++) {
        const char *end = s->n > at ? memchr(s->text + at, '\n', s->n - at) : NULL;
        if (!end) return false;
        at = (size_t)(end - s->text) + 1;
    }
    const char *end = s->n > at ? memchr(s->text + at, '\n', s->n - at) : NULL;
    size_t stop = end ? (size_t)(end - s->text) : s->n;
    if (stop > at && s->text[stop - 1] == '\r') stop--;
    *start = s->text + at;
    *n = stop - at;
    return true;
}

/* Columns that the characters of s take on the screen: tabs become blanks. */
static size_t screen_width(size_t before, const char *s, size_t n) {
    size_t w = before;
    for (size_t i = 0; i < n;) {
        size_t len = utf8_length(s + i, n - i);
        w += s[i] == '\t' ? TAB - w % TAB : 1;
        i += len ? len : 1;
    }
    return w - before;
}

/* The screen columns [from, to) of a line. */
static void put_window(FILE *f, const char *s, size_t n, size_t from, size_t to) {
    size_t w = 0;
    for (size_t i = 0; i < n && w < to;) {
        size_t len = utf8_length(s + i, n - i);
        size_t wide = s[i] == '\t' ? TAB - w % TAB : 1;
        for (size_t k = 0; k < wide; k++) {
            if (w + k < from || w + k >= to) continue;
            if (s[i] == '\t')
                fputc(' ', f);
            else
                put_safe(f, s + i, len ? len : 1);
        }
        w += wide;
        i += len ? len : 1;
    }
}

static void print_line(const Diag *d, FILE *f, Loc at, const Colours *c) {
    const Source *s = source_of(d, at.file);
    const char *line;
    size_t n;
    if (!s || !at.line || !find_line(s, at.line, &line, &n)) return;
    size_t start = at.col ? at.col - 1 : 0;
    if (start > n) start = n;
    size_t stop = start + at.len < n ? start + at.len : n;
    size_t caret = screen_width(0, line, start);
    size_t marks = screen_width(caret, line + start, stop - start);
    size_t all = screen_width(0, line, n), from = 0, to = all;
    if (all > WIDTH) {
        from = caret > 2 * WIDTH / 3 ? caret - WIDTH / 2 : 0;
        to = from + WIDTH < all ? from + WIDTH : all;
    }
    if (marks > to - caret) marks = to - caret;
    fprintf(f, "%5u | %s", at.line, from ? "..." : "");
    put_window(f, line, n, from, to);
    int indent = (int)(caret - from + (from ? 3 : 0));
    fprintf(f, "%s\n      | %*s%s^", to < all ? "..." : "", indent, "", c->caret);
    for (size_t i = 1; i < marks; i++) fputc('~', f);
    fprintf(f, "%s\n", c->off);
}

static void print_place(const Diag *d, FILE *f, Loc at, const Colours *c) {
    if (!source_of(d, at.file)) return;
    fputs(c->bold, f);
    put_text(f, diag_file_name(d, at.file));
    if (at.line) fprintf(f, ":%u:%u", at.line, at.col);
    fprintf(f, ":%s ", c->off);
}

static void print_message(const Diag *d, FILE *f, const Message *m, const Colours *c) {
    print_place(d, f, m->at, c);
    bool error = m->level == DIAG_ERROR;
    fprintf(f, "%s%s:%s ", error ? c->error : c->warning, error ? "error" : "warning", c->off);
    put_text(f, m->text);
    fprintf(f, "  [E%04u]\n", (unsigned)m->code);
    print_line(d, f, m->at, c);
    for (uint32_t i = 0; i < m->notes.n; i++) {
        const Note *note = &m->notes.data[i];
        print_place(d, f, note->at, c);
        fprintf(f, "%snote:%s ", c->note, c->off);
        put_text(f, note->text);
        fputc('\n', f);
        print_line(d, f, note->at, c);
    }
    for (uint32_t i = 0; i < m->helps.n; i++) {
        fprintf(f, "  %shelp:%s ", c->note, c->off);
        put_text(f, m->helps.data[i]);
        fputc('\n', f);
    }
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void json_string(FILE *f, const char *s) {
    size_t n = strlen(s);
    fputc('"', f);
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)s[i];
        size_t len = utf8_length(s + i, n - i);
        if (c == '"' || c == '\\')
            fprintf(f, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            fprintf(f, "\\u%04x", c);
        else if (!len)
            fputs("\\ufffd", f);
        else
            fwrite(s + i, 1, len, f);
        i += len ? len : 1;
    }
    fputc('"', f);
}

static void json_place(const Diag *d, FILE *f, Loc at) {
    fputs("\"file\": ", f);
    json_string(f, diag_file_name(d, at.file));
    fprintf(f, ", \"line\": %u, \"column\": %u, \"endColumn\": %u", at.line, at.col,
            at.col + at.len);
}

static void json_message(const Diag *d, FILE *f, const Message *m) {
    fputs("  {", f);
    json_place(d, f, m->at);
    fprintf(f, ", \"severity\": \"%s\", \"code\": \"E%04u\", \"message\": ",
            m->level == DIAG_ERROR ? "error" : "warning", (unsigned)m->code);
    json_string(f, m->text);
    fputs(", \"notes\": [", f);
    for (uint32_t i = 0; i < m->notes.n; i++) {
        fputs(i ? ", {" : "{", f);
        json_place(d, f, m->notes.data[i].at);
        fputs(", \"message\": ", f);
        json_string(f, m->notes.data[i].text);
        fputc('}', f);
    }
    fputs("], \"help\": ", f);
    if (!m->helps.n) fputs("null", f);
    Text all = text_new(d->arena);
    for (uint32_t i = 0; i < m->helps.n; i++)
        text_printf(&all, "%s%s", i ? "\n" : "", m->helps.data[i]);
    if (m->helps.n) json_string(f, all.data);
    fputc('}', f);
}

/* ---- all of them ----------------------------------------------------------------------------- */

static int compare(uint32_t a, uint32_t b) { return a < b ? -1 : a > b; }

/* By place; messages of one place as they were reported (the array keeps that order). */
static int by_place(const void *left, const void *right) {
    const Message *a = *(const Message *const *)left, *b = *(const Message *const *)right;
    int c = compare(a->at.file, b->at.file);
    if (!c) c = compare(a->at.line, b->at.line);
    if (!c) c = compare(a->at.col, b->at.col);
    return c ? c : a < b ? -1 : a > b;
}

static bool same(const Message *a, const Message *b) {
    return a->code == b->code && a->at.file == b->at.file && a->at.line == b->at.line &&
           a->at.col == b->at.col && strcmp(a->text, b->text) == 0;
}

static void print_counts(FILE *f, uint32_t errors, uint32_t warnings) {
    if (errors) fprintf(f, "%u error%s", errors, errors == 1 ? "" : "s");
    if (errors && warnings) fputs(", ", f);
    if (warnings) fprintf(f, "%u warning%s", warnings, warnings == 1 ? "" : "s");
    fputc('\n', f);
}

void diag_print(const Diag *d, FILE *f, DiagStyle style) {
    const Message **sorted = NEWN(d->arena, const Message *, d->messages.n + 1);
    uint32_t n = 0, kept = 0, counts[2] = {0, 0};
    for (uint32_t i = 0; i < d->messages.n; i++)
        if (d->messages.data[i].text) sorted[n++] = &d->messages.data[i];
    qsort(sorted, n, sizeof *sorted, by_place);
    for (uint32_t i = 0; i < n; i++) { /* an inlined text may be wrong twice in the same words */
        bool again = false;
        for (uint32_t k = kept; k > 0 && sorted[k - 1]->at.line == sorted[i]->at.line; k--)
            again = again || same(sorted[k - 1], sorted[i]);
        if (!again) sorted[kept++] = sorted[i];
    }
    if (style == DIAG_JSON) fputs(kept ? "[\n" : "[]\n", f);
    for (uint32_t i = 0; i < kept; i++) {
        counts[sorted[i]->level]++;
        if (style == DIAG_JSON) {
            json_message(d, f, sorted[i]);
            fputs(i + 1 < kept ? ",\n" : "\n]\n", f);
        } else {
            print_message(d, f, sorted[i], style == DIAG_COLOUR ? &colours : &no_colours);
        }
    }
    if (style == DIAG_JSON || !n) return;
    if (diag_full(d)) fprintf(f, "too many errors: stopped after %u\n", d->limit);
    print_counts(f, counts[DIAG_ERROR], counts[DIAG_WARNING]);
}

/* ---- explanations ---------------------------------------------------------------------------- */

/* Wraps each line of s at 80 columns; lines that start with a blank stay as they are. */
static void print_wrapped(FILE *f, const char *s) {
    while (*s) {
        size_t n = strcspn(s, "\n");
        bool whole = *s == ' ' || strncmp(s, "Wrong:", 6) == 0 || strncmp(s, "Right:", 6) == 0;
        while (n > 80 && !whole) {
            size_t cut = 80;
            while (cut > 0 && s[cut] != ' ') cut--;
            if (!cut) break;
            fprintf(f, "%.*s\n", (int)cut, s);
            s += cut + 1;
            n -= cut + 1;
        }
        fprintf(f, "%.*s\n", (int)n, s);
        s += n + (s[n] == '\n');
    }
}

bool diag_explain(const char *code, FILE *f) {
    if (*code == 'E' || *code == 'e') code++;
    size_t n = strlen(code);
    if (n < 1 || n > 4 || strspn(code, "0123456789") != n) return false;
    const struct Row *row = row_of((uint32_t)strtoul(code, NULL, 10));
    if (!row) return false;
    fprintf(f, "E%04u: %s%s\n\n", row->code, row->title,
            row->level == DIAG_WARNING ? " (warning)" : "");
    print_wrapped(f, row->text);
    return true;
}

void diag_list(FILE *f) {
    for (size_t i = 0; i < N_ROWS; i++)
        fprintf(f, "E%04u  %-7s  %s\n", rows[i].code,
                rows[i].level == DIAG_ERROR ? "error" : "warning", rows[i].title);
}
