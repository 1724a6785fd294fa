/* A checked program: which entries it has, and the way from the checker to a graph that runs. */
#include "../compiler/edit.h"
#include "../compiler/stream.h"
#include "program.h"

#include <string.h>

/* ---- entries ------------------------------------------------------------------------------------- */

static void entry_add(Program *p, const char *prefix, const char *name, EntryKind kind,
                      const EntryInfo *of, bool hidden) {
    EntryInfo *e = PUSH(p->c.arena, &p->entries);
    *e = *of;
    e->name = prefix ? name_of(p->c.names, arena_printf(p->c.arena, "%s.%s", prefix, name))
                     : name_of(p->c.names, name);
    e->kind = kind;
    e->hidden = hidden;
}

static void model_entries(Program *p, const char *prefix, const EntryInfo *of, bool hidden) {
    entry_add(p, prefix, "init", ENTRY_INIT, of, hidden);
    if (of->model->along) entry_add(p, prefix, "step", ENTRY_STEP, of, hidden);
    entry_add(p, prefix, "forward", ENTRY_FORWARD, of, hidden);
    if (of->model->along) entry_add(p, prefix, "prefill", ENTRY_PREFILL, of, hidden);
    if (of->model->along) entry_add(p, prefix, "start", ENTRY_START, of, true);
}

static void train_entries(Program *p, const char *prefix, const EntryInfo *of, bool hidden) {
    entry_add(p, prefix, "grad", ENTRY_GRAD, of, hidden);
    bool update = false;
    for (uint32_t i = 0; i < of->train->body.n; i++) {
        const Stmt *st = of->train->body.data[i];
        update = update || (st->kind == S_ASSIGN && strcmp(st->assign.name, "update") == 0);
    }
    if (update) entry_add(p, prefix, "train", ENTRY_TRAIN, of, hidden);
}

static bool trained_model(Program *p, const Decl *t, EntryInfo *e) {
    e->train = t;
    e->train_module = p->c.main;
    e->model = module_fn(p->c.main, t->name, &e->module);
    if (e->model && e->model->kind == D_MODEL) return true;
    const char *best = NULL, *any = NULL;
    uint32_t d = near_enough(t->name);
    for (uint32_t i = 0; i < p->c.modules.n; i++)
        for (uint32_t k = 0; k < p->c.modules.data[i]->file->decls.n; k++) {
            const Decl *o = p->c.modules.data[i]->file->decls.data[k];
            if (o->kind != D_MODEL) continue;
            nearer(t->name, any = o->name, &best, &d);
        }
    check_error(&p->c, E0901, t->loc, "there is no model '%s'", t->name);
    if (best)
        diag_help(p->c.diag, "did you mean '%s'?", best);
    else if (any)
        diag_help(p->c.diag, "there is: %s", any);
    return false;
}

static const char *train_name(Program *p, const Decl *t) {
    if (!t->as) return NULL;
    Text x = text_new(p->c.arena);
    for (uint32_t i = 0; i < t->as->parts.n; i++) {
        if (t->as->parts.data[i].text)
            text_add(&x, t->as->parts.data[i].text);
        else
            check_error(&p->c, E0504, t->as->parts.data[i].splice->loc,
                        "the name of a train block has no {}: there is no counter here");
    }
    return x.data;
}

/* Each entry that is listed has a name of its own. */
static bool names_differ(Program *p) {
    for (uint32_t i = 0; i < p->entries.n; i++)
        for (uint32_t k = 0; k < i; k++) {
            const EntryInfo *a = &p->entries.data[k], *b = &p->entries.data[i];
            bool trained = a->train && b->train; /* the first block of a model has two names */
            if (((a->hidden || b->hidden) && !trained) || strcmp(a->name, b->name)) continue;
            Loc first = a->train ? a->train->loc : a->model->loc;
            check_error(&p->c, E0211, b->train ? b->train->loc : b->model->loc,
                        "there are two entries '%s'", b->name);
            diag_note(p->c.diag, first, "the first one is made here");
            diag_help(p->c.diag, "name one of them: train MODEL as NAME(...) { ... }");
            return false;
        }
    return true;
}

/* Models run along axes that were declared. */
static bool axes_declared(Program *p) {
    for (uint32_t i = 0; i < p->entries.n; i++) {
        const EntryInfo *e = &p->entries.data[i];
        Loc where;
        if (!e->model->along || e->hidden) continue;
        Declared kind = module_declares(e->module, e->model->along, &where);
        if (kind == IS_AXIS) continue;
        check_error(&p->c, E0710, e->model->loc, "model '%s' runs along '%s', and that is %s",
                    e->model->name, e->model->along, kind ? "a constant" : "not declared");
        if (kind) diag_note(p->c.diag, where, "'%s' is declared here", e->model->along);
        diag_help(p->c.diag, "write axis %s: a length that is known when the program runs",
                  e->model->along);
        return false;
    }
    return true;
}

/* The first model's entries bear plain names, those of others the model's name in front. */
static bool find_entries(Program *p) {
    const File *f = p->c.main->file;
    uint32_t models = 0, trains = 0;
    EntryInfo first = {0};
    for (uint32_t i = 0; i < f->decls.n; i++) {
        const Decl *d = f->decls.data[i];
        if (d->kind != D_MODEL) continue;
        EntryInfo e = {.model = d, .module = p->c.main};
        if (models++ == 0) first = e;
        model_entries(p, models > 1 ? d->name : NULL, &e, false);
        if (models == 1) model_entries(p, d->name, &e, true);
    }
    for (uint32_t i = 0; i < f->decls.n; i++) {
        const Decl *d = f->decls.data[i];
        EntryInfo e = {0};
        if (d->kind != D_TRAIN) continue;
        if (!trained_model(p, d, &e)) return false;
        if (models == 0 && trains == 0) model_entries(p, NULL, &e, false);
        if (models == 0 && trains == 0) first = e;
        const char *as = train_name(p, d);
        bool plain = trains == 0 && e.model == first.model;
        train_entries(p, plain ? NULL : as ? as : d->name, &e, false);
        if (plain) train_entries(p, as ? as : d->name, &e, true);
        trains++;
    }
    if (p->entries.n) return names_differ(p) && axes_declared(p) && diag_errors(p->c.diag) == 0;
    check_error(&p->c, E0908, (Loc){.file = f->number},
                "this text has no model and trains none: there is nothing to run");
    diag_help(
        p->c.diag,
        "write model NAME(inputs) -> outputs { ... }, or 'use' this text in one that has a model");
    return false;
}

uint32_t program_entries(const Program *p) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->entries.n; i++) n += !p->entries.data[i].hidden;
    return n;
}

const char *program_entry(const Program *p, uint32_t i) {
    for (uint32_t k = 0; k < p->entries.n; k++)
        if (!p->entries.data[k].hidden && i-- == 0) return p->entries.data[k].name;
    return NULL;
}

/* ---- from the checker to a graph -------------------------------------------------------------------- */

/* At the user's call when the place itself is in another file. */
static void report_at(const Elaboration *x, Diag *d, ErrorCode code, Loc at, const char *text) {
    const Check *c = &x->c;
    Loc user = {0};
    for (uint32_t v = 1; v < c->value_user.n && !user.line; v++) {
        Loc l = graph_value(x->g, v)->loc;
        if (l.file == at.file && l.line == at.line && l.col == at.col) user = c->value_user.data[v];
    }
    bool main = !at.line || at.file == c->main->file->number || !user.line;
    diag_report(d, code, main ? at : user, "%s", text);
    if (!main) diag_note(d, at, "it happens here, in a function called from there");
}

static Graph *stream_entry(const Elaboration *x, const EntryInfo *e, Graph *g, Diag *d) {
    const char *axis = e->model->along;
    StreamError why = {0};
    if (!axis) return g;
    if (!graph_streams(g, axis, &why)) {
        report_at(x, d, E0709, why.loc.line ? why.loc : e->model->loc,
                  why.text ? why.text : "this looks ahead");
        diag_note(d, e->model->loc, "'%s' is declared 'along %s': it can be run one step at a time",
                  e->model->name, axis);
        diag_help(
            d,
            "leave out 'along %s' if the whole sequence is needed; earlier steps are read with prev and states",
            axis);
        return NULL;
    }
    if (e->kind == ENTRY_STEP) return graph_step(g, axis);
    return graph_position(g, axis);
}

/* Simplified before as well: what has one reader moves into its cycle instead of being stacked. */
static Graph *finish(Graph *g) {
    return graph_simplify(graph_unstack(graph_distribute(graph_simplify(g))));
}

static Graph *differentiate(const Elaboration *x, Graph *g, const EntryInfo *e, Diag *d) {
    GradError why = {0}, at = {0};
    Graph *r = graph_grad(g, &why);
    if (r) return finish(r);
    /* in the graph as the checker made it, every equation still stands at its own line */
    if (!graph_grad(graph_distribute(x->g), &at) && at.loc.line) why = at;
    report_at(x, d, E0906, why.loc.line ? why.loc : e->train->loc,
              why.text ? why.text : "this has no derivative");
    diag_help(d, "stop(x) keeps the gradient out; x + stop(f(x) - x) passes it straight through f");
    return NULL;
}

static const EntryInfo *find_entry(const Program *p, const char *entry) {
    const EntryInfo *found = NULL;
    for (uint32_t i = p->entries.n; i > 0; i--) {
        const EntryInfo *e = &p->entries.data[i - 1];
        if (strcmp(e->name, entry) == 0 && (!found || !e->hidden)) found = e;
    }
    return found;
}

static bool has_entry_of(const Program *p, EntryKind kind) {
    for (uint32_t i = 0; i < p->entries.n; i++)
        if (p->entries.data[i].kind == kind) return true;
    return false;
}

static void no_entry(Program *p, const char *entry, Diag *d) {
    const Decl *model = p->entries.n ? p->entries.data[0].model : NULL;
    Loc at = model ? model->loc : (Loc){0};
    bool stream = strcmp(entry, "step") == 0 || strcmp(entry, "prefill") == 0;
    if (stream && model)
        diag_report(d, E0907, at, "there is no entry '%s': model '%s' does not run 'along' an axis",
                    entry, model->name);
    else if (strcmp(entry, "grad") == 0 && !has_entry_of(p, ENTRY_GRAD))
        diag_report(d, E0907, at, "there is no entry 'grad': the text has no train block");
    else if (strcmp(entry, "train") == 0 && !has_entry_of(p, ENTRY_TRAIN))
        diag_report(d, E0907, at,
                    "there is no entry 'train': the text has no train block with an update");
    else
        diag_report(d, E0907, at, "there is no entry '%s'", entry);
    const char *best = NULL;
    uint32_t far = near_enough(entry);
    for (uint32_t i = 0; i < program_entries(p); i++)
        nearer(entry, program_entry(p, i), &best, &far);
    if (best) diag_help(d, "did you mean '%s'?", best);
    Text t = text_new(p->c.arena);
    for (uint32_t i = 0; i < program_entries(p); i++)
        text_printf(&t, "%s%s", i ? ", " : "", program_entry(p, i));
    diag_help(d, "there are: %s", t.data);
}

Graph *program_graph_stage(Program *p, const char *entry, const char *stage, Diag *d) {
    const EntryInfo *e = find_entry(p, entry);
    if (!e) return no_entry(p, entry, d), NULL;
    Elaboration x;
    if (!elaborate(p, e, d, &x)) return NULL;
    Graph *g = x.c.g;
    if (strcmp(stage, "checked") == 0) return g;
    if (e->kind == ENTRY_GRAD || e->kind == ENTRY_TRAIN) {
        g = finish(g);
        if (strcmp(stage, "graph") == 0) return g;
        g = differentiate(&x, g, e, d);
        if (g && e->kind == ENTRY_TRAIN) g = elaborate_update(&x, g, d) ? graph_simplify(g) : NULL;
        return g;
    }
    if (e->kind == ENTRY_START) { /* of the inputs, those that first states are made of */
        g = graph_clone(finish(graph_clone(g, e->name)), e->name);
        graph_drop_inputs(g);
        return graph_clone(g, e->name);
    }
    if (!(g = stream_entry(&x, e, g, d))) return NULL;
    g = finish(g);
    if (e->kind == ENTRY_PREFILL) g = graph_simplify(graph_prefill(g, e->model->along));
    return g;
}

Graph *program_graph(Program *p, const char *entry, Diag *d) {
    return program_graph_stage(p, entry, "grad", d);
}

/* ---- checking ------------------------------------------------------------------------------------ */

static bool check_entries(Program *p, Diag *d) {
    for (uint32_t i = 0; i < p->entries.n; i++) {
        const EntryInfo *e = &p->entries.data[i];
        Elaboration x;
        if (e->hidden ||
            (e->kind != ENTRY_FORWARD && e->kind != ENTRY_GRAD && e->kind != ENTRY_TRAIN))
            continue;
        if (e->kind == ENTRY_GRAD && i + 1 < p->entries.n &&
            p->entries.data[i + 1].kind == ENTRY_TRAIN)
            continue;
        if (e->kind != ENTRY_FORWARD) {
            if (!program_graph(p, e->name, d)) return false;
            continue;
        }
        if (!elaborate(p, e, d, &x)) return false;
        if (!stream_entry(&x, e, x.c.g, d)) return false;
    }
    return true;
}

static Program *check_any(Arena *a, Diag *d, const char *path, const char *text, size_t n,
                          const CheckOptions *o) {
    static const CheckOptions nothing = {0};
    Program *p = NEW(a, Program);
    p->options = o ? *o : nothing;
    Check *c = &p->c;
    c->arena = a;
    c->names = names_new(a);
    c->sizes = sizes_new(a);
    c->diag = d;
    c->options = &p->options;
    c->g = graph_new(a, c->names, c->sizes, "consts");
    c->block = &c->g->top;
    *PUSH(a, &c->region_up) = 0;
    if (!program_load(c, path, text, n) || !find_entries(p)) return NULL;
    return check_entries(p, d) && diag_errors(d) == 0 ? p : NULL;
}

Program *check_file(Arena *a, Diag *d, const char *path, const CheckOptions *o) {
    return check_any(a, d, path, NULL, 0, o);
}

Program *check_text(Arena *a, Diag *d, const char *name, const char *text, size_t n,
                    const CheckOptions *o) {
    return check_any(a, d, name, text, n, o);
}

const struct File *program_file(const Program *p) { return p->c.main->file; }

/* ---- --emit=program --------------------------------------------------------------------------------- */

static void print_consts(Program *p, Text *t) {
    Check *c = &p->c;
    for (uint32_t m = 0; m < c->modules.n; m++)
        for (uint32_t i = 0; i < c->modules.data[m]->consts.n; i++) {
            Val v;
            bool found;
            double n;
            module_lookup(c, c->modules.data[m], c->modules.data[m]->consts.data[i].name, &v,
                          &found);
            text_printf(t, "const %s = %s", c->modules.data[m]->consts.data[i].name,
                        v.kind == V_SIZE ? size_str(c->sizes, v.size) : "");
            if (val_number(c, &v, &n)) text_printf(t, v.kind == V_SIZE ? "   # %.17g" : "%.17g", n);
            text_add(t, "\n");
        }
    for (uint32_t i = 0; i < size_axes(c->sizes); i++) {
        text_printf(t, "axis %s", size_axis_name(c->sizes, i));
        if (size_axis_multiple(c->sizes, i) > 1)
            text_printf(t, " %% %lld", (long long)size_axis_multiple(c->sizes, i));
        text_add(t, "\n");
    }
}

static void print_dims(Graph *g, Text *t, const Size *dims, uint32_t n) {
    text_add(t, "[");
    for (uint32_t i = 0; i < n; i++)
        text_printf(t, "%s%s", i ? "," : "", size_str(g->sizes, dims[i]));
    text_add(t, "]");
}

static void print_param(Graph *g, const ParamInfo *p, Text *t) {
    static const char *const draw[] = {"formula", "uniform", "normal", "trunc_normal",
                                       "orthogonal"};
    uint32_t rank = graph_value(g, p->value)->rank - p->family;
    for (uint32_t i = 0; i < p->members.n; i++) {
        text_printf(t, "param %s", p->members.data[i].name);
        print_dims(g, t, p->written, rank);
        if (p->init == INIT_FORMULA)
            text_add(t, " = formula");
        else
            text_printf(t, " ~ %s(%.9g%s", draw[p->init], p->init_a.data[i],
                        p->init == INIT_UNIFORM ? "" : ")");
        if (p->init == INIT_UNIFORM) text_printf(t, ", %.9g)", p->init_b.data[i]);
        if (p->lr != 1) text_printf(t, " lr %.9g", p->lr);
        if (p->decay != 0) text_printf(t, " decay %.9g", p->decay);
        if (p->frozen) text_add(t, " frozen");
        if (p->stored_rank) text_add(t, " stored "), print_dims(g, t, p->stored, p->stored_rank);
        text_add(t, "\n");
    }
}

static void print_entry(Program *p, const EntryInfo *e, Text *t) {
    Elaboration x;
    Arena *scratch = arena_new();
    Diag *d = diag_new(scratch, 0);
    if (elaborate(p, e, d, &x)) {
        Graph *g = x.c.g;
        for (uint32_t i = 0; i < g->inputs.n; i++) {
            const ValueInfo *v = graph_value(g, g->inputs.data[i].value);
            text_printf(t, "input %s", g->inputs.data[i].name);
            print_dims(g, t, v->dims, v->rank);
            if (g->inputs.data[i].below)
                text_printf(t, ": index(%lld)", (long long)g->inputs.data[i].below);
            else if (v->type == T_INT)
                text_add(t, ": int");
            text_add(t, "\n");
        }
        for (uint32_t i = 0; i < g->params.n; i++) print_param(g, &g->params.data[i], t);
        for (uint32_t i = 0; i < g->states.n; i++)
            for (uint32_t k = 0; k < g->states.data[i].members.n; k++) {
                const ValueInfo *v = graph_value(g, g->states.data[i].value);
                text_printf(t, "state %s", g->states.data[i].members.data[k].name);
                print_dims(g, t, v->dims + g->states.data[i].family,
                           v->rank - g->states.data[i].family);
                text_add(t, "\n");
            }
        for (uint32_t i = 0; i < g->outputs.n; i++) {
            const OutputInfo *o = &g->outputs.data[i];
            if (o->kind == OUT_STATE) continue;
            const ValueInfo *v = graph_value(g, o->value);
            text_printf(t, "%s %s", output_kind_name[o->kind], o->name);
            print_dims(g, t, v->dims, v->rank);
            text_add(t, "\n");
        }
    }
    arena_free(scratch);
}

void program_print(Program *p, Text *out) {
    print_consts(p, out);
    for (uint32_t i = 0; i < p->entries.n; i++) {
        const EntryInfo *e = &p->entries.data[i];
        if (e->hidden) continue;
        text_printf(out, "entry %s\n", e->name);
        if (e->kind == ENTRY_FORWARD || e->kind == ENTRY_GRAD) print_entry(p, e, out);
    }
}
