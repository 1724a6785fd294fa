/* `rwkvc explain CODE`: what a diagnostic means and what mends it. */
#include <stdio.h>

#include "../compiler/diag.h"
#include "commands.h"
#include "options.h"

static const char help[] =
    "usage: %s [CODE]...\n"
    "\n"
    "Explains a diagnostic by the code behind it (E0601, 0601 or 601); without one, lists all.\n";

int cmd_explain(const char *command, int argc, char **argv) {
    enum { HELP = OPTION_LONG };
    static const struct option longs[] = {{"help", no_argument, NULL, HELP}, {0}};
    int n = 0;
    Line line = {command, argc, argv, "", longs, false};
    for (int c; (c = next_option(&line)) != -1; n++) {
        if (c == HELP) {
            printf(help, command);
            return finish_output(command, EXIT_DONE);
        }
        if (c != 1) return EXIT_USAGE;
        if (n) putchar('\n');
        if (!diag_explain(optarg, stdout)) {
            finish_output(command, EXIT_DONE);
            return usage_error(command, "there is no code '%s'; 'rwkvc explain' lists them",
                               optarg);
        }
    }
    if (!n) diag_list(stdout);
    return finish_output(command, EXIT_DONE);
}
