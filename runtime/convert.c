/* Checkpoints from one format into another: a plan says for each tensor of the output which one of
 * the input it comes from and what happens to it on the way; the writer then asks for one after
 * the other. */
#include "convert.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights_impl.h"

/* ---- what rwkv.cpp's converter did, and its undoing ---------------------------------------- */

/* Versions of the model, as sets of bits. */
enum { V4 = 1, V51 = 2, V52 = 4, V6 = 8, V7 = 16 };

enum op {
    COPY,
    SPLIT,     /* [6,1,C] into six [1,1,C]                      */
    TRANSPOSE, /* of the last two dimensions                    */
    LOG_NEG,   /* d = -exp(w):      w = log(-d)                 */
    LOG_LOG,   /* d = exp(-exp(w)): w = log(-log(d))            */
    LOG        /* u = exp(t):       t = log(u)                  */
};

enum form {
    SAME,
    ROW,    /* [1,1,C]                     */
    HEADS,  /* [H]                         */
    HEADS_N /* [H,N]; a single head may have been squeezed away */
};

/* By the name after "blocks.<i>."; '*' at the end stands for anything. The first row that fits a
 * tensor decides; without one it is copied as it is. */
static const struct rule {
    unsigned versions;
    const char *name;
    enum op op;
    enum form form;
} rules[] = {
    {V4, "att.time_decay", LOG_NEG, SAME},
    {V51, "att.time_decay", LOG_LOG, HEADS},
    {V51, "att.time_first", LOG, HEADS},
    {V52, "att.time_decay", LOG_LOG, HEADS_N},
    {V52 | V6, "att.time_faaaa", COPY, HEADS_N},
    {V4 | V51 | V52, "att.time_mix_*", COPY, ROW},
    {V4 | V51 | V52, "ffn.time_mix_*", COPY, ROW},
    {V6, "att.time_decay_w1", TRANSPOSE, SAME},
    {V6, "att.time_decay_w2", TRANSPOSE, SAME},
    {V6, "att.time_decay", COPY, ROW},
    {V6, "att.time_maa_w1", TRANSPOSE, SAME},
    {V6, "att.time_maa_w2", TRANSPOSE, SAME},
    {V6, "att.time_maa_*", COPY, ROW},
    {V6, "ffn.time_maa_*", COPY, ROW},
    {V7, "att.x_rwkvag", SPLIT, ROW},
    {V7, "att.w1", TRANSPOSE, SAME},
    {V7, "att.w2", TRANSPOSE, SAME},
    {V7, "att.a1", TRANSPOSE, SAME},
    {V7, "att.a2", TRANSPOSE, SAME},
    {V7, "att.v1", TRANSPOSE, SAME},
    {V7, "att.v2", TRANSPOSE, SAME},
    {V7, "att.g1", TRANSPOSE, SAME},
    {V7, "att.g2", TRANSPOSE, SAME},
    {V7, "att.w0", COPY, ROW},
    {V7, "att.a0", COPY, ROW},
    {V7, "att.v0", COPY, ROW},
    {V7, "att.k_k", COPY, ROW},
    {V7, "att.k_a", COPY, ROW},
    {V7, "ffn.x_k", COPY, ROW},
};

static const char parts_of_x[] = "rwkvag";
#define N_PARTS (sizeof parts_of_x - 1)

static unsigned version_of(const rw_weights *w) {
    if (rw_weights_find(w, "blocks.0.att.r_k") != NULL) return V7;
    if (rw_weights_find(w, "blocks.0.att.time_maa_x") != NULL) return V6;
    if (rw_weights_find(w, "blocks.0.att.gate.weight") != NULL) return V52;
    if (rw_weights_find(w, "blocks.0.att.ln_x.weight") != NULL) return V51;
    return V4;
}

/* "blocks.12.att.w1" -> "att.w1"; NULL if it is not the name of something in a block. */
static const char *name_in_block(const char *name) {
    if (strncmp(name, "blocks.", 7) != 0) return NULL;
    size_t digits = strspn(name + 7, "0123456789");
    return digits > 0 && name[7 + digits] == '.' ? name + 8 + digits : NULL;
}

static const struct rule *rule_for(unsigned version, const char *name) {
    static const struct rule plain = {0, "", COPY, SAME};
    const char *inner = version != 0 ? name_in_block(name) : NULL;
    for (size_t i = 0; inner != NULL && i < sizeof rules / sizeof *rules; i++) {
        size_t n = strlen(rules[i].name);
        bool is_open = rules[i].name[n - 1] == '*';
        if ((rules[i].versions & version) != 0 &&
            (is_open ? strncmp(inner, rules[i].name, n - 1) : strcmp(inner, rules[i].name)) == 0)
            return &rules[i];
    }
    return &plain;
}

/* ---- the plan ------------------------------------------------------------------------------ */

typedef struct step {
    const rw_tensor *src;
    enum op op;
    size_t first; /* element of src the tensor begins with */
} step;

typedef struct plan {
    rw_weights *in;
    const rw_convert_options *options;
    rw_tensor *t; /* n of them, for the writer */
    step *step;
    size_t n;
    rw_message *m;
} plan;

static rw_status no_memory(const plan *p) {
    return rw_fail(p->m, RW_NO_MEMORY, "%s: no memory", p->in->path);
}

static rw_status bad_tensor(const plan *p, const rw_tensor *t, const char *what) {
    char q[QUOTED], shape[160];
    return rw_fail(p->m, RW_BAD_FILE, "%s: tensor '%s' %s %s %s", p->in->path,
                   text_quote(t->name, strlen(t->name), q), rw_dtype_name(t->dtype),
                   rw_tensor_shape(t, shape, sizeof shape), what);
}

static bool shape_as(rw_tensor *t, enum form form, size_t count) {
    rw_tensor was = *t;
    switch (form) {
    case SAME: return true;
    case ROW:
        t->rank = 3;
        t->shape[0] = t->shape[1] = 1;
        t->shape[2] = (int64_t)count;
        return true;
    case HEADS:
        t->rank = 1;
        t->shape[0] = (int64_t)count;
        return true;
    case HEADS_N:
        t->rank = 2;
        if (was.rank == 3 && was.shape[2] == 1) return true;
        t->shape[0] = 1;
        t->shape[1] = was.shape[0];
        return was.rank == 1 || (was.rank == 2 && was.shape[1] == 1);
    }
    return false;
}

static const char *strip(const rw_convert_options *o, const char *name) {
    for (size_t i = 0; i < o->n_strip;) {
        size_t n = strlen(o->strip[i]);
        bool fits = n > 0 && strncmp(name, o->strip[i], n) == 0 && name[n] != '\0';
        name += fits ? n : 0;
        i = fits ? 0 : i + 1;
    }
    return name;
}

static rw_dtype dtype_of(const rw_convert_options *o, rw_dtype d) {
    static const rw_dtype wanted[] = {[RW_CONVERT_KEEP] = RW_DTYPES,
                                      [RW_CONVERT_F32] = RW_F32,
                                      [RW_CONVERT_F16] = RW_F16,
                                      [RW_CONVERT_BF16] = RW_BF16};
    return o->dtype == RW_CONVERT_KEEP || !rw_dtype_is_float(d) ? d : wanted[o->dtype];
}

/* One tensor of the output: `count` elements of src from `first` on. */
static rw_status add(plan *p, const struct rule *rule, const rw_tensor *src, const char *name,
                     size_t first, size_t count) {
    rw_tensor t = *src;
    t.name = strip(p->options, name);
    t.dtype = dtype_of(p->options, src->dtype);
    if (!shape_as(&t, rule->form, count))
        return bad_tensor(p, src, "has not the shape rwkv.cpp gives it");
    if (rule->op == TRANSPOSE) {
        if (t.rank < 2) return bad_tensor(p, src, "should be a matrix");
        t.shape[t.rank - 1] = src->shape[t.rank - 2];
        t.shape[t.rank - 2] = src->shape[t.rank - 1];
    }
    t.bytes = count * rw_dtype_bytes(t.dtype);
    if (rule->op != COPY || t.dtype != src->dtype) t.data = NULL; /* made when it is written */
    p->t[p->n] = t;
    p->step[p->n++] = (step){.src = src, .op = rule->op, .first = first};
    return RW_OK;
}

/* att.x_rwkvag -> att.x_r, att.x_w, ... */
static rw_status add_parts(plan *p, const struct rule *rule, const rw_tensor *src, size_t count) {
    size_t n = strlen(src->name) - (sizeof "rwkvag" - 1);
    if (src->rank < 1 || src->shape[0] != (int64_t)N_PARTS)
        return bad_tensor(p, src, "is to hold six vectors");
    for (size_t i = 0; i < N_PARTS; i++) {
        char *name = weights_text(p->in, src->name, n + 1);
        if (name == NULL) return no_memory(p);
        name[n] = parts_of_x[i];
        rw_status s = add(p, rule, src, name, i * (count / N_PARTS), count / N_PARTS);
        if (s != RW_OK) return s;
    }
    return RW_OK;
}

static rw_status make_plan(plan *p) {
    bool is_changed = strcmp(p->in->kind, "ggmf") == 0;
    unsigned version = is_changed ? version_of(p->in) : 0;
    size_t most = N_PARTS * p->in->n + 1;
    p->t = calloc(most, sizeof *p->t);
    p->step = calloc(most, sizeof *p->step);
    if (p->t == NULL || p->step == NULL) return no_memory(p);
    for (size_t i = 0; i < p->in->n; i++) {
        const rw_tensor *src = &p->in->t[i];
        const struct rule *rule = rule_for(version, src->name);
        size_t count = src->bytes / rw_dtype_bytes(src->dtype);
        rw_status s = rule->op == SPLIT ? add_parts(p, rule, src, count)
                                        : add(p, rule, src, src->name, 0, count);
        if (s != RW_OK) return s;
    }
    return RW_OK;
}

/* ---- elements ------------------------------------------------------------------------------ */

/* A decay that was rounded to 0 or 1 stands for all w beyond some bound; a number there is taken, so
 * that no infinity gets into a checkpoint: exp(-104) is 0 in f32, exp(-2^-26) is 1. */
static bool undo(enum op op, double *x) {
    double d = *x;
    switch (op) {
    case LOG_NEG: *x = d < 0 ? log(-d) : -104; return d <= 0 && isfinite(d);
    case LOG_LOG: *x = log(d <= 0 ? 104 : d >= 1 ? 0x1p-26 : -log(d)); return d >= 0 && d <= 1;
    case LOG: *x = d > 0 ? log(d) : -104; return d >= 0 && isfinite(d);
    default: return true;
    }
}

/* The smallest number each type rounds to infinity. */
static double infinite_from(rw_dtype d) {
    switch (d) {
    case RW_F16: return 65520;
    case RW_BF16: return 0x1.ffp127;
    case RW_F32: return 0x1.ffffffp127;
    default: return INFINITY;
    }
}

/* Element i of the output of a transpose lies at this element of src. */
static size_t transposed(const rw_tensor *src, size_t i) {
    size_t rows = (size_t)src->shape[src->rank - 2], columns = (size_t)src->shape[src->rank - 1];
    size_t matrix = i / (rows * columns), r = i / rows % columns, c = i % rows;
    return matrix * rows * columns + c * columns + r;
}

enum { PIECE = 1024 };

/* n <= PIECE elements of output i, from element `at` on, as they are in the input. */
static void gather(const plan *p, size_t i, size_t at, size_t n, void *raw) {
    const step *st = &p->step[i];
    size_t size = rw_dtype_bytes(st->src->dtype);
    const uint8_t *src = st->src->data;
    if (st->op != TRANSPOSE) {
        memcpy(raw, src + (st->first + at) * size, n * size);
        return;
    }
    for (size_t k = 0; k < n; k++)
        memcpy((uint8_t *)raw + k * size, src + transposed(st->src, at + k) * size, size);
}

static rw_status change(const plan *p, size_t i, double *x, size_t n) {
    double limit = infinite_from(p->t[i].dtype);
    for (size_t k = 0; k < n; k++) {
        double was = x[k];
        if (!undo(p->step[i].op, &x[k]))
            return bad_tensor(p, p->step[i].src,
                              "holds a number rwkv.cpp cannot have made of an "
                              "official checkpoint");
        if (fabs(x[k]) >= limit && isfinite(was))
            return bad_tensor(p, p->step[i].src,
                              p->t[i].dtype == RW_F16
                                  ? "holds numbers beyond the range of f16; convert to bf16 or f32"
                                  : "holds numbers beyond the range of the type asked for");
    }
    return RW_OK;
}

/* The writer's call for output i; user is the plan. */
static rw_status fill(void *user, size_t i, void *dst, rw_message *m) {
    const plan *p = user;
    const rw_tensor *t = &p->t[i], *src = p->step[i].src;
    bool is_raw = t->dtype == src->dtype && (p->step[i].op == TRANSPOSE || p->step[i].op == SPLIT);
    size_t size = rw_dtype_bytes(t->dtype), count = t->bytes / size;
    double x[PIECE];
    uint64_t raw[PIECE];
    rw_status s = RW_OK;
    (void)m;
    for (size_t at = 0; at < count && s == RW_OK; at += PIECE) {
        size_t n = count - at < PIECE ? count - at : PIECE;
        uint8_t *to = (uint8_t *)dst + at * size;
        gather(p, i, at, n, is_raw ? (void *)to : raw);
        if (is_raw) continue;
        rw_tensor piece = {.dtype = src->dtype, .rank = 1, .shape = {(int64_t)n}, .data = raw};
        rw_tensor_to_f64(&piece, x);
        s = change(p, i, x, n);
        rw_f64_to(t->dtype, x, to, n);
    }
    return s;
}

/* ---- the whole ----------------------------------------------------------------------------- */

/* What the input says beside its tensors goes along; of a file that says nothing, the one thing
 * readers of .safetensors ask for. */
static rw_status write_plan(plan *p, const char *out) {
    static const char *const said[] = {"format", "pt", NULL};
    bool is_pth = strlen(out) > 4 && strcmp(out + strlen(out) - 4, ".pth") == 0;
    size_t n = strcmp(p->in->kind, "ggmf") == 0 ? 0 : 2 * p->in->n_meta;
    if (n == 0) return weights_save_filled(out, p->t, p->n, is_pth ? NULL : said, fill, p, p->m);
    const char **meta = calloc(n + 1, sizeof *meta);
    if (meta == NULL) return no_memory(p);
    for (size_t i = 0; i < n; i++) meta[i] = p->in->meta[i];
    rw_status s = weights_save_filled(out, p->t, p->n, meta, fill, p, p->m);
    free(meta);
    return s;
}

rw_status rw_convert(const char *in, const char *out, const rw_convert_options *options,
                     rw_message *m) {
    static const rw_convert_options nothing = {0};
    plan p = {.options = options != NULL ? options : &nothing, .m = m};
    if ((unsigned)p.options->dtype > RW_CONVERT_BF16)
        return rw_fail(m, RW_BAD_ARG, "no element type to convert to has the number %d",
                       (int)p.options->dtype);
    rw_status s = rw_weights_open(in, &p.in, m);
    if (s != RW_OK) return s;
    if (strcmp(p.in->kind, "ggmf") == 0) s = ggmf_check_whole(p.in, m);
    if (s == RW_OK) s = make_plan(&p);
    if (s == RW_OK) s = write_plan(&p, out);
    free(p.t);
    free(p.step);
    rw_weights_close(p.in);
    return s;
}
