/* Text for NVIDIA's GPUs into machine code, by NVIDIA's assembler. It reads and writes files: they lie in memory and
 * have no names, so that nothing is left of them whatever becomes of either program. */
#define _GNU_SOURCE /* pipe2, memfd_create */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bundle.h"

extern char **environ;

/* ---- another program ------------------------------------------------------------------------------ */

/* What it is given: descriptors of ours, which are its 0, its 1 and 2, and its 3. */
typedef struct Ends {
    int input, said, made;
} Ends;

#define INPUT "/proc/self/fd/0" /* as it calls them */
#define MADE  "/proc/self/fd/3"
enum { FREE = 10 }; /* no number of the child's */

/* An errno. */
static int start(const char *const *words, const Ends *x, pid_t *child) {
    posix_spawn_file_actions_t to;
    int error = posix_spawn_file_actions_init(&to);
    if (error) return error;
    error = posix_spawn_file_actions_adddup2(&to, x->input, STDIN_FILENO);
    if (!error) error = posix_spawn_file_actions_adddup2(&to, x->said, STDOUT_FILENO);
    if (!error) error = posix_spawn_file_actions_adddup2(&to, x->said, STDERR_FILENO);
    if (!error) error = posix_spawn_file_actions_adddup2(&to, x->made, STDERR_FILENO + 1);
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
static const char *run(const char *const *words, int input, int made, Text *said, int *status) {
    int ends[2];
    pid_t child;
    if (pipe2(ends, O_CLOEXEC) != 0) return strerror(errno);
    int error = start(words, &(Ends){.input = input, .said = ends[1], .made = made}, &child);
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

/* -1: errno says why. */
static int memory_file(const char *name) {
    int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0) return -1;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, FREE), error = errno;
    close(fd);
    errno = error;
    return high;
}

static bool put(int fd, const Image *text) {
    const char *from = text->data;
    for (size_t left = text->bytes; left > 0;) {
        ssize_t n = write(fd, from, left < (1u << 30) ? left : 1u << 30);
        if (n < 0 && errno != EINTR) return false;
        if (n > 0) {
            from += n;
            left -= (size_t)n;
        }
    }
    return true;
}

static const char *assemble(Arena *a, const char *const *words, int input, int made,
                            const Image *text, Image *cubin, Text *said) {
    if (input < 0 || made < 0 || !put(input, text))
        return arena_printf(a, "%s: no place in memory for its files: %s", words[0],
                            strerror(errno));
    int status = 0;
    const char *wrong = run(words, input, made, said, &status);
    if (wrong) return arena_printf(a, "%s: it cannot be run: %s", words[0], wrong);
    if (WIFSIGNALED(status))
        return arena_printf(a, "%s: ended by signal %d", words[0], WTERMSIG(status));
    if (status != 0) return arena_printf(a, "%s: %s", words[0], words_of(a, said));
    wrong = image_read(a, arena_printf(a, "/proc/self/fd/%d", made), cubin);
    return wrong || !is_cubin(cubin) ? arena_printf(a, "%s: it made no cubin", words[0]) : NULL;
}

const char *ptxas_run(Arena *a, const char *ptxas, const TargetInfo *t, const char *what,
                      const Image *text, Image *cubin, Text *said) {
    const char *words[] = {ptxas, "-arch", t->cpu, INPUT, "-o", MADE, what, NULL};
    int input = memory_file("ptx"), made = input < 0 ? -1 : memory_file("cubin");
    const char *wrong = assemble(a, words, input, made, text, cubin, said);
    if (input >= 0) close(input);
    if (made >= 0) close(made);
    return wrong;
}
