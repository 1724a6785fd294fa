/* The directory of a zip file. It lies at the end: the end record (PK 5 6) says where; where its
 * numbers do not fit, the zip64 end record (PK 6 6) does, found by its locator (PK 6 7). The sizes
 * in the local headers before each entry may be zero and are not used. */
#include "zip.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "weights_impl.h"

enum { END_BYTES = 22, END64_BYTES = 56, LOCATOR_BYTES = 20, ENTRY_BYTES = 46, LOCAL_BYTES = 30 };

static uint16_t u16(const uint8_t *p) {
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t u32(const uint8_t *p) {
    return u16(p) | (uint32_t)u16(p + 2) << 16;
}

static uint64_t u64(const uint8_t *p) {
    return u32(p) | (uint64_t)u32(p + 4) << 32;
}

typedef struct place {
    uint64_t at, bytes; /* of the directory */
} place;

/* The end record ends the file, but for a comment of up to 65535 bytes. */
static const uint8_t *find_end(const rw_file *f) {
    if (f->bytes < END_BYTES)
        return NULL;
    size_t last = f->bytes - END_BYTES, first = last > 65535 ? last - 65535 : 0;
    for (size_t at = last + 1; at-- > first;) {
        const uint8_t *p = f->data + at;
        if (memcmp(p, "PK\5\6", 4) == 0 && at + END_BYTES + u16(p + 20) == f->bytes)
            return p;
    }
    return NULL;
}

static rw_status find_directory(const zip_directory *z, place *d, rw_message *m) {
    const rw_file *f = z->file;
    const uint8_t *end = find_end(f);
    if (end == NULL)
        return rw_fail(m, RW_BAD_FILE, "%s: this zip file has no end record: it was cut (at %zu "
                       "bytes), or is damaged", z->path, f->bytes);
    *d = (place){.at = u32(end + 16), .bytes = u32(end + 12)};
    size_t at = (size_t)(end - f->data);
    if (d->at == 0xffffffffu || d->bytes == 0xffffffffu || u16(end + 10) == 0xffff) {
        const uint8_t *locator = end - LOCATOR_BYTES;
        if (at < LOCATOR_BYTES + END64_BYTES || memcmp(locator, "PK\6\7", 4) != 0)
            return rw_fail(m, RW_BAD_FILE, "%s: its zip64 end record is missing", z->path);
        uint64_t at64 = u64(locator + 8);
        if (at64 > at - LOCATOR_BYTES - END64_BYTES ||
            memcmp(f->data + at64, "PK\6\6", 4) != 0)
            return rw_fail(m, RW_BAD_FILE, "%s: its zip64 end record is not at byte %llu", z->path,
                           (unsigned long long)at64);
        *d = (place){.at = u64(f->data + at64 + 48), .bytes = u64(f->data + at64 + 40)};
    }
    if (d->at > at || d->bytes > at - d->at)
        return rw_fail(m, RW_BAD_FILE, "%s: its zip directory (%llu bytes at %llu) does not fit "
                       "the file: it was cut, or is damaged", z->path, (unsigned long long)d->bytes,
                       (unsigned long long)d->at);
    return RW_OK;
}

/* Numbers that do not fit 32 bits stand in extra field 1, only those, in this order. */
static bool read_extra(const uint8_t *p, size_t n, zip_entry *e, uint64_t *packed) {
    uint64_t *wide[3] = {&e->bytes, packed, &e->at};
    while (n >= 4) {
        size_t id = u16(p), length = u16(p + 2);
        if (length > n - 4)
            return false;
        const uint8_t *q = p + 4;
        size_t left = id == 1 ? length : 0;
        for (size_t i = 0; id == 1 && i < 3; i++) {
            if (*wide[i] != 0xffffffffu)
                continue;
            if (left < 8)
                return false;
            *wide[i] = u64(q);
            q += 8;
            left -= 8;
        }
        p += 4 + length;
        n -= 4 + length;
    }
    return true;
}

/* One entry at p, of which n bytes are left; *used = its length. */
static bool read_entry(const uint8_t *p, size_t n, zip_entry *e, size_t *used) {
    if (n < ENTRY_BYTES || memcmp(p, "PK\1\2", 4) != 0)
        return false;
    size_t name = u16(p + 28), extra = u16(p + 30), comment = u16(p + 32);
    *used = ENTRY_BYTES + name + extra + comment;
    if (*used > n)
        return false;
    uint64_t packed = u32(p + 20);
    *e = (zip_entry){.name = (const char *)p + ENTRY_BYTES, .name_length = name,
                     .at = u32(p + 42), .bytes = u32(p + 24), .crc = u32(p + 16),
                     .method = u16(p + 10), .flags = u16(p + 8)};
    if (!read_extra(p + ENTRY_BYTES + name, extra, e, &packed))
        return false;
    return e->method != 0 || packed == e->bytes;
}

static int compare(const char *a, size_t n, const char *b, size_t k) {
    int c = memcmp(a, b, n < k ? n : k);
    return c != 0 ? c : (n > k) - (n < k);
}

static int order_entries(const void *a, const void *b) {
    const zip_entry *x = a, *y = b;
    return compare(x->name, x->name_length, y->name, y->name_length);
}

static rw_status read_entries(zip_directory *z, place d, rw_message *m) {
    const uint8_t *p = z->file->data + d.at;
    size_t left = (size_t)d.bytes, used;
    char q[QUOTED];
    z->entry = malloc((left / ENTRY_BYTES + 1) * sizeof *z->entry);
    if (z->entry == NULL)
        return rw_fail(m, RW_NO_MEMORY, "%s: no memory for its directory", z->path);
    for (; left > 0; p += used, left -= used)
        if (!read_entry(p, left, &z->entry[z->n++], &used))
            return rw_fail(m, RW_BAD_FILE, "%s: its zip directory is damaged at byte %zu", z->path,
                           (size_t)(p - z->file->data));
    qsort(z->entry, z->n, sizeof *z->entry, order_entries);
    for (size_t i = 1; i < z->n; i++)
        if (order_entries(&z->entry[i - 1], &z->entry[i]) == 0)
            return rw_fail(m, RW_BAD_FILE, "%s: its zip directory has the entry %s twice", z->path,
                           text_quote(z->entry[i].name, z->entry[i].name_length, q));
    return RW_OK;
}

rw_status zip_open(const rw_file *file, const char *path, zip_directory *out, rw_message *m) {
    place d = {0};
    *out = (zip_directory){.file = file, .path = path};
    rw_status s = find_directory(out, &d, m);
    return s == RW_OK ? read_entries(out, d, m) : s;
}

/* name against a followed by b, without putting the two together */
static int compare_joined(const char *name, size_t n, const char *a, size_t na, const char *b,
                          size_t nb) {
    size_t head = n < na ? n : na;
    int c = memcmp(name, a, head);
    if (c != 0 || n < na)
        return c != 0 ? c : -1;
    return compare(name + na, n - na, b, nb);
}

zip_entry *zip_find(const zip_directory *z, const char *a, size_t a_length, const char *b,
                    size_t b_length) {
    size_t lo = 0, hi = z->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        zip_entry *e = &z->entry[mid];
        int c = compare_joined(e->name, e->name_length, a, a_length, b, b_length);
        if (c == 0)
            return e;
        if (c > 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

rw_status zip_data(const zip_directory *z, const zip_entry *e, const uint8_t **data,
                   rw_message *m) {
    const rw_file *f = z->file;
    char q[QUOTED];
    text_quote(e->name, e->name_length, q);
    if ((e->flags & 1) != 0)
        return rw_fail(m, RW_BAD_FILE, "%s: entry %s is encrypted", z->path, q);
    if (e->method != 0)
        return rw_fail(m, RW_BAD_FILE, "%s: entry %s is compressed (method %d); entries must be "
                       "stored: save it again with torch.save", z->path, q, e->method);
    if (e->at > f->bytes || f->bytes - e->at < LOCAL_BYTES ||
        memcmp(f->data + e->at, "PK\3\4", 4) != 0)
        return rw_fail(m, RW_BAD_FILE, "%s: entry %s does not begin at byte %llu", z->path, q,
                       (unsigned long long)e->at);
    const uint8_t *p = f->data + e->at;
    uint64_t at = e->at + LOCAL_BYTES + u16(p + 26) + u16(p + 28);
    if (at > f->bytes || e->bytes > f->bytes - at)
        return rw_fail(m, RW_BAD_FILE, "%s: entry %s (%llu bytes at %llu) does not fit the file: "
                       "it was cut, or is damaged", z->path, q, (unsigned long long)e->bytes,
                       (unsigned long long)at);
    *data = f->data + at;
    return RW_OK;
}

rw_status zip_check(const zip_directory *z, zip_entry *e, rw_message *m) {
    const uint8_t *p = NULL;
    char q[QUOTED];
    if (e->is_checked)
        return RW_OK;
    rw_status s = zip_data(z, e, &p, m);
    if (s != RW_OK)
        return s;
    unsigned long crc = crc32_z(crc32_z(0, NULL, 0), p, (size_t)e->bytes);
    if (crc != e->crc)
        return rw_fail(m, RW_BAD_FILE, "%s: the check sum of entry %s is wrong: the file is "
                       "damaged", z->path, text_quote(e->name, e->name_length, q));
    e->is_checked = true;
    return RW_OK;
}
