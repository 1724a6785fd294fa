/* Fuzzing entry for graph_read: any bytes are refused with a line, or give a graph that the verifier takes
 * and whose text reads back to the same text. For libFuzzer. */
#include "compiler/graph.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "fuzz_graph: %s\n", what);
    abort();
}

static Text printed(Graph *g) {
    Text t = text_new(g->arena);
    graph_print(g, &t);
    return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Arena *a = arena_new();
    const char *error = NULL;
    Graph *g = graph_read(a, (const char *)data, size, &error);
    must(g || (error && strncmp(error, "line ", 5) == 0), "an error without a line");
    if (g) {
        Text once = printed(g);
        Graph *again = graph_read(a, once.data, once.n, &error);
        must(again != NULL, "a printed graph is refused");
        must(strcmp(printed(again).data, once.data) == 0, "a graph that prints otherwise once read");
        Graph *copy = graph_clone(g, "copy");
        must(!graph_verify(copy), "a copy that breaks rules");
        Text drawing = text_new(a);
        graph_dot(copy, &drawing);
    }
    arena_free(a);
    return 0;
}
