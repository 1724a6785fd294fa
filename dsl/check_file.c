/* Files: what `use` brings, and which constants are replaced. */
#include "check_internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

enum { MAX_TEXT = 1 << 24 };

/* ---- reading ------------------------------------------------------------------------------------ */

typedef struct Source {
    const char *path, *text;
    size_t n;
} Source;

static bool read_file(Check *c, const char *path, Source *out, const char **why) {
    FILE *f = fopen(path, "rb");
    if (!f) return *why = strerror(errno), false;
    Text t = text_new(c->arena);
    char buffer[1 << 14];
    size_t n;
    while ((n = fread(buffer, 1, sizeof buffer, f)) > 0 && t.n <= MAX_TEXT)
        text_addn(&t, buffer, n);
    bool bad = ferror(f);
    if (bad) *why = strerror(errno);
    fclose(f);
    *out = (Source){arena_str(c->arena, path), t.data, t.n};
    return !bad;
}

static const char *beside(Check *c, const char *file, const char *name) {
    const char *slash = strrchr(file, '/');
    return slash ? arena_printf(c->arena, "%.*s%s.rwkv", (int)(slash - file + 1), file, name)
                 : arena_printf(c->arena, "%s.rwkv", name);
}

static bool find_text(Check *c, const char *from, const char *name, Source *out) {
    const char *why;
    if (read_file(c, beside(c, from, name), out, &why)) return true;
    for (uint32_t i = 0; i < c->options->n_include_dirs; i++)
        if (read_file(c, arena_printf(c->arena, "%s/%s.rwkv", c->options->include_dirs[i], name),
                      out, &why))
            return true;
    for (const BuiltinText *b = builtin_texts; b->name; b++)
        if (strcmp(b->name, name) == 0) {
            *out = (Source){arena_printf(c->arena, "%s.rwkv", name), b->text, b->n};
            return true;
        }
    return false;
}

/* ---- modules ------------------------------------------------------------------------------------ */

typedef VEC(Word) Words;

static void declared_once(Check *c, Words *seen, const char *name, Loc loc, const char *what) {
    for (uint32_t j = 0; j < seen->n; j++) {
        if (seen->data[j].name != name) continue;
        check_error(c, E0211, loc, "%s'%s' is declared twice", what, name);
        diag_note(c->diag, seen->data[j].loc, "the first one is here");
        diag_help(c->diag, "leave one of them out, or take another name");
        break;
    }
    *PUSH(c->arena, seen) = (Word){name, loc};
}

/* A name of each kind is declared once in a file, and once in a signature. */
static void check_twice(Check *c, const File *f) {
    Words seen = {0};
    for (uint32_t i = 0; i < f->decls.n; i++) {
        const Decl *d = f->decls.data[i];
        for (uint32_t k = 0; d->kind == D_CONST && k < d->consts.n; k++)
            declared_once(c, &seen, d->consts.data[k].name, d->consts.data[k].loc, "");
        for (uint32_t k = 0; d->kind == D_AXIS && k < d->axes.n; k++)
            declared_once(c, &seen, d->axes.data[k].name, d->axes.data[k].loc, "");
        if (d->name && (d->kind == D_FN || d->kind == D_CELL || d->kind == D_MODEL))
            declared_once(c, &seen, d->name, d->loc, "");
        Words args = {0}, outs = {0};
        for (uint32_t k = 0; k < d->sig.tensors.n; k++)
            declared_once(c, &args, d->sig.tensors.data[k].name, d->sig.tensors.data[k].loc,
                          "argument ");
        for (uint32_t k = 0; k < d->sig.opts.n; k++)
            declared_once(c, &args, d->sig.opts.data[k].name, d->sig.opts.data[k].loc, "argument ");
        for (uint32_t k = 0; k < d->outs.n; k++)
            declared_once(c, &outs, d->outs.data[k].name, d->outs.data[k].loc, "result ");
    }
}

static void collect_consts(Check *c, Module *m) {
    for (uint32_t i = 0; i < m->file->decls.n; i++) {
        const Decl *d = m->file->decls.data[i];
        for (uint32_t k = 0; d->kind == D_CONST && k < d->consts.n; k++) {
            ConstDef *e = PUSH(c->arena, &m->consts);
            e->name = d->consts.data[k].name;
            e->def = &d->consts.data[k];
            e->given = val_bad();
        }
    }
}

static ConstDef *find_const(Module *m, const char *name) {
    for (uint32_t i = 0; i < m->consts.n; i++)
        if (m->consts.data[i].name == name) return &m->consts.data[i];
    return NULL;
}

/* A number as the language writes them: digits, a fraction, an exponent; a sign before. */
static bool define_number(const char *s, double *v, bool *whole) {
    size_t n = *s == '-' || *s == '+', whole_digits = strspn(s + n, "0123456789"), more = 0;
    n += whole_digits;
    *whole = true;
    if (s[n] == '.') {
        more = strspn(s + n + 1, "0123456789");
        n += 1 + more;
        *whole = false;
    }
    if (whole_digits + more == 0) return false;
    if (s[n] == 'e' || s[n] == 'E') {
        n += s[n + 1] == '-' || s[n + 1] == '+' ? 2 : 1;
        size_t digits = strspn(s + n, "0123456789");
        if (digits == 0) return false;
        n += digits;
        *whole = false;
    }
    *v = strtod(s, NULL);
    return s[n] == '\0' && isfinite(*v);
}

static void no_number(Check *c, const Define *d, const ConstDef *k) {
    char *end;
    double v =
        strtod(d->text, &end); /* other spellings, blanks around it: what was meant is clear */
    while (*end == ' ' || *end == '\t') end++;
    diag_report(c->diag, E0206, (Loc){0}, "-D %s=%s: '%s' is no number", d->name, d->text, d->text);
    diag_note(c->diag, k->def->loc, "it is for this constant");
    if (end != d->text && !*end && isfinite(v)) diag_help(c->diag, "write -D %s=%.15g", d->name, v);
}

/* -D reaches the constants of the main file, or of the files it uses where it has none of that name. */
static void give_defines(Check *c, Module *m) {
    for (uint32_t i = 0; i < c->options->n_defines; i++) {
        const Define *d = &c->options->defines[i];
        const char *name = name_of(c->names, d->name);
        ConstDef *k = find_const(m, name);
        if (!k || (m != c->main && find_const(c->main, name))) continue;
        double v;
        bool whole;
        c->define_used.data[i] = true;
        if (define_number(d->text, &v, &whole))
            k->given = val_num(v, whole);
        else
            no_number(c, d, k);
    }
}

/* The constant that may have been meant, or all there are. */
static void help_consts(Check *c, const Module *m, const char *name) {
    const char *best = NULL;
    uint32_t d = name ? near_enough(name) : 0;
    Text all = text_new(c->arena);
    for (uint32_t i = 0; i < m->consts.n; i++) {
        if (name) nearer(name, m->consts.data[i].name, &best, &d);
        if (i < 24) text_printf(&all, "%s%s", i ? ", " : "", m->consts.data[i].name);
    }
    if (best)
        diag_help(c->diag, "did you mean '%s'?", best);
    else if (all.n)
        diag_help(c->diag, "its constants are: %s%s", all.data, m->consts.n > 24 ? " ..." : "");
    else
        diag_help(c->diag, "it declares no constants");
}

static bool give_consts(Check *c, Module *m, Module *from, const Args *a) {
    for (uint32_t i = 0; i < a->n; i++) {
        ConstDef *k = a->data[i].name ? find_const(m, a->data[i].name) : NULL;
        if (!k) {
            check_error(c, E0206, a->data[i].loc, "'%s' has no constant '%s'", m->path,
                        a->data[i].name ? a->data[i].name : "?");
            help_consts(c, m, a->data[i].name);
            continue;
        }
        if (k->given.kind != V_BAD) continue; /* -D has the last word */
        k->given = elab(c, from->scope, a->data[i].value);
        if (k->given.kind == V_TENSOR || k->given.kind == V_BAD) return false;
    }
    return true;
}

static Module *module_load(Check *c, const Source *s, Module *from, const Args *a, uint32_t depth,
                           Loc at);

static void module_uses(Check *c, Module *m, uint32_t depth) {
    for (uint32_t i = 0; i < m->file->decls.n; i++) {
        const Decl *d = m->file->decls.data[i];
        for (uint32_t k = 0; d->kind == D_USE && k < d->uses.n; k++) {
            Source s;
            if (!find_text(c, m->path, d->uses.data[k].name, &s)) {
                check_error(c, E0205, d->uses.data[k].loc, "there is no file '%s.rwkv'",
                            d->uses.data[k].name);
                diag_help(
                    c->diag,
                    "it is looked for beside '%s', in the folders of -I, and among the texts that "
                    "come with the compiler",
                    m->path);
                continue;
            }
            const Args *args = k < d->use_args.n ? (const Args *)&d->use_args.data[k] : NULL;
            Module *u = module_load(c, &s, m, args, depth + 1, d->uses.data[k].loc);
            if (u) *PUSH(c->arena, &m->uses) = u;
        }
    }
}

static Module *module_load(Check *c, const Source *s, Module *from, const Args *a, uint32_t depth,
                           Loc at) {
    Text key = text_new(c->arena);
    text_add(&key, s->path);
    for (uint32_t i = 0; a && i < a->n; i++) {
        Val v = elab(c, from->scope, a->data[i].value);
        double n = 0;
        val_number(c, &v, &n);
        text_printf(&key, ";%s=%.17g", a->data[i].name ? a->data[i].name : "?", n);
    }
    for (uint32_t i = 0; i < c->modules.n; i++)
        if (strcmp(c->modules.data[i]->key, key.data) == 0) return c->modules.data[i];
    if (depth > 32 || c->modules.n == MAX_MODULES) {
        check_error(c, E0205, at,
                    depth > 32 ? "files use each other more than 32 deep"
                               : "more than 200 files, those used with other constants counted");
        return NULL;
    }
    Module *m = NEW(c->arena, Module);
    m->path = s->path;
    m->key = key.data;
    m->scope = scope_new(c, NULL, m, NULL, NULL);
    *PUSH(c->arena, &c->modules) = m;
    uint32_t number = diag_source(c->diag, s->path, s->text, s->n);
    m->file = parse_text(c->arena, c->names, c->diag, number, s->path, s->text, s->n);
    if (depth == 0) c->main = m;
    collect_consts(c, m);
    give_defines(c, m);
    check_twice(c, m->file);
    module_uses(c, m, depth);
    if (a) give_consts(c, m, from, a);
    return m;
}

static void unused_defines(Check *c) {
    for (uint32_t i = 0; i < c->options->n_defines; i++) {
        if (c->define_used.data[i]) continue;
        const char *name = c->options->defines[i].name;
        diag_report(c->diag, E0206, (Loc){0},
                    "-D %s: '%s' and what it uses have no constant of that name", name,
                    c->main->path);
        help_consts(c, c->main, name);
    }
}

bool program_load(Check *c, const char *path, const char *text, size_t n) {
    Source s = {path, text, n};
    const char *why = "";
    if (!text && !read_file(c, path, &s, &why)) {
        diag_report(c->diag, E0205, (Loc){0}, "cannot read '%s': %s", path, why);
        return false;
    }
    for (uint32_t i = 0; i < c->options->n_defines; i++) *PUSH(c->arena, &c->define_used) = false;
    if (!module_load(c, &s, NULL, NULL, 0, (Loc){0})) return false;
    unused_defines(c);
    for (uint32_t i = 0; i < c->main->consts.n; i++) {
        Val v;
        bool found;
        if (diag_errors(c->diag) == 0)
            module_lookup(c, c->main, c->main->consts.data[i].name, &v, &found);
    }
    return diag_errors(c->diag) == 0;
}
