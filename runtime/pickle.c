/* The stack machine of pickles, protocols 2 to 5, as far as checkpoints need it. */
#include "pickle.h"

#include <stdlib.h>
#include <string.h>

#include "weights_impl.h"

/* ---- names a pickle may call --------------------------------------------------------------- */

enum global_kind {
    G_DICT,      /* collections.OrderedDict()                                        */
    G_TENSOR,    /* _rebuild_tensor(_v2)(storage, offset, size, stride, ...)         */
    G_TENSOR3,   /* _rebuild_tensor_v3(storage, offset, size, stride, _, _, dtype, ) */
    G_PARAMETER, /* _rebuild_parameter(tensor, ...)                                  */
    G_SIZE,      /* torch.Size(tuple)                                                */
    G_STORAGE,   /* a storage class: names the element type                          */
    G_UNTYPED,   /* torch.storage.UntypedStorage                                     */
    G_DTYPE      /* torch.float32, ...                                               */
};

static const struct global {
    const char *module, *name;
    enum global_kind kind;
    rw_dtype dtype;
} globals[] = {
    {"collections", "OrderedDict", G_DICT, RW_F32},
    {"torch._utils", "_rebuild_tensor", G_TENSOR, RW_F32},
    {"torch._utils", "_rebuild_tensor_v2", G_TENSOR, RW_F32},
    {"torch._utils", "_rebuild_tensor_v3", G_TENSOR3, RW_F32},
    {"torch._utils", "_rebuild_parameter", G_PARAMETER, RW_F32},
    {"torch._utils", "_rebuild_parameter_with_state", G_PARAMETER, RW_F32},
    {"torch", "Size", G_SIZE, RW_F32},
    {"torch.storage", "UntypedStorage", G_UNTYPED, RW_U8},
#define DTYPE(id, name, bytes, family, st, npy, storage, torch)                                    \
    {"torch", storage, G_STORAGE, id}, {"torch", torch, G_DTYPE, id},
#include "dtypes.def"
#undef DTYPE
};

/* ---- memory -------------------------------------------------------------------------------- */

typedef struct chunk {
    struct chunk *next;
    max_align_t align;
} chunk;

struct pickle {
    const char *path;
    const uint8_t *data;
    size_t at, bytes;
    rw_message *m;
    rw_status status;
    chunk *chunks;
    uint8_t *free_at; /* in the newest chunk */
    size_t free_bytes;
    pickle_value **stack, **memo;
    size_t n_stack, stack_cap, n_memo, memo_cap, n_puts;
};

static void fail(pickle *p, const char *what) {
    if (p->status == RW_OK)
        p->status = rw_fail(p->m, RW_BAD_FILE, "%s: data.pkl is damaged at byte %zu: %s", p->path,
                            p->at, what);
}

static void no_memory(pickle *p) {
    if (p->status == RW_OK)
        p->status = rw_fail(p->m, RW_NO_MEMORY, "%s: no memory for the values of data.pkl",
                            p->path);
}

static void *take(pickle *p, size_t bytes) {
    bytes = (bytes + 15) & ~(size_t)15;
    if (bytes > p->free_bytes) {
        size_t size = bytes > 32768 ? bytes : 32768;
        chunk *c = malloc(sizeof *c + size);
        if (c == NULL) {
            no_memory(p);
            return NULL;
        }
        c->next = p->chunks;
        p->chunks = c;
        p->free_at = (uint8_t *)(c + 1);
        p->free_bytes = size;
    }
    void *r = p->free_at;
    p->free_at += bytes;
    p->free_bytes -= bytes;
    return r;
}

/* Room for item `at` in an array of pointers, which doubles; new room is cleared. */
static bool reserve(pickle *p, pickle_value ***array, size_t *cap, size_t at) {
    size_t more = *cap == 0 ? 64 : *cap;
    if (at < *cap)
        return true;
    while (more <= at)
        more *= 2;
    pickle_value **a = realloc(*array, more * sizeof(pickle_value *));
    if (a == NULL) {
        no_memory(p);
        return false;
    }
    for (size_t i = *cap; i < more; i++)
        a[i] = NULL;
    *array = a;
    *cap = more;
    return true;
}

/* ---- the stack; a mark is a NULL on it ----------------------------------------------------- */

static void push(pickle *p, pickle_value *v) {
    if (p->status == RW_OK && reserve(p, &p->stack, &p->stack_cap, p->n_stack))
        p->stack[p->n_stack++] = v;
}

static pickle_value *push_new(pickle *p, pickle_kind kind) {
    pickle_value *v = take(p, sizeof *v);
    if (v == NULL)
        return NULL;
    *v = (pickle_value){.kind = kind};
    push(p, v);
    return v;
}

static pickle_value *pop(pickle *p) {
    if (p->n_stack == 0 || p->stack[p->n_stack - 1] == NULL) {
        fail(p, "it takes a value from an empty stack");
        return NULL;
    }
    return p->stack[--p->n_stack];
}

static pickle_value *top_of(pickle *p, pickle_kind kind, const char *what) {
    if (p->n_stack == 0 || p->stack[p->n_stack - 1] == NULL ||
        p->stack[p->n_stack - 1]->kind != kind) {
        fail(p, what);
        return NULL;
    }
    return p->stack[p->n_stack - 1];
}

/* Takes all above the newest mark, and the mark; the values stay at *first until the next push. */
static size_t pop_mark(pickle *p, pickle_value ***first) {
    size_t k = p->n_stack;
    while (k > 0 && p->stack[k - 1] != NULL)
        k--;
    if (k == 0) {
        fail(p, "it looks for a mark that was not set");
        return 0;
    }
    size_t n = p->n_stack - k;
    *first = p->stack + k;
    p->n_stack = k - 1;
    return n;
}

/* ---- bytes --------------------------------------------------------------------------------- */

static const uint8_t *bytes_of(pickle *p, uint64_t n) {
    if (n > p->bytes - p->at) {
        fail(p, "it ends inside a value");
        return NULL;
    }
    const uint8_t *b = p->data + p->at;
    p->at += (size_t)n;
    return b;
}

static uint64_t number_of(pickle *p, size_t bytes) {
    const uint8_t *b = bytes_of(p, bytes);
    uint64_t x = 0;
    for (size_t i = 0; b != NULL && i < bytes; i++)
        x |= (uint64_t)b[i] << 8 * i;
    return x;
}

static void push_int(pickle *p, int64_t x, pickle_kind kind) {
    pickle_value *v = push_new(p, kind);
    if (v != NULL)
        v->integer = x;
}

/* An integer of any length, two's complement; beyond 64 bits it is nothing a tensor needs. */
static void push_long(pickle *p, uint64_t n) {
    const uint8_t *b = bytes_of(p, n);
    uint64_t x = 0;
    if (b == NULL)
        return;
    if (n > 8) {
        push_new(p, P_OTHER);
        return;
    }
    for (uint64_t i = 0; i < 8; i++)
        x |= (uint64_t)(i < n ? b[i] : n > 0 && b[n - 1] >= 128 ? 255 : 0) << 8 * i;
    push_int(p, (int64_t)x, P_INT);
}

static void push_text(pickle *p, uint64_t n) {
    const char *s = (const char *)bytes_of(p, n);
    pickle_value *v = s != NULL ? push_new(p, P_TEXT) : NULL;
    if (v != NULL) {
        v->text = s;
        v->n = (size_t)n;
    }
}

static void push_other(pickle *p, uint64_t n) {
    if (bytes_of(p, n) != NULL)
        push_new(p, P_OTHER);
}

/* ---- collections --------------------------------------------------------------------------- */

static void push_tuple(pickle *p, size_t n, pickle_value **first) {
    pickle_value **item = n > 0 ? take(p, n * sizeof(pickle_value *)) : NULL;
    if (n > 0 && item == NULL)
        return;
    for (size_t i = 0; i < n; i++)
        item[i] = first[i];
    pickle_value *v = push_new(p, P_TUPLE);
    if (v != NULL) {
        v->item = item;
        v->n = n;
    }
}

static void tuple_of_last(pickle *p, size_t n) {
    pickle_value *item[3];
    for (size_t i = n; i-- > 0;)
        if ((item[i] = pop(p)) == NULL)
            return;
    push_tuple(p, n, item);
}

static void tuple_to_mark(pickle *p) {
    pickle_value **first = NULL;
    size_t n = pop_mark(p, &first);
    if (p->status == RW_OK)
        push_tuple(p, n, first);
}

/* Adds n values to a list or dict. Old room is left in the chunks: twice the memory at most. */
static void extend(pickle *p, pickle_value *v, size_t n, pickle_value *const *first) {
    if (v->n + n > v->cap) {
        size_t cap = v->n + n > 2 * (size_t)v->cap ? v->n + n : 2 * (size_t)v->cap;
        pickle_value **item = take(p, cap * sizeof(pickle_value *));
        if (item == NULL)
            return;
        for (size_t i = 0; i < v->n; i++)
            item[i] = v->item[i];
        v->item = item;
        v->cap = (uint32_t)cap;
    }
    for (size_t i = 0; i < n; i++)
        v->item[v->n++] = first[i];
}

static void set_items(pickle *p) {
    pickle_value **first = NULL;
    size_t n = pop_mark(p, &first);
    pickle_value *d = p->status == RW_OK ? top_of(p, P_DICT, "items are set in no dict") : NULL;
    if (d == NULL)
        return;
    if (n % 2 != 0)
        fail(p, "a dict gets a key without a value");
    else
        extend(p, d, n, first);
}

static void set_item(pickle *p) {
    pickle_value *pair[2] = {NULL, NULL};
    pair[1] = pop(p);
    pair[0] = pop(p);
    pickle_value *d = pair[0] != NULL && pair[1] != NULL
                          ? top_of(p, P_DICT, "an item is set in no dict") : NULL;
    if (d != NULL)
        extend(p, d, 2, pair);
}

static void append_items(pickle *p) {
    pickle_value **first = NULL;
    size_t n = pop_mark(p, &first);
    pickle_value *d = p->status == RW_OK ? top_of(p, P_LIST, "values are appended to no list")
                                         : NULL;
    if (d != NULL)
        extend(p, d, n, first);
}

static void append_item(pickle *p) {
    pickle_value *v = pop(p);
    pickle_value *d = v != NULL ? top_of(p, P_LIST, "a value is appended to no list") : NULL;
    if (d != NULL)
        extend(p, d, 1, &v);
}

/* ---- calls --------------------------------------------------------------------------------- */

static bool is_text(const char *s, size_t n, const char *t) {
    return strlen(t) == n && memcmp(s, t, n) == 0;
}

static void push_global(pickle *p, const char *module, size_t n, const char *name, size_t k) {
    char q[QUOTED], r[QUOTED];
    for (size_t i = 0; i < sizeof globals / sizeof *globals; i++) {
        if (is_text(module, n, globals[i].module) && is_text(name, k, globals[i].name) && k > 0) {
            push_int(p, (int64_t)i, P_GLOBAL);
            return;
        }
    }
    p->status = rw_fail(p->m, RW_BAD_FILE, "%s: the pickle asks for %s.%s, which is not run from a "
                        "file; save the tensors alone: torch.save(model.state_dict(), ...)",
                        p->path, text_quote(module, n, q), text_quote(name, k, r));
}

/* Two lines: module, name. */
static void read_global(pickle *p) {
    const char *s = (const char *)p->data + p->at;
    const char *end = memchr(s, '\n', p->bytes - p->at);
    size_t left = end != NULL ? p->bytes - p->at - (size_t)(end - s) - 1 : 0;
    const char *end2 = end != NULL ? memchr(end + 1, '\n', left) : NULL;
    if (end2 == NULL) {
        fail(p, "it ends inside a name");
        return;
    }
    push_global(p, s, (size_t)(end - s), end + 1, (size_t)(end2 - end) - 1);
    p->at += (size_t)(end2 - s) + 1;
}

static void stack_global(pickle *p) {
    const pickle_value *name = pop(p), *module = pop(p);
    if (name == NULL || module == NULL)
        return;
    if (name->kind != P_TEXT || module->kind != P_TEXT)
        fail(p, "a name is no text");
    else
        push_global(p, module->text, module->n, name->text, name->n);
}

/* ('storage', class, key, device, count): the device is where it was, not where it will be. */
static void persistent_id(pickle *p) {
    const pickle_value *t = pop(p);
    if (t == NULL)
        return;
    if (t->kind != P_TUPLE || t->n < 5 || t->item[0]->kind != P_TEXT ||
        !is_text(t->item[0]->text, t->item[0]->n, "storage") || t->item[1]->kind != P_GLOBAL ||
        t->item[2]->kind != P_TEXT || t->item[4]->kind != P_INT || t->item[4]->integer < 0) {
        fail(p, "a storage is not ('storage', type, key, device, count)");
        return;
    }
    const struct global *g = &globals[t->item[1]->integer];
    if (g->kind != G_STORAGE && g->kind != G_UNTYPED) {
        fail(p, "the type of a storage is no storage class");
        return;
    }
    pickle_storage *s = take(p, sizeof *s);
    pickle_value *v = s != NULL ? push_new(p, P_STORAGE) : NULL;
    if (v == NULL)
        return;
    *s = (pickle_storage){.dtype = g->dtype, .is_untyped = g->kind == G_UNTYPED,
                          .key = t->item[2]->text, .key_length = t->item[2]->n,
                          .count = t->item[4]->integer};
    v->storage = s;
}

static bool read_sizes(const pickle_value *t, int64_t out[RW_MAX_RANK]) {
    for (size_t i = 0; i < t->n; i++) {
        if (t->item[i]->kind != P_INT || t->item[i]->integer < 0)
            return false;
        out[i] = t->item[i]->integer;
    }
    return true;
}

static void call_tensor(pickle *p, const pickle_value *a, bool has_dtype) {
    if (a->n < (has_dtype ? 7u : 4u) || a->item[0]->kind != P_STORAGE ||
        a->item[1]->kind != P_INT || a->item[2]->kind != P_TUPLE || a->item[3]->kind != P_TUPLE ||
        a->item[2]->n != a->item[3]->n || a->item[1]->integer < 0) {
        fail(p, "a tensor is not made of (storage, offset, size, stride, ...)");
        return;
    }
    if (a->item[2]->n > RW_MAX_RANK) {
        fail(p, "a tensor has more than 8 dimensions");
        return;
    }
    pickle_tensor *t = take(p, sizeof *t);
    if (t == NULL)
        return;
    *t = (pickle_tensor){.storage = a->item[0]->storage, .dtype = a->item[0]->storage->dtype,
                         .rank = (int)a->item[2]->n, .offset = a->item[1]->integer};
    if (has_dtype) {
        const pickle_value *d = a->item[6];
        if (d->kind != P_GLOBAL || globals[d->integer].kind != G_DTYPE) {
            fail(p, "the element type of a tensor is none");
            return;
        }
        t->dtype = globals[d->integer].dtype;
    }
    if (t->storage->is_untyped != has_dtype)
        fail(p, "a storage without a type, or with two");
    else if (!read_sizes(a->item[2], t->shape) || !read_sizes(a->item[3], t->stride))
        fail(p, "a size or stride of a tensor is no whole number from 0 up");
    pickle_value *v = p->status == RW_OK ? push_new(p, P_TENSOR) : NULL;
    if (v != NULL)
        v->tensor = t;
}

static void call(pickle *p) {
    pickle_value *a = pop(p), *f = pop(p);
    if (a == NULL || f == NULL)
        return;
    if (f->kind != P_GLOBAL || a->kind != P_TUPLE) {
        fail(p, "it calls what cannot be called");
        return;
    }
    switch (globals[f->integer].kind) {
    case G_DICT:
        if (a->n == 0)
            push_new(p, P_DICT);
        else
            fail(p, "an OrderedDict is made of something");
        return;
    case G_TENSOR: call_tensor(p, a, false); return;
    case G_TENSOR3: call_tensor(p, a, true); return;
    case G_PARAMETER:
        if (a->n >= 1 && a->item[0]->kind == P_TENSOR)
            push(p, a->item[0]);
        else
            fail(p, "a parameter is made of no tensor");
        return;
    case G_SIZE:
        if (a->n == 1 && a->item[0]->kind == P_TUPLE)
            push(p, a->item[0]);
        else
            fail(p, "a size is made of no tuple");
        return;
    default: fail(p, "it calls what cannot be called"); return;
    }
}

/* ---- the machine --------------------------------------------------------------------------- */

static void memo_put(pickle *p, uint64_t i) {
    if (p->n_stack == 0 || p->stack[p->n_stack - 1] == NULL)
        fail(p, "it remembers a value of an empty stack");
    else if (i >= p->bytes) /* a put takes a byte: honest numbers are below */
        fail(p, "it remembers a value under too high a number");
    else if (reserve(p, &p->memo, &p->memo_cap, (size_t)i))
        p->memo[i] = p->stack[p->n_stack - 1];
    p->n_puts++;
}

static void memo_get(pickle *p, uint64_t i) {
    if (i >= p->memo_cap || p->memo[i] == NULL)
        fail(p, "it recalls a value it did not remember");
    else
        push(p, p->memo[i]);
}

static void check_protocol(pickle *p) {
    uint64_t n = number_of(p, 1);
    if (n < 2 || n > 5)
        fail(p, "a protocol other than 2 to 5");
}

/* One instruction; false after the last. Every instruction makes a bounded number of values. */
static bool step(pickle *p) {
    uint64_t op = number_of(p, 1);
    if (p->status != RW_OK)
        return false;
    switch (op) {
    case 0x80: check_protocol(p); break;
    case 0x95: (void)bytes_of(p, 8); break; /* frame: a hint for streams */
    case '(': push(p, NULL); break;
    case '0': (void)pop(p); break;
    case 'N': push_new(p, P_NONE); break;
    case 0x88: push_int(p, 1, P_BOOL); break;
    case 0x89: push_int(p, 0, P_BOOL); break;
    case 'K': push_int(p, (int64_t)number_of(p, 1), P_INT); break;
    case 'M': push_int(p, (int64_t)number_of(p, 2), P_INT); break;
    case 'J': push_int(p, (int32_t)(uint32_t)number_of(p, 4), P_INT); break;
    case 0x8a: push_long(p, number_of(p, 1)); break;
    case 0x8b: push_long(p, number_of(p, 4)); break;
    case 'G': push_other(p, 8); break;                  /* float */
    case 'C': push_other(p, number_of(p, 1)); break;    /* bytes */
    case 'B': push_other(p, number_of(p, 4)); break;
    case 0x8e: push_other(p, number_of(p, 8)); break;
    case 'X': push_text(p, number_of(p, 4)); break;
    case 0x8c: push_text(p, number_of(p, 1)); break;
    case 0x8d: push_text(p, number_of(p, 8)); break;
    case ')': push_tuple(p, 0, NULL); break;
    case 't': tuple_to_mark(p); break;
    case 0x85: tuple_of_last(p, 1); break;
    case 0x86: tuple_of_last(p, 2); break;
    case 0x87: tuple_of_last(p, 3); break;
    case ']': push_new(p, P_LIST); break;
    case 'a': append_item(p); break;
    case 'e': append_items(p); break;
    case '}': push_new(p, P_DICT); break;
    case 's': set_item(p); break;
    case 'u': set_items(p); break;
    case 'q': memo_put(p, number_of(p, 1)); break;
    case 'r': memo_put(p, number_of(p, 4)); break;
    case 0x94: memo_put(p, p->n_puts); break;
    case 'h': memo_get(p, number_of(p, 1)); break;
    case 'j': memo_get(p, number_of(p, 4)); break;
    case 'c': read_global(p); break;
    case 0x93: stack_global(p); break;
    case 'Q': persistent_id(p); break;
    case 'R': call(p); break;
    case 'b': (void)pop(p); break; /* attributes (_metadata): nothing a tensor needs */
    case '.': return false;
    default:
        p->status = rw_fail(p->m, RW_BAD_FILE, "%s: data.pkl has the instruction 0x%02x at byte "
                            "%zu, which no file of plain tensors needs; save model.state_dict()",
                            p->path, (unsigned)op, p->at - 1);
    }
    return p->status == RW_OK;
}

rw_status pickle_read(const char *path, const uint8_t *data, size_t bytes, pickle **out,
                      const pickle_value **top, rw_message *m) {
    *out = NULL;
    if (bytes > PICKLE_MAX)
        return rw_fail(m, RW_BAD_FILE, "%s: its data.pkl has %zu bytes, more than any set of named "
                       "tensors needs", path, bytes);
    pickle *p = calloc(1, sizeof *p);
    if (p == NULL)
        return rw_fail(m, RW_NO_MEMORY, "%s: no memory", path);
    *out = p;
    p->path = path;
    p->data = data;
    p->bytes = bytes;
    p->m = m;
    while (step(p)) {
    }
    if (p->status == RW_OK)
        *top = pop(p);
    return p->status;
}

void pickle_free(pickle *p) {
    if (p == NULL)
        return;
    while (p->chunks != NULL) {
        chunk *next = p->chunks->next;
        free(p->chunks);
        p->chunks = next;
    }
    free(p->stack);
    free(p->memo);
    free(p);
}
