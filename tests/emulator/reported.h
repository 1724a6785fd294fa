/* What a driver's library reports at the end of a process: the test's program runs itself. */
#ifndef TESTS_EMULATOR_REPORTED_H
#define TESTS_EMULATOR_REPORTED_H

#include "tests/failures.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The report of the last of the runs SELF LIBRARY WORD, one a word; NULL ends them. */
static void reported(const char *self, const char *library, const char *const *words, char *text,
                     size_t cap) {
    const char *tmp = getenv("TMPDIR");
    char path[300], command[2000];
    snprintf(path, sizeof path, "%s/emulator-report-XXXXXX", tmp != NULL && *tmp ? tmp : "/tmp");
    int file = mkstemp(path);
    CHECK(file >= 0, "no file %s", path);
    for (; *words != NULL; words++) {
        snprintf(command, sizeof command, "RWKVC_EMU_REPORT='%s' '%s' '%s' %s", path, self, library,
                 *words);
        CHECK(system(command) == 0, "%s", command);
    }
    ssize_t n = file >= 0 ? read(file, text, cap - 1) : -1;
    CHECK(n > 0, "no report");
    text[n > 0 ? n : 0] = '\0';
    if (file >= 0) close(file);
    remove(path);
}

#endif
