/* Whole files: what cannot be read is said, what is written is whole or not there. */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "check.h"

static void test_read(void) {
    rw_message m = {""};
    rw_file f;
    CHECK(rw_file_map(in_folder("none"), &f, &m) == RW_IO && strstr(m.text, "No such"), "%s", m.text);
    rw_file_unmap(&f);
    CHECK(rw_file_map(folder, &f, &m) == RW_IO && strstr(m.text, "folder"), "%s", m.text);
    spill(in_folder("empty"), "", 0);
    CHECK(rw_file_map(in_folder("empty"), &f, &m) == RW_OK, "%s", m.text);
    CHECK(f.bytes == 0 && f.data != NULL, "an empty file");
    rw_file_unmap(&f);
    rw_file_unmap(&f);
    CHECK(rw_file_map("/dev/null", &f, &m) == RW_OK && f.bytes == 0, "%s", m.text);
    rw_file_unmap(&f);
    spill(in_folder("some"), "abc", 3);
    CHECK(rw_file_map(in_folder("some"), &f, &m) == RW_OK && f.is_mapped, "%s", m.text);
    CHECK(f.bytes == 3 && memcmp(f.data, "abc", 3) == 0, "three bytes");
    rw_file_unmap(&f);
}

/* More than one buffer full through a pipe with a name. */
static void test_pipe(void) {
    enum { N = 300000 };
    const char *path = in_folder("pipe");
    rw_message m = {""};
    rw_file f;
    if (mkfifo(path, 0600) != 0)
        return;
    pid_t child = fork();
    if (child == 0) {
        int fd = open(path, O_WRONLY);
        for (int i = 0; i < N; i += 3)
            if (write(fd, "xyz", 3) != 3)
                _exit(1);
        _exit(0);
    }
    CHECK(rw_file_map(path, &f, &m) == RW_OK && !f.is_mapped, "%s", m.text);
    CHECK(f.bytes == N && f.data[N - 1] == 'z', "%zu bytes", f.bytes);
    rw_file_unmap(&f);
    waitpid(child, NULL, 0);
}

static bool holds(const char *path, const char *text) {
    size_t n;
    uint8_t *p = slurp(path, &n);
    bool is_same = n == strlen(text) && memcmp(p, text, n) == 0;
    free(p);
    return is_same;
}

static void test_write(void) {
    const char *path = in_folder("out");
    rw_message m = {""};
    rw_output *o = NULL;
    CHECK(rw_file_save(path, "old", 3, &m) == RW_OK && holds(path, "old"), "%s", m.text);
    CHECK(chmod(path, 0640) == 0, "chmod");
    CHECK(rw_file_create(path, &o, &m) == RW_OK, "%s", m.text);
    CHECK(rw_file_write(o, "ne", 2, &m) == RW_OK && holds(path, "old"), "not before the commit");
    CHECK(rw_file_write(o, "w", 1, &m) == RW_OK && rw_file_written(o) == 3, "%s", m.text);
    CHECK(rw_file_commit(o, &m) == RW_OK && holds(path, "new"), "%s", m.text);
    struct stat st;
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0640, "rights %o", st.st_mode & 0777u);
    CHECK(rw_file_create(path, &o, &m) == RW_OK, "%s", m.text);
    CHECK(rw_file_write(o, "other", 5, &m) == RW_OK, "%s", m.text);
    rw_file_abort(o);
    rw_file_abort(NULL);
    CHECK(holds(path, "new"), "an aborted file changes nothing");
    CHECK(symlink("out", in_folder("link")) == 0, "symlink");
    CHECK(rw_file_save(in_folder("link"), "by link", 7, &m) == RW_OK, "%s", m.text);
    CHECK(holds(path, "by link") && lstat(in_folder("link"), &st) == 0 && S_ISLNK(st.st_mode),
          "the link stays one");
    CHECK(rw_file_save("/dev/null", "x", 1, &m) == RW_OK, "%s", m.text);
}

static void test_refused(void) {
    rw_message m = {""};
    rw_output *o = NULL;
    CHECK(rw_file_create("", &o, &m) == RW_BAD_ARG && o == NULL, "%s", m.text);
    CHECK(rw_file_create(folder, &o, &m) == RW_IO && strstr(m.text, "folder"), "%s", m.text);
    CHECK(rw_file_create(in_folder("no/such"), &o, &m) == RW_IO && o == NULL, "%s", m.text);
    if (geteuid() != 0) {
        spill(in_folder("fixed"), "f", 1);
        CHECK(chmod(in_folder("fixed"), 0444) == 0, "chmod");
        CHECK(rw_file_save(in_folder("fixed"), "x", 1, &m) == RW_IO, "a file that may not be written");
        CHECK(holds(in_folder("fixed"), "f"), "it stays");
    }
}

/* A disk that is full: the size of a file is limited instead. */
/* A name that leaves no room for that of the file it is written to at first. */
static void test_long_name(void) {
    char name[256];
    rw_message m = {""};
    memset(name, 'n', sizeof name);
    name[255] = '\0';
    const char *path = in_folder(name);
    CHECK(rw_file_save(path, "long", 4, &m) == RW_OK && holds(path, "long"), "%s", m.text);
    CHECK(rw_file_save(path, "again", 5, &m) == RW_OK && holds(path, "again"), "%s", m.text);
}

static void test_full(void) {
    struct rlimit was, little = {.rlim_cur = 4096, .rlim_max = RLIM_INFINITY};
    char block[3000] = {0};
    rw_message m = {""};
    rw_output *o = NULL;
    if (getrlimit(RLIMIT_FSIZE, &was) != 0)
        return;
    little.rlim_max = was.rlim_max;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGXFSZ, &ignore, NULL);
    CHECK(rw_file_save(in_folder("full"), "old", 3, &m) == RW_OK, "%s", m.text);
    CHECK(setrlimit(RLIMIT_FSIZE, &little) == 0, "setrlimit");
    CHECK(rw_file_create(in_folder("full"), &o, &m) == RW_OK, "%s", m.text);
    CHECK(rw_file_write(o, block, sizeof block, &m) == RW_OK, "%s", m.text);
    CHECK(rw_file_write(o, block, sizeof block, &m) == RW_IO, "more than fits");
    CHECK(strstr(m.text, "at offset 4096") != NULL, "%s", m.text);
    CHECK(rw_file_write(o, block, 1, &m) == RW_IO, "nothing after a failure");
    CHECK(rw_file_commit(o, &m) == RW_IO, "no commit after a failure");
    setrlimit(RLIMIT_FSIZE, &was);
    CHECK(holds(in_folder("full"), "old"), "the old file stays");
    if (access("/dev/full", W_OK) == 0)
        CHECK(rw_file_save("/dev/full", "x", 1, &m) == RW_IO && strstr(m.text, "No space"), "%s",
              m.text);
}

int main(void) {
    folder_make();
    test_read();
    test_pipe();
    test_write();
    test_refused();
    test_long_name();
    test_full();
    folder_remove();
    return finish();
}
