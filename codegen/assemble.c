/* Text for NVIDIA's GPUs into machine code, by NVIDIA's assembler. It reads and writes files: they lie in a folder
 * of their own beside the file that is to be made, gone when this is done. */
#define _GNU_SOURCE /* pipe2 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bundle.h"

extern char **environ;

/* ---- another program ------------------------------------------------------------------------------ */

/* Its standard input is empty, its two outputs are one pipe. An errno. */
static int start(const char *const *words, int output, pid_t *child) {
    posix_spawn_file_actions_t to;
    int error = posix_spawn_file_actions_init(&to);
    if (error) return error;
    error = posix_spawn_file_actions_addopen(&to, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!error) error = posix_spawn_file_actions_adddup2(&to, output, STDOUT_FILENO);
    if (!error) error = posix_spawn_file_actions_adddup2(&to, output, STDERR_FILENO);
    if (!error) error = posix_spawn(child, words[0], &to, NULL, (char *const *)words, environ);
    posix_spawn_file_actions_destroy(&to);
    return error;
}

static void read_all(int fd, Text *said) {
    char some[4096];
    for (;;) {
        ssize_t n = read(fd, some, sizeof some);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return;
        text_addn(said, some, (size_t)n);
    }
}

/* Runs words[0] to its end. NULL, or why it could not be; *status: as of waitpid. */
static const char *run(const char *const *words, Text *said, int *status) {
    int ends[2];
    pid_t child;
    if (pipe2(ends, O_CLOEXEC) != 0) return strerror(errno);
    int error = start(words, ends[1], &child);
    close(ends[1]);
    if (!error) {
        read_all(ends[0], said);
        while (waitpid(child, status, 0) < 0 && errno == EINTR)
            ;
    }
    close(ends[0]);
    return error ? strerror(error) : NULL;
}

/* ---- the assembler ----------------------------------------------------------------------------------- */

static bool is_cubin(const Image *x) {
    Elf64_Ehdr h;
    if (x->bytes < sizeof h) return false;
    memcpy(&h, x->data, sizeof h);
    return memcmp(h.e_ident, ELFMAG, SELFMAG) == 0 && h.e_machine == EM_CUDA;
}

/* What it said, without the line's end; the last of it, where that is much. */
static const char *words_of(Arena *a, const Text *said) {
    enum { MOST = 1500 };
    size_t n = said->n, from = 0;
    while (n > 0 && said->data[n - 1] == '\n') n--;
    if (n > MOST) from = n - MOST;
    return n ? arena_strn(a, said->data + from, n - from) : "it says nothing";
}

static const char *assemble(Arena *a, const char *const *words, const char *from, const char *to,
                            const Image *text, Image *cubin, Text *said) {
    FILE *f = fopen(from, "wb");
    bool good = f && fwrite(text->data, 1, text->bytes, f) == text->bytes;
    if (f && fclose(f) != 0) good = false;
    if (!good) return arena_printf(a, "%s: %s", from, strerror(errno));
    int status = 0;
    const char *wrong = run(words, said, &status);
    if (wrong) return arena_printf(a, "%s: it cannot be run: %s", words[0], wrong);
    if (WIFSIGNALED(status))
        return arena_printf(a, "%s: ended by signal %d", words[0], WTERMSIG(status));
    if (status != 0) return arena_printf(a, "%s: %s", words[0], words_of(a, said));
    wrong = image_read(a, to, cubin);
    if (!wrong && !is_cubin(cubin)) wrong = arena_printf(a, "%s: it made no cubin", words[0]);
    return wrong;
}

const char *ptxas_run(Arena *a, const char *ptxas, const TargetInfo *t, const char *what,
                      const Image *text, const char *path, Image *cubin, Text *said) {
    /* no word of ours may look like an option */
    char *folder = arena_printf(a, "%s%s.part-XXXXXX", *path == '/' ? "" : "./", path);
    if (!mkdtemp(folder)) return arena_printf(a, "%s: %s", path, strerror(errno));
    const char *from = arena_printf(a, "%s/code.ptx", folder),
               *to = arena_printf(a, "%s/code.cubin", folder);
    const char *words[] = {ptxas, "-arch", t->cpu, from, "-o", to, what, NULL};
    const char *wrong = assemble(a, words, from, to, text, cubin, said);
    unlink(from);
    unlink(to);
    rmdir(folder);
    return wrong;
}
