/* Code objects for tests, made in this process: from LLVM IR or from assembly. */
#ifndef TESTS_EMULATOR_ASSEMBLE_H
#define TESTS_EMULATOR_ASSEMBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* IR without triple and data layout; optimized: as a compiler would emit it. The bytes of a linked
 * code object, to be freed; says why not and ends the test otherwise. */
uint8_t *code_from_ir(const char *processor, const char *ir, bool is_optimized, size_t *bytes);
uint8_t *code_from_assembly(const char *processor, const char *text, size_t *bytes);
/* A bundle of code objects, in the order given. */
uint8_t *bundle(const char *const *processors, uint8_t *const *codes, const size_t *sizes, size_t n,
                size_t *bytes);

/* A file's bytes, to be freed; NULL: there is none. */
uint8_t *read_whole(const char *path, size_t *bytes);

#endif
