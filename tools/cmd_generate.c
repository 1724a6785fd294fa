/* `rwkv generate FILE --params P --vocab V --prompt TEXT`: text from a model, as it comes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../runtime/file.h"
#include "../runtime/sample.h"
#include "../runtime/vocab.h"
#include "commands.h"
#include "compiled.h"
#include "measure.h"

static const char help[] =
    "usage: rwkv generate FILE --params P --vocab V --prompt TEXT [--n N] ...\n"
    "\n"
    "Continues TEXT with a compiled model, and writes what it makes as it comes.\n"
    "\n"
    "  --params P           parameters (.safetensors or .pth)\n"
    "  --vocab V            bytes; chars:LIST, each character of LIST a token; or a file: the\n"
    "                       World vocabulary, or a list of characters\n"
    "  --prompt TEXT        what is continued\n"
    "  --prompt-file F      the same from a file (/dev/stdin: what is piped in)\n"
    "  --n N                tokens at most (default 200)\n"
    "  --stop TEXT          ends before TEXT\n"
    "  --temperature X      default 1; 0: always the most likely token\n"
    "  --top-p X            of the most likely, as many as have X together (default 1)\n"
    "  --top-k N            of the N most likely (default 0: all)\n"
    "  --seed N             of the draws (default 0)\n"
    "  --state-in S         goes on from a state instead of the start of a sequence\n"
    "  --state-out S        writes the state behind the last token\n"
    "  --stats              says on standard error how fast it was\n" MACHINE_HELP "  --help\n";

enum {
    PARAMS = OPTION_LONG,
    VOCAB,
    PROMPT,
    PROMPT_FILE,
    N,
    STOP,
    TEMPERATURE,
    TOP_P,
    TOP_K,
    SEED,
    STATE_IN,
    STATE_OUT,
    STATS,
    HELP
};

/* Tokens of a prompt that go in at once. */
enum { PIECE = 256 };

typedef struct Generate {
    Compiled c;
    Machine machine;
    rw_sampling sampling;
    const char *params, *vocab_name, *prompt, *prompt_file, *stop, *state_in, *state_out;
    uint64_t n;
    bool stats, help;
    rw_vocab *vocab;
    rw_chooser *chooser;
    int32_t *tokens; /* of the prompt */
    size_t n_tokens, n_logits;
    float *logits;
    char *text; /* made and not written yet */
    size_t n_text, cap_text;
    double prompt_seconds, step_seconds;
    uint64_t made;
} Generate;

/* ---- the command line ---------------------------------------------------------------------- */

static int take_text(Generate *g, int c) {
    const char **const to = c == PARAMS        ? &g->params
                            : c == VOCAB       ? &g->vocab_name
                            : c == PROMPT      ? &g->prompt
                            : c == PROMPT_FILE ? &g->prompt_file
                            : c == STOP        ? &g->stop
                            : c == STATE_IN    ? &g->state_in
                            : c == STATE_OUT   ? &g->state_out
                                               : &g->c.path;
    if (*to)
        return c == 1 ? usage_error(g->c.command, "one file at a time: '%s' and '%s'", *to, optarg)
                      : usage_error(g->c.command, "'%s' and '%s' for the same option", *to, optarg);
    *to = optarg;
    if (c != STATE_OUT || has_ending(optarg, ".safetensors") || has_ending(optarg, ".pth"))
        return EXIT_DONE;
    return usage_error(g->c.command, "'%s': its ending says what is written: .safetensors or .pth",
                       optarg);
}

static int take_number(Generate *g, int c) {
    const char *command = g->c.command;
    uint64_t k;
    switch (c) {
    case N:
        if (parse_u64(optarg, &g->n)) return EXIT_DONE;
        return usage_error(command, "--n %s: a whole number from 0", optarg);
    case TOP_K:
        if (parse_u64(optarg, &k) && k <= INT32_MAX) {
            g->sampling.top_k = (int64_t)k;
            return EXIT_DONE;
        }
        return usage_error(command, "--top-k %s: a whole number from 0", optarg);
    case SEED:
        if (parse_u64(optarg, &g->sampling.seed)) return EXIT_DONE;
        return usage_error(command, "--seed %s: a whole number from 0", optarg);
    case TEMPERATURE:
        if (parse_real(optarg, &g->sampling.temperature) && g->sampling.temperature >= 0 &&
            isfinite(g->sampling.temperature))
            return EXIT_DONE;
        return usage_error(command, "--temperature %s: a number from 0", optarg);
    default:
        if (parse_real(optarg, &g->sampling.top_p) && g->sampling.top_p > 0 &&
            g->sampling.top_p <= 1)
            return EXIT_DONE;
        return usage_error(command, "--top-p %s: a number above 0 and at most 1", optarg);
    }
}

static int take_option(Generate *g, int c) {
    if (c >= MACHINE) return set_machine(&g->machine, g->c.command, c, optarg);
    switch (c) {
    case N:
    case TOP_K:
    case SEED:
    case TEMPERATURE:
    case TOP_P: return take_number(g, c);
    case STATS: g->stats = true; return EXIT_DONE;
    case HELP: g->help = true; return EXIT_DONE;
    case 0: return EXIT_USAGE;
    default: return take_text(g, c);
    }
}

static const struct option longs[] = {{"params", required_argument, NULL, PARAMS},
                                      {"vocab", required_argument, NULL, VOCAB},
                                      {"prompt", required_argument, NULL, PROMPT},
                                      {"prompt-file", required_argument, NULL, PROMPT_FILE},
                                      {"n", required_argument, NULL, N},
                                      {"stop", required_argument, NULL, STOP},
                                      {"temperature", required_argument, NULL, TEMPERATURE},
                                      {"top-p", required_argument, NULL, TOP_P},
                                      {"top-k", required_argument, NULL, TOP_K},
                                      {"seed", required_argument, NULL, SEED},
                                      {"state-in", required_argument, NULL, STATE_IN},
                                      {"state-out", required_argument, NULL, STATE_OUT},
                                      {"stats", no_argument, NULL, STATS},
                                      MACHINE_OPTIONS,
                                      {"help", no_argument, NULL, HELP},
                                      {0}};

static int read_options(Generate *g, int argc, char **argv) {
    const char *command = g->c.command;
    g->sampling = (rw_sampling){.temperature = 1, .top_p = 1};
    g->n = 200;
    Line line = {command, argc, argv, "", longs, false};
    for (int c; (c = next_option(&line)) != -1;) {
        int code = take_option(g, c);
        if (code != EXIT_DONE || g->help) return code;
    }
    if (!g->c.path) return usage_error(command, "which FILE?");
    if (!g->params) return usage_error(command, "with which parameters? --params P");
    if (!g->vocab_name)
        return usage_error(command, "with which tokens? --vocab bytes, chars:LIST or a file");
    if (!g->prompt == !g->prompt_file)
        return usage_error(command, "one prompt: --prompt TEXT or --prompt-file F");
    if (g->stop && !*g->stop) return usage_error(command, "--stop: the text is empty");
    return EXIT_DONE;
}

/* ---- preparing ------------------------------------------------------------------------------- */

static int read_prompt(Generate *g) {
    rw_message m = {""};
    rw_file f = {0};
    const void *text = g->prompt;
    size_t bytes = g->prompt ? strlen(g->prompt) : 0;
    rw_status s = rw_vocab_open(g->vocab_name, &g->vocab, &m);
    if (s == RW_OK && g->prompt_file) {
        s = rw_file_map(g->prompt_file, &f, &m);
        text = f.data;
        bytes = f.bytes;
    }
    g->tokens = s == RW_OK ? malloc((bytes + 1) * sizeof *g->tokens) : NULL;
    if (s == RW_OK && !g->tokens) s = rw_fail(&m, RW_NO_MEMORY, "no memory for the prompt");
    if (s == RW_OK) s = rw_vocab_encode(g->vocab, text, bytes, g->tokens, &g->n_tokens, &m);
    rw_file_unmap(&f);
    if (s == RW_NO_SUCH) return failed(g->c.command, EXIT_INPUT, "the prompt: %s", m.text);
    if (s != RW_OK) return compiled_failed(&g->c, s, &m);
    if (g->n_tokens > 0) return EXIT_DONE;
    /* a vocabulary that leaves 0 free means by it the end of a document: one begins behind it */
    size_t n;
    if (rw_vocab_piece(g->vocab, 0, &n) != NULL)
        return failed(g->c.command, EXIT_USAGE, "the prompt is empty: there is nothing to go on");
    g->tokens[g->n_tokens++] = 0;
    return EXIT_DONE;
}

/* Looks at the entry that takes one token after the other: token [B] and logits [B,V]. */
static int check_model(Generate *g, Lengths *l) {
    rw_info token, logits;
    int code = compiled_need_entry(&g->c, "step");
    if (code == EXIT_DONE) code = lengths_begin(l, &g->c);
    if (code != EXIT_DONE) return code;
    if (!compiled_find(&g->c, RW_INPUT, "step", "token", &token) || token.rank != 1 ||
        !compiled_find(&g->c, RW_OUTPUT, "step", "logits", &logits) || logits.rank != 2 ||
        logits.shape[1] < 1)
        return failed(g->c.command, EXIT_INPUT,
                      "%s: step of a model of text takes token [B] and gives logits [B,V]",
                      g->c.path);
    g->n_logits = (size_t)logits.shape[1];
    int64_t below = token.below > 0 ? token.below : logits.shape[1];
    for (size_t i = 0; i < g->n_tokens; i++)
        if (g->tokens[i] >= below)
            return failed(g->c.command, EXIT_INPUT,
                          "the prompt has token %d of %s; the model knows 0 to %lld", g->tokens[i],
                          g->vocab_name, (long long)below - 1);
    return EXIT_DONE;
}

static int open_session(Generate *g) {
    Lengths l;
    int code = check_model(g, &l);
    if (code == EXIT_DONE) code = compiled_weights(&g->c, g->params);
    if (code != EXIT_DONE) return code;
    bool has_prefill = compiled_has_entry(&g->c, "prefill") && g->n_tokens > 1;
    static const char *const entries[] = {"step", "prefill"};
    rw_info info;
    const int64_t shape[2] = {1, g->n_tokens < PIECE ? (int64_t)g->n_tokens : PIECE};
    if (has_prefill && compiled_find(&g->c, RW_INPUT, "prefill", "token", &info))
        lengths_claim(&l, &info, shape, 2);
    rw_session_options o = {
        .dims = l.dim, .n_dims = l.n, .entries = entries, .n_entries = has_prefill ? 2 : 1};
    code = compiled_session(&g->c, &o);
    if (code != EXIT_DONE || !g->state_in) return code;
    rw_message m = {""};
    rw_weights *w = NULL;
    rw_status s = rw_weights_open(g->state_in, &w, &m);
    if (s == RW_OK) s = rw_states_load(g->c.session, RW_STATE, w, &m);
    rw_weights_close(w);
    return s == RW_OK ? EXIT_DONE : compiled_failed(&g->c, s, &m);
}

/* ---- running --------------------------------------------------------------------------------- */

/* Feeds n tokens; one of them by step, more by prefill. */
static rw_status feed(Generate *g, const int32_t *tokens, size_t n, rw_message *m) {
    rw_tensor t = {.name = "token",
                   .dtype = RW_I32,
                   .rank = n > 1 ? 2 : 1,
                   .data = tokens,
                   .shape = {1, (int64_t)n},
                   .bytes = n * 4};
    rw_status s = rw_put(g->c.session, "token", &t, m);
    return s == RW_OK ? rw_call(g->c.session, n > 1 ? "prefill" : "step", m) : s;
}

static rw_status feed_prompt(Generate *g, rw_message *m) {
    bool has_prefill = compiled_has_entry(&g->c, "prefill");
    rw_status s = RW_OK;
    for (size_t i = 0; i < g->n_tokens && s == RW_OK;) {
        size_t n = g->n_tokens - i < PIECE ? g->n_tokens - i : PIECE;
        if (!has_prefill) n = 1;
        s = feed(g, g->tokens + i, n, m);
        i += n;
    }
    return s;
}

/* Appends to what is not written yet. False without memory. */
static bool add_text(Generate *g, const uint8_t *bytes, size_t n) {
    if (g->n_text + n > g->cap_text) {
        size_t cap = 2 * (g->n_text + n) + 64;
        char *more = realloc(g->text, cap);
        if (!more) return false;
        g->text = more;
        g->cap_text = cap;
    }
    memcpy(g->text + g->n_text, bytes, n);
    g->n_text += n;
    return true;
}

/* Where in the text the stop begins; *may_come: how many bytes at its end may be its beginning. */
static bool find_stop(const Generate *g, size_t *at, size_t *may_come) {
    size_t k = g->stop ? strlen(g->stop) : 0;
    *may_come = 0;
    if (k == 0) return false;
    for (size_t i = 0; i < g->n_text; i++) {
        size_t rest = g->n_text - i, n = rest < k ? rest : k;
        if (memcmp(g->text + i, g->stop, n) != 0) continue;
        *at = i;
        *may_come = rest;
        return n == k;
    }
    return false;
}

/* Writes what is whole; true when the text to stop at has come. */
static bool write_text(Generate *g, bool is_last) {
    if (g->n_text == 0) return false;
    size_t at = g->n_text, waits;
    bool stops = find_stop(g, &at, &waits);
    size_t n = stops ? at : is_last ? g->n_text : g->n_text - waits;
    if (!is_last && !stops) n = rw_utf8_whole(g->text, n);
    if (n > 0) {
        fwrite(g->text, 1, n, stdout);
        fflush(stdout);
    }
    memmove(g->text, g->text + n, g->n_text - n);
    g->n_text = stops ? 0 : g->n_text - n;
    return stops;
}

/* Token after token. The state is left behind the last one that was made. */
static rw_status generate(Generate *g, rw_message *m) {
    double begin = seconds_now();
    rw_status s = feed_prompt(g, m);
    g->prompt_seconds = seconds_now() - begin;
    begin += g->prompt_seconds;
    while (s == RW_OK && g->made < g->n && !ferror(stdout)) {
        s = rw_get(g->c.session, "logits", RW_F32, g->logits, g->n_logits * sizeof *g->logits, m);
        if (s != RW_OK) break;
        int64_t token = rw_choose(g->chooser, g->logits, g->n_logits, g->made);
        if (token < 0) return rw_fail(m, RW_BAD_FILE, "the logits are not numbers");
        size_t n;
        int32_t next = (int32_t)token;
        const uint8_t *piece = rw_vocab_piece(g->vocab, token, &n);
        g->made++;
        s = feed(g, &next, 1, m);
        if (!piece) break; /* the end of a document */
        if (!add_text(g, piece, n)) return rw_fail(m, RW_NO_MEMORY, "no memory for text");
        if (write_text(g, false)) break;
    }
    (void)write_text(g, true);
    g->step_seconds = seconds_now() - begin;
    return s;
}

static int run(Generate *g) {
    rw_message m = {""};
    int code = compiled_open(&g->c, &g->machine, false);
    if (code == EXIT_DONE) code = read_prompt(g);
    if (code == EXIT_DONE) code = open_session(g);
    if (code != EXIT_DONE) return code;
    rw_status s = rw_chooser_create(&g->sampling, g->n_logits, &g->chooser, &m);
    g->logits = malloc(g->n_logits * sizeof *g->logits);
    if (!g->logits) return failed(g->c.command, EXIT_INTERNAL, "out of memory");
    if (s == RW_OK) s = generate(g, &m);
    if (isatty(STDOUT_FILENO) == 1) putchar('\n');
    if (s == RW_OK && g->state_out)
        s = rw_session_save(g->c.session, RW_STATE, g->state_out, NULL, &m);
    if (s != RW_OK) return compiled_failed(&g->c, s, &m);
    if (g->stats)
        fprintf(stderr, "%s: %zu tokens of prompt in %.3f s, %llu made in %.3f s (%.1f tok/s)\n",
                g->c.command, g->n_tokens, g->prompt_seconds, (unsigned long long)g->made,
                g->step_seconds, (double)g->made / (g->step_seconds > 0 ? g->step_seconds : 1));
    return EXIT_DONE;
}

int cmd_generate(const char *command, int argc, char **argv) {
    Generate g = {.c = {.command = command}};
    int code = read_options(&g, argc, argv);
    if (code == EXIT_DONE && g.help) fputs(help, stdout);
    if (code == EXIT_DONE && !g.help) code = run(&g);
    rw_chooser_destroy(g.chooser);
    rw_vocab_close(g.vocab);
    free(g.tokens);
    free(g.logits);
    free(g.text);
    compiled_close(&g.c);
    return finish_output(command, code);
}
