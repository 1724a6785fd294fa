/* Whether a file of rwkv.cpp has all tensors of a model. The format has no list of them and no end mark: a
 * file that was cut between two tensors reads like a smaller one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights_impl.h"

/* "blocks.12.att.w1" -> 12, and what stands behind the number; -1: nothing of a block. */
static long layer_of(const char *name, const char **inner) {
    if (strncmp(name, "blocks.", 7) != 0 || strspn(name + 7, "0123456789") == 0) return -1;
    char *end;
    long layer = strtol(name + 7, &end, 10);
    *inner = end + 1;
    return *end == '.' && end[1] != '\0' ? layer : -1;
}

static rw_status missing(const rw_weights *w, long layers, const char *name, rw_message *m) {
    return rw_fail(m, RW_BAD_FILE,
                   "%s: '%s' of a model of %ld layers is missing: the file was cut, or is damaged",
                   w->path, name, layers);
}

/* Layers are alike, but that layer 0 has a norm more, and in version 7 three tensors (v0, v1, v2) less. */
static bool may_lack(long layer, const char *inner) {
    return layer == 0 && strncmp(inner, "att.v", 5) == 0 && inner[5] >= '0' && inner[5] <= '2';
}

/* Every layer has what any other one has. Cost: tensors times layers, as the number of both is small. */
static rw_status check_layers(const rw_weights *w, long layers, rw_message *m) {
    for (size_t i = 0; i < w->n; i++) {
        const char *inner;
        long own = layer_of(w->t[i].name, &inner);
        if (own < 0 || strncmp(inner, "ln0.", 4) == 0) continue;
        for (long k = 0; k < layers && k <= (long)w->n; k++) { /* so many cannot be there */
            char name[300];
            snprintf(name, sizeof name, "blocks.%ld.%s", k, inner);
            if (k != own && !may_lack(k, inner) && rw_weights_find(w, name) == NULL)
                return missing(w, layers, name, m);
        }
    }
    return RW_OK;
}

rw_status ggmf_check_whole(const rw_weights *w, rw_message *m) {
    static const char *const of_all[] = {"ln_out.weight",     "ln_out.bias",
                                         "head.weight",       "blocks.0.ln0.weight",
                                         "blocks.0.ln0.bias", "blocks.0.ffn.value.weight"};
    const char *said = rw_weights_meta(w, "n_layer");
    long layers = said != NULL ? strtol(said, NULL, 10) : 0;
    if (w->n == 0) return missing(w, layers, "emb.weight", m);
    if (rw_weights_find(w, "emb.weight") == NULL) return RW_OK; /* no model: somebody's tensors */
    for (size_t i = 0; i < sizeof of_all / sizeof *of_all; i++)
        if (rw_weights_find(w, of_all[i]) == NULL) return missing(w, layers, of_all[i], m);
    return check_layers(w, layers, m);
}
