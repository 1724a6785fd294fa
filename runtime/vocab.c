/* Vocabularies. The tokens are kept sorted by their bytes; the longest match narrows the range of
 * those that begin as the text does, byte by byte. */
#include "vocab.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"

typedef struct piece {
    uint32_t token, bytes;
    size_t at; /* in the text of all pieces */
} piece;

struct rw_vocab {
    uint8_t *text;    /* of all pieces      */
    piece *sorted;    /* [n], by bytes      */
    uint32_t *place;  /* [count]: of a token among the sorted; UINT32_MAX: none */
    size_t n, count;
    size_t cap_text, n_text, cap;
};

/* Tokens beyond this are refused: the table by number stays small. */
enum { MAX_TOKEN = 1 << 24 };

void rw_vocab_close(rw_vocab *v) {
    if (v == NULL) return;
    free(v->text);
    free(v->sorted);
    free(v->place);
    free(v);
}

size_t rw_vocab_count(const rw_vocab *v) { return v->count; }

/* ---- building ------------------------------------------------------------------------------ */

static rw_status add_piece(rw_vocab *v, uint32_t token, const uint8_t *bytes, size_t n,
                           rw_message *m) {
    if (v->n_text + n > v->cap_text) {
        size_t cap = (v->n_text + n) * 2;
        uint8_t *text = realloc(v->text, cap);
        if (text == NULL) return rw_fail(m, RW_NO_MEMORY, "no memory for a vocabulary");
        v->text = text;
        v->cap_text = cap;
    }
    if (v->n == v->cap) {
        size_t cap = v->cap ? 2 * v->cap : 1024;
        piece *sorted = realloc(v->sorted, cap * sizeof *sorted);
        if (sorted == NULL) return rw_fail(m, RW_NO_MEMORY, "no memory for a vocabulary");
        v->sorted = sorted;
        v->cap = cap;
    }
    memcpy(v->text + v->n_text, bytes, n);
    v->sorted[v->n++] = (piece){.token = token, .bytes = (uint32_t)n, .at = v->n_text};
    v->n_text += n;
    if (token >= v->count) v->count = (size_t)token + 1;
    return RW_OK;
}

static int compare(const rw_vocab *v, const piece *a, const piece *b) {
    uint32_t n = a->bytes < b->bytes ? a->bytes : b->bytes;
    int c = memcmp(v->text + a->at, v->text + b->at, n);
    return c != 0 ? c : a->bytes < b->bytes ? -1 : a->bytes > b->bytes;
}

/* Sorts a[n] by merging; b is room for as many. */
static void sort(const rw_vocab *v, piece *a, piece *b, size_t n) {
    if (n < 2) return;
    size_t h = n / 2, i = 0, k = h;
    sort(v, a, b, h);
    sort(v, a + h, b, n - h);
    memcpy(b, a, n * sizeof *a);
    for (size_t o = 0; o < n; o++)
        a[o] = k == n || (i < h && compare(v, &b[i], &b[k]) <= 0) ? b[i++] : b[k++];
}

static rw_status finish(rw_vocab *v, const char *name, rw_message *m) {
    if (v->n == 0) return rw_fail(m, RW_BAD_FILE, "%s: a vocabulary without tokens", name);
    piece *room = malloc(v->n * sizeof *room);
    v->place = malloc(v->count * sizeof *v->place);
    if (room != NULL && v->place != NULL) sort(v, v->sorted, room, v->n);
    free(room);
    if (room == NULL || v->place == NULL)
        return rw_fail(m, RW_NO_MEMORY, "%s: no memory for the vocabulary", name);
    memset(v->place, 0xff, v->count * sizeof *v->place);
    for (size_t i = 0; i < v->n; i++) {
        const piece *p = &v->sorted[i];
        if (i > 0 && compare(v, p - 1, p) == 0)
            return rw_fail(m, RW_BAD_FILE, "%s: tokens %u and %u are the same", name,
                           (p - 1)->token, p->token);
        if (v->place[p->token] != UINT32_MAX)
            return rw_fail(m, RW_BAD_FILE, "%s: token %u is there twice", name, p->token);
        v->place[p->token] = (uint32_t)i;
    }
    return RW_OK;
}

/* ---- characters ---------------------------------------------------------------------------- */

/* Bytes of the character that begins at p, within n >= 1: negative when the n bytes are its beginning
 * and more would have to come, 0 when it is none. */
static int character(const uint8_t *p, size_t n) {
    uint8_t c = p[0];
    int len = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : (c & 0xf0) == 0xe0 ? 3 : 0;
    if (c >= 0xf0 && c < 0xf5) len = 4;
    for (int i = 1; i < len; i++) {
        if ((size_t)i == n) return -len;
        uint8_t lowest = i > 1 ? 0x80 : c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
        uint8_t highest = i > 1 ? 0xbf : c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
        if (p[i] < lowest || p[i] > highest) return 0;
    }
    return len;
}

size_t rw_utf8_whole(const void *text, size_t n) {
    const uint8_t *p = text;
    size_t i = 0;
    while (i < n) {
        int len = character(p + i, n - i);
        if (len < 0) break;
        i += len > 0 ? (size_t)len : 1;
    }
    return i;
}

static rw_status read_characters(rw_vocab *v, const char *name, const uint8_t *p, size_t n,
                                 rw_message *m) {
    rw_status s = RW_OK;
    for (size_t i = 0; i < n && s == RW_OK;) {
        int len = character(p + i, n - i);
        if (len <= 0)
            return rw_fail(m, RW_BAD_FILE, "%s: byte %zu of the list of characters is not UTF-8",
                           name, i);
        if (v->n >= MAX_TOKEN) return rw_fail(m, RW_BAD_FILE, "%s: too many tokens", name);
        s = add_piece(v, (uint32_t)v->n, p + i, (size_t)len, m);
        i += (size_t)len;
    }
    return s;
}

/* ---- the World vocabulary ------------------------------------------------------------------ */

/* A line being read; what it says is appended to out, which has room for 4 bytes a byte. */
typedef struct literal {
    const uint8_t *p, *end;
    uint8_t *out;
    size_t n;
    int is_bytes;
} literal;

static void put_code_point(literal *l, uint32_t c) {
    if (c < 0x80) {
        l->out[l->n++] = (uint8_t)c;
    } else if (c < 0x800) {
        l->out[l->n++] = (uint8_t)(0xc0 | c >> 6);
        l->out[l->n++] = (uint8_t)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        l->out[l->n++] = (uint8_t)(0xe0 | c >> 12);
        l->out[l->n++] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        l->out[l->n++] = (uint8_t)(0x80 | (c & 0x3f));
    } else {
        l->out[l->n++] = (uint8_t)(0xf0 | c >> 18);
        l->out[l->n++] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
        l->out[l->n++] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        l->out[l->n++] = (uint8_t)(0x80 | (c & 0x3f));
    }
}

static int hex_digits(literal *l, int digits, uint32_t *out) {
    *out = 0;
    for (int i = 0; i < digits; i++, l->p++) {
        if (l->p == l->end) return 0;
        uint8_t c = *l->p;
        uint32_t d = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                     : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                            : 16;
        if (d == 16) return 0;
        *out = *out << 4 | d;
    }
    return 1;
}

/* Behind a backslash. */
static int read_escape(literal *l) {
    static const char from[] = "ntrabfv0\\'\"", to[] = "\n\t\r\a\b\f\v\0\\'\"";
    if (l->p == l->end) return 0;
    uint8_t c = *l->p++;
    int digits = c == 'x' ? 2 : c == 'u' && !l->is_bytes ? 4 : c == 'U' && !l->is_bytes ? 8 : 0;
    uint32_t code;
    if (digits) {
        if (!hex_digits(l, digits, &code) || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
            return 0;
        if (l->is_bytes)
            l->out[l->n++] = (uint8_t)code;
        else
            put_code_point(l, code);
        return 1;
    }
    const char *at = c ? strchr(from, c) : NULL;
    if (at == NULL) return 0;
    l->out[l->n++] = (uint8_t)to[at - from];
    return 1;
}

/* A Python literal of a str or bytes, all of p..end. */
static int read_literal(literal *l) {
    if (l->p < l->end && *l->p == 'b') {
        l->is_bytes = 1;
        l->p++;
    }
    if (l->end - l->p < 2) return 0;
    uint8_t quote = *l->p++;
    if ((quote != '\'' && quote != '"') || *--l->end != quote) return 0;
    while (l->p < l->end) {
        uint8_t c = *l->p++;
        if (c == quote || (l->is_bytes && c >= 0x80)) return 0;
        if (c != '\\')
            l->out[l->n++] = c;
        else if (!read_escape(l))
            return 0;
    }
    return 1;
}

static int read_number(const uint8_t *p, const uint8_t *end, uint32_t *out) {
    uint32_t v = 0;
    if (p == end) return 0;
    for (; p < end; p++) {
        if (*p < '0' || *p > '9' || v > MAX_TOKEN) return 0;
        v = v * 10 + (uint32_t)(*p - '0');
    }
    *out = v;
    return v <= MAX_TOKEN;
}

/* "NUMBER LITERAL BYTES"; the literal may itself hold spaces. What it says goes to out. */
static int read_line(const uint8_t *p, const uint8_t *end, uint8_t *out, uint32_t *token,
                     size_t *n) {
    const uint8_t *first = memchr(p, ' ', (size_t)(end - p)), *last = end;
    uint32_t bytes;
    while (last > p && last[-1] != ' ') last--;
    if (first == NULL || last - first < 3) return 0;
    literal l = {.p = first + 1, .end = last - 1, .out = out};
    if (!read_number(p, first, token) || !read_number(last, end, &bytes)) return 0;
    if (!read_literal(&l) || l.n != bytes || bytes == 0) return 0;
    *n = l.n;
    return 1;
}

static const uint8_t *line_end(const uint8_t *p, const uint8_t *end) {
    const uint8_t *at = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
    return at != NULL ? at : end;
}

static rw_status read_world(rw_vocab *v, const char *name, const rw_file *f, uint8_t *room,
                            rw_message *m) {
    const uint8_t *p = f->data, *end = f->data + f->bytes;
    for (size_t line = 1; p < end; line++) {
        const uint8_t *stop = line_end(p, end), *next = stop < end ? stop + 1 : end;
        uint32_t token;
        size_t n;
        if (stop > p && stop[-1] == '\r') stop--;
        if (stop > p) {
            if (!read_line(p, stop, room, &token, &n))
                return rw_fail(m, RW_BAD_FILE,
                               "%s:%zu: not a line of a vocabulary: NUMBER 'TEXT' BYTES", name,
                               line);
            rw_status s = add_piece(v, token, room, n, m);
            if (s != RW_OK) return s;
        }
        p = next;
    }
    return RW_OK;
}

static rw_status read_file(rw_vocab *v, const char *name, rw_message *m) {
    rw_file f;
    rw_status s = rw_file_map(name, &f, m);
    if (s != RW_OK) return s;
    const uint8_t *end = f.data + f.bytes, *first = line_end(f.data, end);
    if (first > f.data && first[-1] == '\r') first--;
    uint8_t *room = malloc(4 * f.bytes + 1);
    uint32_t token;
    size_t n = f.bytes;
    if (room == NULL) {
        s = rw_fail(m, RW_NO_MEMORY, "%s: no memory for the vocabulary", name);
    } else if (read_line(f.data, first, room, &token, &n)) {
        s = read_world(v, name, &f, room, m);
    } else {
        n = f.bytes;
        while (n > 0 && (f.data[n - 1] == '\n' || f.data[n - 1] == '\r')) n--;
        s = read_characters(v, name, f.data, n, m);
    }
    free(room);
    rw_file_unmap(&f);
    return s;
}

rw_status rw_vocab_open(const char *name, rw_vocab **out, rw_message *m) {
    *out = NULL;
    rw_vocab *v = calloc(1, sizeof *v);
    if (v == NULL) return rw_fail(m, RW_NO_MEMORY, "%s: no memory", name);
    rw_status s = RW_OK;
    if (strcmp(name, "bytes") == 0) {
        for (unsigned i = 0; i < 256 && s == RW_OK; i++)
            s = add_piece(v, i, &(uint8_t){(uint8_t)i}, 1, m);
    } else if (strncmp(name, "chars:", 6) == 0) {
        s = read_characters(v, "chars:", (const uint8_t *)name + 6, strlen(name) - 6, m);
    } else {
        s = read_file(v, name, m);
    }
    if (s == RW_OK) s = finish(v, name, m);
    if (s == RW_OK)
        *out = v;
    else
        rw_vocab_close(v);
    return s;
}

/* ---- using --------------------------------------------------------------------------------- */

const uint8_t *rw_vocab_piece(const rw_vocab *v, int64_t token, size_t *n) {
    *n = 0;
    if (token < 0 || (uint64_t)token >= v->count || v->place[token] == UINT32_MAX) return NULL;
    const piece *p = &v->sorted[v->place[token]];
    *n = p->bytes;
    return v->text + p->at;
}

/* The first of lo..hi whose byte at `depth` is at least c; all have the same bytes before it and, if
 * they end there, stand first. */
static size_t lower(const rw_vocab *v, size_t lo, size_t hi, size_t depth, unsigned c) {
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const piece *p = &v->sorted[mid];
        if (p->bytes <= depth || v->text[p->at + depth] < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The place of the longest token that begins the text, or v->n. */
static size_t longest(const rw_vocab *v, const uint8_t *text, size_t bytes) {
    size_t lo = 0, hi = v->n, best = v->n;
    for (size_t d = 0; d < bytes && lo < hi; d++) {
        lo = lower(v, lo, hi, d, text[d]);
        hi = lower(v, lo, hi, d, text[d] + 1u);
        if (lo < hi && v->sorted[lo].bytes == d + 1) best = lo;
    }
    return best;
}

rw_status rw_vocab_encode(const rw_vocab *v, const void *text, size_t bytes, int32_t *tokens,
                          size_t *n, rw_message *m) {
    const uint8_t *p = text;
    *n = 0;
    for (size_t i = 0; i < bytes;) {
        size_t at = longest(v, p + i, bytes - i);
        if (at == v->n) {
            int len = character(p + i, bytes - i);
            return rw_fail(m, RW_NO_SUCH, "the vocabulary has no token for '%.*s' (byte %zu, 0x%02x)",
                           len > 0 ? len : 0, (const char *)p + i, i, p[i]);
        }
        tokens[(*n)++] = (int32_t)v->sorted[at].token;
        i += v->sorted[at].bytes;
    }
    return RW_OK;
}
