/* Memory that runs out: each allocation of a call fails in turn; the call says so, leaks nothing,
 * leaves no file, and works when asked again. The C library's allocator is replaced for that, which
 * a sanitizer does already: there the test is skipped. */
#include "check.h"
#include "runtime/convert.h"
#include "runtime/npy.h"
#include "runtime/rng.h"

#if defined(__SANITIZE_ADDRESS__) || !defined(__GLIBC__)
int main(void) {
    printf("SKIP: the allocator cannot be replaced here\n");
    return 77;
}
#else

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void __libc_free(void *p);

static bool is_counting;
static long left; /* allocations until one fails; negative: none does */
static long live; /* allocated and not freed */

static bool fails(void) {
    if (!is_counting || left < 0)
        return false;
    return left == 0 || left-- == 0;
}

void *malloc(size_t n) {
    void *p = fails() ? NULL : __libc_malloc(n);
    live += is_counting && p != NULL;
    return p;
}

void *calloc(size_t n, size_t size) {
    void *p = fails() ? NULL : __libc_calloc(n, size);
    live += is_counting && p != NULL;
    return p;
}

void *realloc(void *old, size_t n) {
    void *p = fails() ? NULL : __libc_realloc(old, n);
    live += is_counting && p != NULL && old == NULL;
    return p;
}

void free(void *p) {
    live -= is_counting && p != NULL;
    __libc_free(p);
}

/* Runs call with the first, the second, ... allocation failing, until it succeeds. */
static void exhaust(const char *what, rw_status (*call)(rw_message *m)) {
    for (long k = 0; k < 100000; k++) {
        rw_message m = {""};
        live = 0;
        left = k;
        is_counting = true;
        rw_status s = call(&m);
        is_counting = false;
        CHECK(live == 0, "%s, allocation %ld: %ld are not freed", what, k, live);
        if (s == RW_OK) {
            CHECK(k > 0, "%s allocates nothing", what);
            return;
        }
        /* a JSON reader that has no memory says so as of any mistake; the C library as it likes */
        CHECK(s == RW_NO_MEMORY || s == RW_BAD_FILE || s == RW_IO, "%s, allocation %ld: status %d, %s",
              what, k, s, m.text);
        CHECK(m.text[0] != '\0', "%s, allocation %ld: no text", what, k);
    }
    CHECK(false, "%s never succeeds", what);
}

static const char *path_st, *path_pth, *path_npy, *path_out;

static rw_status open_path(const char *path, rw_message *m) {
    rw_weights *w;
    rw_status s = rw_weights_open(path, &w, m);
    rw_weights_close(w);
    return s;
}

static rw_status open_st(rw_message *m) {
    return open_path(path_st, m);
}

static rw_status open_pth(rw_message *m) {
    return open_path(path_pth, m);
}

static rw_status load_npy(rw_message *m) {
    rw_array a;
    rw_status s = rw_npy_load(path_npy, &a, m);
    rw_array_free(&a);
    return s;
}

static rw_status save_tensors(const char *path, rw_message *m) {
    static const char *const meta[] = {"a", "b", "c", "d", NULL};
    char names[80][8];
    rw_tensor t[80];
    float x[4] = {1, 2, 3, 4};
    for (int i = 0; i < 80; i++) {
        snprintf(names[i], sizeof names[i], "w%d", i);
        t[i] = (rw_tensor){.name = names[i], .dtype = RW_F32, .rank = 1, .shape = {4}, .data = x,
                           .bytes = 16};
    }
    return rw_weights_save(path, t, 80, meta, m);
}

static rw_status save_st(rw_message *m) {
    return save_tensors(path_st, m);
}

static rw_status save_pth(rw_message *m) {
    return save_tensors(path_pth, m);
}

static rw_status save_npy(rw_message *m) {
    float x = 1;
    rw_tensor t = {.dtype = RW_F32, .data = &x, .bytes = 4};
    return rw_npy_save(path_npy, &t, m);
}

static rw_status convert(rw_message *m) {
    rw_convert_options o = {.dtype = RW_CONVERT_F16};
    return rw_convert(path_pth, path_out, &o, m);
}

static rw_status draw(rw_message *m) {
    double x[6];
    return rw_draw_orthogonal(1, "w", 1, 2, 3, x, m);
}

int main(void) {
    char text[4][600];
    const char *const names[4] = {"a.safetensors", "a.pth", "a.npy", "b.safetensors"};
    left = -1;
    folder_make();
    for (int i = 0; i < 4; i++)
        snprintf(text[i], sizeof text[i], "%s", in_folder(names[i]));
    path_st = text[0];
    path_pth = text[1];
    path_npy = text[2];
    path_out = text[3];
    exhaust("save .safetensors", save_st);
    exhaust("save .pth", save_pth);
    exhaust("save .npy", save_npy);
    exhaust("open .safetensors", open_st);
    exhaust("open .pth", open_pth);
    exhaust("load .npy", load_npy);
    exhaust("convert", convert);
    exhaust("draw", draw);
    folder_remove();
    return finish();
}
#endif
