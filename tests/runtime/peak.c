/* What a plan says of its memory is what a session takes. */
#include "calls.h"
#include "runtime/rw.h"
#include "runtime/session.h"

bool peak_compile(const char *name, int64_t bytes, int64_t batch, int64_t steps, const char *path,
                  int64_t *tensors, int64_t *outside);

/* Returns what the tensors take. */
static int64_t check_entry(rw_context *c, const char *name, int64_t bytes, int64_t batch,
                           int64_t steps) {
    const char *path = in_folder("peak.so");
    int64_t tensors = 0, outside = 0;
    CHECK(peak_compile(name, bytes, batch, steps, path, &tensors, &outside), "%s: not compiled",
          name);
    rw_program *p = NULL;
    rw_session *s = NULL;
    GOOD(rw_program_load(c, path, &p, &m));
    rw_dim dims[] = {{"B", batch}, {"T", steps}};
    rw_session_options o = {.dims = dims, .n_dims = 2};
    GOOD(rw_session_create(p, &o, &s, &m));
    if (s != NULL) {
        /* A result that goes straight to a state takes no room among the tensors, but there. */
        int64_t given = (int64_t)(s->param_bytes + s->state_bytes + s->slot_bytes),
                arena = (int64_t)s->arena_bytes;
        CHECK(arena + given == tensors + outside && arena <= tensors,
              "%s at %lld, %lld: %lld and %lld bytes, planned %lld and %lld", name,
              (long long)batch, (long long)steps, (long long)arena, (long long)given,
              (long long)tensors, (long long)outside);
        CHECK(arena == tensors || strcmp(name, "forward") == 0, "%s: %lld bytes, planned %lld",
              name, (long long)arena, (long long)tensors);
    }
    rw_session_destroy(s);
    rw_program_destroy(p);
    return tensors + outside;
}

int main(void) {
    folder_make();
    rw_context *c = NULL;
    GOOD(rw_context_create(NULL, &c, &m));
    check_entry(c, "forward", 0, 1, 1);
    check_entry(c, "train", 0, 3, 7);
    int64_t all = check_entry(c, "grad", 0, 2, 300);
    int64_t less = check_entry(c, "grad", all - 1, 2, 300);
    CHECK(less < all, "%lld and %lld bytes", (long long)all, (long long)less);
    rw_context_destroy(c);
    folder_remove();
    return finish();
}
