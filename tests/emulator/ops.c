/* All operations by name. */
#include "ops.h"
#include "wave.h"

#include <stdlib.h>

/* What gfx11 calls otherwise. */
#define LOADS(p)                                                                                   \
    {p "load_u8", p "load_ubyte"}, {p "load_i8", p "load_sbyte"}, {p "load_u16", p "load_ushort"}, \
        {p "load_i16", p "load_sshort"}, {p "load_b32", p "load_dword"},                           \
        {p "load_b64", p "load_dwordx2"}, {p "load_b96", p "load_dwordx3"},                        \
        {p "load_b128", p "load_dwordx4"}, {p "load_d16_u8", p "load_ubyte_d16"},                  \
        {p "load_d16_hi_u8", p "load_ubyte_d16_hi"}, {p "load_d16_i8", p "load_sbyte_d16"},        \
        {p "load_d16_hi_i8", p "load_sbyte_d16_hi"}, {p "load_d16_b16", p "load_short_d16"},       \
        {p "load_d16_hi_b16", p "load_short_d16_hi"}, {p "store_b8", p "store_byte"},              \
        {p "store_b16", p "store_short"}, {p "store_b32", p "store_dword"},                        \
        {p "store_b64", p "store_dwordx2"}, {p "store_b96", p "store_dwordx3"},                    \
        {p "store_b128", p "store_dwordx4"}, {p "store_d16_hi_b8", p "store_byte_d16_hi"}, {       \
        p "store_d16_hi_b16", p "store_short_d16_hi"                                               \
    }
#define ATOMIC(p, name, t32, t64, means)                                                           \
    {p "atomic_" name "_" t32, p "atomic_" means}, {                                               \
        p "atomic_" name "_" t64, p "atomic_" means "_x2"                                          \
    }
#define ATOMICS(p)                                                                                 \
    ATOMIC(p, "swap", "b32", "b64", "swap"), ATOMIC(p, "cmpswap", "b32", "b64", "cmpswap"),        \
        ATOMIC(p, "add", "u32", "u64", "add"), ATOMIC(p, "sub", "u32", "u64", "sub"),              \
        ATOMIC(p, "min", "i32", "i64", "smin"), ATOMIC(p, "min", "u32", "u64", "umin"),            \
        ATOMIC(p, "max", "i32", "i64", "smax"), ATOMIC(p, "max", "u32", "u64", "umax"),            \
        ATOMIC(p, "and", "b32", "b64", "and"), ATOMIC(p, "or", "b32", "b64", "or"),                \
        ATOMIC(p, "xor", "b32", "b64", "xor"), ATOMIC(p, "inc", "u32", "u64", "inc"),              \
        ATOMIC(p, "dec", "u32", "u64", "dec")
#define SAVES(s)                                                                                   \
    {"s_and_not0_saveexec_" s, "s_andn1_saveexec_" s},                                             \
        {"s_and_not1_saveexec_" s, "s_andn2_saveexec_" s},                                         \
        {"s_or_not0_saveexec_" s, "s_orn1_saveexec_" s},                                           \
        {"s_or_not1_saveexec_" s, "s_orn2_saveexec_" s},                                           \
        {"s_and_not0_wrexec_" s, "s_andn1_wrexec_" s},                                             \
        {"s_and_not1_wrexec_" s, "s_andn2_wrexec_" s}, {"s_and_not1_" s, "s_andn2_" s}, {          \
        "s_or_not1_" s, "s_orn2_" s                                                                \
    }

const Alias aliases[] = {
    LOADS("global_"),
    LOADS("scratch_"),
    LOADS("buffer_"),
    ATOMICS("global_"),
    ATOMICS("buffer_"),
    SAVES("b32"),
    SAVES("b64"),
    {"s_load_b32", "s_load_dword"},
    {"s_load_b64", "s_load_dwordx2"},
    {"s_load_b128", "s_load_dwordx4"},
    {"s_load_b256", "s_load_dwordx8"},
    {"s_load_b512", "s_load_dwordx16"},
    {"s_ctz_i32_b32", "s_ff1_i32_b32"},
    {"s_ctz_i32_b64", "s_ff1_i32_b64"},
    {"s_clz_i32_u32", "s_flbit_i32_b32"},
    {"s_clz_i32_u64", "s_flbit_i32_b64"},
    {"s_cls_i32", "s_flbit_i32"},
    {"s_cls_i32_i64", "s_flbit_i32_i64"},
    {"ds_load_u8", "ds_read_u8"},
    {"ds_load_i8", "ds_read_i8"},
    {"ds_load_u16", "ds_read_u16"},
    {"ds_load_i16", "ds_read_i16"},
    {"ds_load_u8_d16", "ds_read_u8_d16"},
    {"ds_load_u8_d16_hi", "ds_read_u8_d16_hi"},
    {"ds_load_i8_d16", "ds_read_i8_d16"},
    {"ds_load_i8_d16_hi", "ds_read_i8_d16_hi"},
    {"ds_load_u16_d16", "ds_read_u16_d16"},
    {"ds_load_u16_d16_hi", "ds_read_u16_d16_hi"},
    {"ds_load_b32", "ds_read_b32"},
    {"ds_load_b64", "ds_read_b64"},
    {"ds_load_b96", "ds_read_b96"},
    {"ds_load_b128", "ds_read_b128"},
    {"ds_load_2addr_b32", "ds_read2_b32"},
    {"ds_load_2addr_b64", "ds_read2_b64"},
    {"ds_load_2addr_stride64_b32", "ds_read2st64_b32"},
    {"ds_load_2addr_stride64_b64", "ds_read2st64_b64"},
    {"ds_store_b8", "ds_write_b8"},
    {"ds_store_b16", "ds_write_b16"},
    {"ds_store_b8_d16_hi", "ds_write_b8_d16_hi"},
    {"ds_store_b16_d16_hi", "ds_write_b16_d16_hi"},
    {"ds_store_b32", "ds_write_b32"},
    {"ds_store_b64", "ds_write_b64"},
    {"ds_store_b96", "ds_write_b96"},
    {"ds_store_b128", "ds_write_b128"},
    {"ds_store_2addr_b32", "ds_write2_b32"},
    {"ds_store_2addr_b64", "ds_write2_b64"},
    {"ds_store_2addr_stride64_b32", "ds_write2st64_b32"},
    {"ds_store_2addr_stride64_b64", "ds_write2st64_b64"},
    {"ds_storexchg_rtn_b32", "ds_wrxchg_rtn_b32"},
    {"ds_storexchg_rtn_b64", "ds_wrxchg_rtn_b64"},
    {"v_add_nc_u32", "v_add_u32"},
    {"v_sub_nc_u32", "v_sub_u32"},
    {"v_subrev_nc_u32", "v_subrev_u32"},
    {"v_add_nc_i32", "v_add_i32"},
    {"v_sub_nc_i32", "v_sub_i32"},
    {"v_add_nc_u16", "v_add_u16"},
    {"v_sub_nc_u16", "v_sub_u16"},
    {"v_add_nc_i16", "v_add_i16"},
    {"v_sub_nc_i16", "v_sub_i16"},
    {"v_add_nc_u32_clamp", "v_add_u32_clamp"},
    {"v_sub_nc_u32_clamp", "v_sub_u32_clamp"},
    {"v_subrev_nc_u32_clamp", "v_subrev_u32_clamp"},
    {"v_add_nc_i32_clamp", "v_add_i32_clamp"},
    {"v_sub_nc_i32_clamp", "v_sub_i32_clamp"},
    {"v_add_nc_u16_clamp", "v_add_u16_clamp"},
    {"v_sub_nc_u16_clamp", "v_sub_u16_clamp"},
    {"v_add_nc_i16_clamp", "v_add_i16_clamp"},
    {"v_sub_nc_i16_clamp", "v_sub_i16_clamp"},
    {"v_add_co_ci_u32", "v_addc_co_u32"},
    {"v_sub_co_ci_u32", "v_subb_co_u32"},
    {"v_subrev_co_ci_u32", "v_subbrev_co_u32"},
    {"v_clz_i32_u32", "v_ffbh_u32"},
    {"v_ctz_i32_b32", "v_ffbl_b32"},
    {"v_cls_i32", "v_ffbh_i32"},
    {"v_cvt_nearest_i32_f32", "v_cvt_rpi_i32_f32"},
    {"v_cvt_floor_i32_f32", "v_cvt_flr_i32_f32"},
    {"v_cvt_pk_rtz_f16_f32", "v_cvt_pkrtz_f16_f32"},
    {"v_cvt_pk_norm_i16_f32", "v_cvt_pknorm_i16_f32"},
    {"v_cvt_pk_norm_u16_f32", "v_cvt_pknorm_u16_f32"},
    {"v_mul_dx9_zero_f32", "v_mul_legacy_f32"},
    {"v_fmamk_f32", "v_fma_f32"},
    {"v_fmaak_f32", "v_fma_f32"},
    {"v_fmamk_f16", "v_fma_f16"},
    {"v_fmaak_f16", "v_fma_f16"},
    {"v_dot2acc_f32_f16", "v_dot2c_f32_f16"},
    {"v_mad_legacy_i16", "v_mad_legacy_u16"},
    {"v_accvgpr_read_b32", "v_mov_b32"},
    {"v_accvgpr_write_b32", "v_mov_b32"},
    {"v_accvgpr_mov_b32", "v_mov_b32"},
    {"v_cmp_t_f32", "v_cmp_tru_f32"},
    {"v_cmp_t_f16", "v_cmp_tru_f16"},
    {"v_cmp_t_f64", "v_cmp_tru_f64"},
};

/* ---- the index ------------------------------------------------------------------------------- */

typedef struct Entry {
    const char *name;
    const Op *op;
} Entry;

struct OpIndex {
    size_t n;
    Entry *all;
};

static const Op *const tables[] = {ops_int,     ops_float, ops_wide,   ops_compare, ops_salu,
                                   ops_control, ops_cross, ops_memory, ops_lds,     ops_matrix};
enum { N_TABLES = sizeof tables / sizeof *tables, N_ALIASES = sizeof aliases / sizeof *aliases };

static int by_name(const void *a, const void *b) {
    return strcmp(((const Entry *)a)->name, ((const Entry *)b)->name);
}

static const Op *search(const OpIndex *x, const char *name) {
    Entry key = {name, NULL};
    const Entry *e = bsearch(&key, x->all, x->n, sizeof key, by_name);
    return e == NULL ? NULL : e->op;
}

const OpIndex *ops_index(void) {
    OpIndex *x = calloc(1, sizeof *x);
    size_t n = N_ALIASES;
    for (size_t t = 0; t < N_TABLES; t++)
        for (const Op *o = tables[t]; o->name != NULL; o++) n++;
    if (x == NULL || (x->all = calloc(n, sizeof *x->all)) == NULL) {
        free(x);
        return NULL;
    }
    for (size_t t = 0; t < N_TABLES; t++)
        for (const Op *o = tables[t]; o->name != NULL; o++) x->all[x->n++] = (Entry){o->name, o};
    qsort(x->all, x->n, sizeof *x->all, by_name);
    size_t plain = x->n;
    for (size_t i = 0; i < N_ALIASES; i++) {
        OpIndex own = {plain, x->all};
        const Op *o = search(&own, aliases[i].means);
        if (o != NULL) x->all[x->n++] = (Entry){aliases[i].name, o};
    }
    qsort(x->all, x->n, sizeof *x->all, by_name);
    return x;
}

void ops_index_free(const OpIndex *index) {
    if (index == NULL) return;
    free(index->all);
    free((void *)(uintptr_t)index);
}

const Op *op_find(const OpIndex *index, const char *name) { return search(index, name); }

const char *op_name(const OpIndex *index, size_t k) {
    return k < index->n ? index->all[k].name : NULL;
}
