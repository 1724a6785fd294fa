/* Any bytes are a tree or a report, never a crash: for libFuzzer. Built with
 * -fsanitize=fuzzer,address,undefined. */
#include "dsl/ast.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Arena *a = arena_new();
    Diag *d = diag_new(a, 0);
    const char *text = (const char *)data;
    uint32_t number = diag_source(d, "fuzz", text, size);
    File *file = parse_text(a, names_new(a), d, number, "fuzz", text, size);
    Text t = text_new(a);
    ast_print(file, &t);
    FILE *f = fopen("/dev/null", "w");
    if (f) {
        diag_print(d, f, DIAG_PLAIN);
        diag_print(d, f, DIAG_JSON);
        fclose(f);
    }
    if (!t.n && !diag_errors(d)) { /* a text of nothing: only blanks, comments and ends */
        for (size_t i = 0; i < size; i++) {
            if (data[i] == '#')
                while (i < size && data[i] != '\n') i++;
            else if (data[i] > 0x20 && data[i] != ';' && data[i] < 0x80)
                abort();
        }
    }
    arena_free(a);
    return 0;
}
