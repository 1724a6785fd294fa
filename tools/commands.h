/* The subcommands. Each takes argv from its own name on (argv[0] is not read) and returns an exit
 * code; `command` is what stands in front of its messages: "rwkvc dump", "rwkv info". */
#ifndef RW_TOOLS_COMMANDS_H
#define RW_TOOLS_COMMANDS_H

#include <stdbool.h>

/* Of both programs, on the runtime alone. */
int cmd_dump(const char *command, int argc, char **argv);
/* What it prints of one file. */
int dump_file(const char *command, const char *path, bool json);
int cmd_convert(const char *command, int argc, char **argv);

/* Of rwkv: what works on compiled models. */
int cmd_info(const char *command, int argc, char **argv);
int cmd_init(const char *command, int argc, char **argv);
int cmd_run(const char *command, int argc, char **argv);
int cmd_train(const char *command, int argc, char **argv);
int cmd_generate(const char *command, int argc, char **argv);
int cmd_devices(const char *command, int argc, char **argv);
int cmd_bench(const char *command, int argc, char **argv);

/* Of rwkvc. */
int cmd_compile(const char *command, int argc, char **argv);
int cmd_eval(const char *command, int argc, char **argv);
int cmd_explain(const char *command, int argc, char **argv);

#endif
