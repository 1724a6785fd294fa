/* One text to a tree: words, layout, grammar; and the way on after a mistake. */
#include "syntax.h"
#include "parse.tab.h"

File *parse_text(Arena *a, Names *names, Diag *d, uint32_t number, const char *name,
                 const char *text, size_t n) {
    File *file = NEW(a, File);
    file->number = number;
    file->name = name;
    Parse *p = NEW(a, Parse);
    *p = (Parse){.arena = a, .names = names, .diag = d, .file = number, .text = text, .n = n,
                 .out = file, .wrong = UINT32_MAX};
    scan_text(p);
    if (diag_full(d) || !layout(p)) return file;
    grammar_parse(p);
    return file;
}

const Token *parse_next(Parse *p) {
    const Tokens *all = &p->tokens;
    if (p->missing_block) {
        p->brace = all->data[p->next < all->n ? p->next : all->n - 1];
        p->brace.kind = p->missing_block-- == 2 ? '{' : '}';
        p->brace.made_up = true;
        return &p->brace;
    }
    if (p->next >= all->n) return &all->data[all->n - 1]; /* END again */
    uint32_t i = p->next++;
    int before = i ? all->data[i - 1].kind : NL;
    if (before == NL || before == '{' || (before == '}' && all->data[i].kind == ELSE))
        p->statement = i;
    return &all->data[i];
}

/* Statements whose rest is a block, which is parsed even when the head is wrong. */
static bool has_block(int kind) {
    return kind == FN || kind == CELL || kind == MODEL || kind == TRAIN || kind == FOR ||
           kind == IF || kind == ELSE || kind == PARAMS;
}

/* To the end of the statement, or to the block that belongs to it. A head without its block gets
 * an empty one: the rules `CELL error block` want it. */
void parse_recover(Parse *p) {
    const Tokens *all = &p->tokens;
    uint32_t wrong = p->next - 1;
    p->stuck = wrong == p->wrong ? p->stuck + 1 : 0;
    p->wrong = wrong;
    bool head = wrong > p->statement && has_block(all->data[p->statement].kind);
    uint32_t depth = all->data[p->statement].depth, i = wrong;
    if (diag_full(p->diag)) i = all->n - 1;
    for (; i + 1 < all->n; i++) {
        const Token *t = &all->data[i];
        if (t->kind == NL && t->depth <= depth) break;
        if (t->kind == '}' && t->depth < depth) break;
        if (t->kind == '{' && t->depth == depth && head) break;
    }
    p->missing_block = head && all->data[i].kind != '{' ? 2 : 0;
    p->next = i;
}

bool parse_stuck(const Parse *p) { return p->stuck > 4; }
