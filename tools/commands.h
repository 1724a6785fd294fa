/* The subcommands. Each takes argv from its own name on (argv[0] is not read) and returns an exit
 * code; `command` is what stands in front of its messages: "rwkvc dump", "rwkv info". */
#ifndef RW_TOOLS_COMMANDS_H
#define RW_TOOLS_COMMANDS_H

/* Of both programs, on the runtime alone. */
int cmd_dump(const char *command, int argc, char **argv);
int cmd_convert(const char *command, int argc, char **argv);

/* Of rwkvc. */
int cmd_compile(const char *command, int argc, char **argv);
int cmd_eval(const char *command, int argc, char **argv);
int cmd_explain(const char *command, int argc, char **argv);

#endif
