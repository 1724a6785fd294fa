/* known FILE...: what the emulator does not know of the kernels of files for GPUs, for each of the processors that
 * the file has code for. Answers 1 if there is anything. */
#include "assemble.h"
#include "emu.h"

#include <stdio.h>
#include <stdlib.h>

static int look(const char *processor, const char *path, const uint8_t *data, size_t bytes,
                int *n_read) {
    EmuOptions options = {.processor = processor};
    Emu *emu = emu_create(&options);
    EmuImage *image;
    char *unknown = NULL;
    if (emu != NULL && emu_image_load(emu, data, bytes, &image) == EMU_OK) {
        ++*n_read;
        unknown = emu_image_unknown(image);
    }
    int bad = unknown != NULL && *unknown != '\0';
    if (bad) printf("%s, %s:\n%s", path, processor, unknown);
    free(unknown);
    if (emu != NULL) emu_destroy(emu);
    return bad;
}

int main(int argc, char **argv) {
    int bad = 0;
    for (int i = 1; i < argc; i++) {
        size_t bytes;
        int n_read = 0;
        uint8_t *data = read_whole(argv[i], &bytes);
        if (data != NULL) {
            static const char *const processors[] = {"gfx942", "gfx1100", "sm_90"};
            for (size_t k = 0; k < sizeof processors / sizeof *processors; k++)
                bad += look(processors[k], argv[i], data, bytes, &n_read);
        }
        if (n_read == 0) printf("%s: no code for any of the processors\n", argv[i]), bad++;
        free(data);
    }
    return bad > 0;
}
