/* How far a run is. */
#include "progress.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "measure.h"

const char *duration_text(double seconds, char *text, size_t cap) {
    if (!(seconds >= 0) || seconds > 1e9) return "?";
    unsigned long s = (unsigned long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(text, cap, "%luh%02lum", s / 3600, s / 60 % 60);
    else if (s >= 60)
        snprintf(text, cap, "%lum%02lus", s / 60, s % 60);
    else
        snprintf(text, cap, "%lus", s);
    return text;
}

const char *rate_text(double rate, char *text, size_t cap) {
    if (rate >= 1e6)
        snprintf(text, cap, "%.2fM", rate / 1e6);
    else if (rate >= 1e4)
        snprintf(text, cap, "%.1fk", rate / 1e3);
    else
        snprintf(text, cap, "%.*f", rate < 100 ? 1 : 0, rate);
    return text;
}

void progress_begin(Progress *p, FILE *log, uint64_t steps, uint64_t every, uint64_t tokens) {
    *p = (Progress){.log = log, .steps = steps, .every = every ? every : 1, .tokens = tokens};
    p->is_terminal = isatty(STDERR_FILENO) == 1;
    p->last = seconds_now();
}

static void clear_bar(Progress *p) {
    if (p->is_drawn) fputs("\r\033[K", stderr);
    p->is_drawn = false;
}

static void log_line(Progress *p, const char *text) {
    char when[32] = "";
    time_t now = time(NULL);
    struct tm tm;
    if (!p->log) return;
    if (gmtime_r(&now, &tm)) strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
    fprintf(p->log, "%s %s\n", when, text);
    fflush(p->log);
}

void progress_say(Progress *p, const char *fmt, ...) {
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    clear_bar(p);
    fprintf(stderr, "%s\n", text);
    log_line(p, text);
}

static double tokens_a_second(const Progress *p) {
    return p->pace > 0 ? (double)p->tokens / p->pace : 0;
}

/* "step 120/1000  loss 2.3451  val 2.4012  lr 5.9e-04  12.3k tok/s  3m12s left" */
static void line_text(const Progress *p, uint64_t step, double loss, double lr, char *text,
                      size_t cap) {
    char rate[32], left[32], val[16 + 16 * PROGRESS_VALS] = "";
    size_t at = p->n_val ? (size_t)snprintf(val, sizeof val, "  val") : 0;
    for (size_t i = 0; i < p->n_val && at < sizeof val; i++)
        at += (size_t)snprintf(val + at, sizeof val - at, " %.4f", p->val[i]);
    snprintf(text, cap, "step %llu/%llu  loss %.4f%s  lr %.2e  %s tok/s  %s left",
             (unsigned long long)step, (unsigned long long)p->steps, loss, val, lr,
             rate_text(tokens_a_second(p), rate, sizeof rate),
             duration_text(p->pace * (double)(p->steps - step), left, sizeof left));
}

static void draw_bar(Progress *p, uint64_t step, double loss, double lr, double now) {
    enum { WIDTH = 20 };
    char text[300], bar[WIDTH + 1];
    if (now - p->drawn < 0.1 && step < p->steps) return;
    size_t full = p->steps ? (size_t)((double)WIDTH * (double)step / (double)p->steps) : WIDTH;
    memset(bar, '=', WIDTH);
    for (size_t i = full; i < WIDTH; i++) bar[i] = i == full ? '>' : ' ';
    bar[WIDTH] = 0;
    line_text(p, step, loss, lr, text, sizeof text);
    fprintf(stderr, "\r[%s] %s\033[K", bar, text);
    fflush(stderr);
    p->drawn = now;
    p->is_drawn = true;
}

void progress_step(Progress *p, uint64_t step, double loss, double lr) {
    double now = seconds_now(), took = now - p->last;
    p->last = now;
    p->n_all++;
    /* a mean over the steps so far, then one over about the last 20 */
    double weight = p->n_all < 20 ? 1 / (double)p->n_all : 0.05;
    p->pace += (took - p->pace) * weight;
    p->sum += loss;
    p->n++;
    double mean = p->sum / (double)p->n;
    if (p->is_terminal) draw_bar(p, step, mean, lr, now);
    if (step % p->every != 0 && step != p->steps) return;
    char text[300];
    line_text(p, step, mean, lr, text, sizeof text);
    if (!p->is_terminal) fprintf(stderr, "%s\n", text);
    log_line(p, text);
    p->sum = 0;
    p->n = 0;
}

double progress_clock(void) { return seconds_now(); }
/* The last step appears that much later. */
void progress_skip(Progress *p, double begin) { p->last += seconds_now() - begin; }

void progress_val(Progress *p, const double *val, size_t n) {
    p->n_val = n < PROGRESS_VALS ? n : PROGRESS_VALS;
    memcpy(p->val, val, p->n_val * sizeof *val);
}

void progress_end(Progress *p) {
    if (p->is_drawn) fputc('\n', stderr);
    p->is_drawn = false;
}
