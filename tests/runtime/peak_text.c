/* The compiler's side of peak.c. */
#include <stdint.h>
#include <string.h>

#include "codegen/codegen.h"
#include "dsl/check.h"
#include "tests/runtime/compiled.h"

/* Compiles one entry of the small program, within a budget of so many bytes (0: none) at these lengths, and says
 * what its plan needs for tensors and for what comes from outside. */
bool peak_compile(const char *name, int64_t bytes, int64_t batch, int64_t steps, const char *path,
                  int64_t *tensors, int64_t *outside) {
    Arena *a = arena_new();
    Diag *d = diag_new(a, 0);
    Program *p = check_text(a, d, "tiny.rwkv", tiny_text, strlen(tiny_text), NULL);
    FileEntry e = {.name = name, .graph = p ? program_graph(p, name, d) : NULL};
    const char *why = "the text is wrong";
    bool is_io, ok = false;
    if (e.graph) {
        int64_t axes[8];
        for (uint32_t i = 0; i < size_axes(e.graph->sizes); i++)
            axes[i] = strcmp(size_axis_name(e.graph->sizes, i), "B") == 0 ? batch : steps;
        PlanBudget b = {.bytes = bytes, .axes = axes};
        PlanOptions o = {.fuse = true, .budget = &b};
        PlanPeak k;
        e.plan = plan_make(a, e.graph, &o, &why);
        ok = e.plan && plan_peak(e.plan, axes, &k);
        if (ok) {
            *tensors = k.tensors;
            *outside = k.outside;
            why = file_write(a, &e, 1, target_find("x86-64-v3"), "tiny", path, &is_io);
            ok = !why;
        }
    }
    if (!ok) printf("%s: %s\n", name, why ? why : "no peak");
    arena_free(a);
    return ok;
}
