/* What the emulator has to catch in PTX, and what it must not: pieces with the words of the message that each has to
 * end with, or none. And what is refused before a kernel runs, and what is counted. */
#include "ptx_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 1024, THREADS = 64, SEEDS = 11 };

typedef struct Piece {
    const char *text, *message; /* NULL: all is well */
} Piece;

static const Piece pieces[] = {
#include "ptx_checks_rows.def"
};
enum { PIECES = sizeof pieces / sizeof *pieces };

static const char head[] =
    ".visible .global .align 4 .u32 table = 7;\n"
    ".visible .entry k(.param .u64 a, .param .u64 b)\n{\n.reg .pred %p<30>; .reg .b16 %rs<30>; .reg .b32 %r<30>;\n"
    ".reg .f32 %f<30>; .reg .b64 %rd<30>;\n.shared .align 16 .b8 room[512];\n.shared .align 4 .b8 more[64];\n"
    "mov.u32 %r0, %tid.x;\nmov.u32 %r1, 0;\nmov.f32 %f1, 0f00000000;\n"
    "ld.param.u64 %rd3, [a];\nld.param.u64 %rd2, [b];\n"
    "mul.wide.u32 %rd4, %r0, 4;\nadd.s64 %rd1, %rd3, %rd4;\nadd.s64 %rd2, %rd2, %rd4;\n"
    "mad.wide.u32 %rd5, %r0, 8, %rd3;\n";

/* Under one of the orders it is found, if it is wrong; under none, if it is not. */
static int test_piece(const Piece *p) {
    char text[4000], said[2000] = "";
    bool is_found = false, is_clean = true;
    snprintf(text, sizeof text, "%s%s\nret;\n}\n", head, p->text);
    PtxRig *r = ptx_rig(text);
    for (uint64_t seed = 0; seed < SEEDS && !is_found; seed++) {
        void *arguments[] = {emu_alloc(r->emu, BYTES), emu_alloc(r->emu, BYTES)};
        emu_fill(r->emu, arguments[0], 0x11223344, 4, BYTES / 4);
        emu_set_seed(r->emu, seed);
        if (ptx_rig_run(r, "k", 1, THREADS, arguments, 2) != EMU_OK) {
            is_clean = false;
            snprintf(said, sizeof said, "%s", emu_said(r->emu));
            is_found = p->message != NULL && strstr(said, p->message) != NULL;
        }
        for (unsigned i = 0; i < 2; i++) emu_free(r->emu, arguments[i]);
    }
    ptx_rig_free(r);
    if (p->message == NULL ? is_clean : is_found) return 0;
    printf("%s\n    %s, wanted: %s\n", p->text, is_clean ? "no complaint" : said,
           p->message == NULL ? "none" : p->message);
    return 1;
}

/* ---- before it runs -------------------------------------------------------------------------- */

#define HEAD "//!comment\n.version 8.0\n.target sm_80\n.address_size 64\n"

static const struct {
    const char *text, *message;
    EmuStatus status;
} images[] = {
    {HEAD ".visible .entry k(.param .u64 a)\n{\nret;\n}\n", "", EMU_OK},
    {"", "not PTX", EMU_BAD_IMAGE},
    {"\x7f"
     "ELF",
     "not PTX", EMU_BAD_IMAGE},
    {".version 8.0\n.target sm_90\n.address_size 64\n", "newer processor", EMU_NO_CODE},
    {".version 8.0\n.target sm_80a\n.address_size 64\n", "one processor only", EMU_NO_CODE},
    {".version 8.0\n.target sm_70\n.address_size 32\n", "64 bits", EMU_BAD_IMAGE},
    {HEAD ".visible .entry k(.param .u64 a)\n{\nret;\n", "the text ends in a kernel",
     EMU_BAD_IMAGE},
    {HEAD ".visible .entry k(.u64 a)\n{\nret;\n}\n", "a parameter was expected", EMU_BAD_IMAGE},
    {HEAD ".visible .entry k()\n.reqntid x\n{\nret;\n}\n", "sizes of a block", EMU_BAD_IMAGE},
    {HEAD ".visible .entry k()\n.strange 1\n{\nret;\n}\n", "a kernel's body was expected",
     EMU_BAD_IMAGE},
    {HEAD ".visible .func k()\n{\nret;\n}\n", "line 5: this is not understood: .func",
     EMU_BAD_IMAGE},
    {HEAD ".visible .global .u32 x = y;\n", "a number was expected", EMU_BAD_IMAGE},
    {HEAD ".visible .entry k()\n{\nret; .file 1 \"a", "the text ends in a kernel", EMU_BAD_IMAGE},
    {HEAD ".global .b8 x[0];\n.global .b8 y[0];\n.global .u32 z = 7;\n", "", EMU_OK},
};

static int test_images(void) {
    EmuOptions options = {.processor = "sm_80"};
    int bad = 0;
    for (size_t i = 0; i < sizeof images / sizeof *images; i++) {
        EmuImage *image;
        Emu *emu = emu_create(&options);
        EmuStatus s = emu_image_load(emu, images[i].text, strlen(images[i].text), &image);
        if (s != images[i].status || strstr(emu_said(emu), images[i].message) == NULL) {
            printf("image %zu: status %d, %s\n", i, (int)s, emu_said(emu));
            bad++;
        }
        emu_destroy(emu);
    }
    return bad;
}

/* More constants than there is room for are said to be too many; as many as there is room for are none. */
static int test_constants(void) {
    enum { MOST = 8191, LINE = 24 };
    char *text = malloc((MOST + 3) * LINE + 100);
    int bad = 0;
    for (int more = 0; more < 3; more++) {
        size_t n = (size_t)sprintf(text, ".visible .entry k()\n{\n.reg .b32 %%r<2>;\n");
        for (int i = 0; i < MOST + more; i++)
            n += (size_t)sprintf(text + n, "mov.u32 %%r1, %d;\n", i);
        strcpy(text + n, "ret;\n}\n");
        PtxRig *r = ptx_rig(text);
        EmuStatus s = ptx_rig_run(r, "k", 1, 1, NULL, 0);
        bool said = strstr(emu_said(r->emu), "kernel k: more than 8191 constants") != NULL;
        if (more == 0 ? s != EMU_OK : s != EMU_NO_MEMORY || !said)
            printf("%d constants too many: status %d, %s\n", more, (int)s, emu_said(r->emu)), bad++;
        ptx_rig_free(r);
    }
    free(text);
    return bad;
}

static int refused(Emu *emu, EmuKernel *k, uint32_t threads, size_t bytes, const char *message) {
    const uint32_t one[3] = {1, 1, 1}, block[3] = {threads, 1, 1};
    EmuStatus s = emu_launch_check(emu, k, one, block, 0, bytes);
    if (message == NULL ? s == EMU_OK
                        : s == EMU_BAD_LAUNCH && strstr(emu_said(emu), message) != NULL)
        return 0;
    printf("launch of %u, %zu bytes: status %d, %s\n", threads, bytes, (int)s, emu_said(emu));
    return 1;
}

static int test_launches(void) {
    PtxRig *r = ptx_rig(".visible .entry k(.param .u32 a, .param .u64 b)\n.reqntid 64\n{\nret;\n}\n"
                        ".visible .entry m()\n.maxntid 96, 1, 1\n.minnctapersm 2\n{\nret;\n}\n"
                        ".visible .entry big()\n{\n.shared .b8 x[49153];\nret;\n}\n"
                        ".visible .entry odd()\n{\nadd.x %r1;\nadd.x %r2;\nret;\n}\n");
    EmuKernel *k, *m, *big;
    int bad = 0;
    emu_image_kernel(r->image, "k", &k);
    emu_image_kernel(r->image, "m", &m);
    emu_image_kernel(r->image, "big", &big);
    bad += refused(r->emu, k, 64, 16, NULL);
    bad += refused(r->emu, k, 32, 16, "it was made for 64 x 1 x 1");
    bad += refused(r->emu, k, 64, 12, "12 bytes of arguments; it has 16");
    bad += refused(r->emu, m, 96, 0, NULL);
    bad += refused(r->emu, m, 97, 0, "up to 96 work-items");
    bad += refused(r->emu, big, 32, 0, "49153 bytes of local memory");
    char *unknown = emu_image_unknown(r->image);
    if (unknown == NULL || strcmp(unknown, "odd: add.x %r1\n") != 0)
        printf("unknown: %s\n", unknown), bad++;
    free(unknown);
    ptx_rig_free(r);
    return bad;
}

/* ---- counts ---------------------------------------------------------------------------------- */

static bool expect(const char *what, uint64_t got, uint64_t want) {
    if (got != want)
        printf("%s: %llu, wanted %llu\n", what, (unsigned long long)got, (unsigned long long)want);
    return got != want;
}

/* Two warps store to all banks, and to one bank; a barrier between that may be left out. */
static int test_counts(void) {
    PtxRig *r = ptx_rig(
        ".visible .entry k(.param .u64 a)\n.reqntid 64, 1, 1\n{\n.reg .b32 %r<9>; .reg .b64 %rd<9>;\n"
        ".shared .align 16 .b8 room[8192];\nmov.u32 %r0, %tid.x;\nmul.wide.u32 %rd1, %r0, 4;\nld.param.u64 %rd2, [a];\n"
        "st.shared.u32 [%rd1], %r0;\nbar.sync 0;\nxor.b32 %r1, %r0, 32;\nmul.wide.u32 %rd3, %r1, 4;\n"
        "ld.shared.u32 %r2, [%rd3];\nadd.s64 %rd1, %rd2, %rd1;\nst.global.u32 [%rd1], %r2;\nbar.sync 0;\n"
        "mul.wide.u32 %rd3, %r0, 128;\nst.shared.u32 [%rd3], %r0;\nret;\n}\n");
    void *arguments[] = {emu_alloc(r->emu, 256)};
    EmuKernel *k;
    EmuCounts c;
    uint64_t came[4] = {0};
    int bad = ptx_rig_run(r, "k", 3, 64, arguments, 1) != EMU_OK;
    if (bad) printf("%s\n", emu_said(r->emu));
    emu_image_kernel(r->image, "k", &k);
    emu_kernel_counts(k, &c);
    bad += expect("warps", c.waves, 6) + expect("instructions", c.instructions, 6 * 14) +
           expect("local", c.local, 6 * 3) + expect("global", c.global, 6) +
           expect("barriers", c.barriers, 12) + expect("stored", c.bytes_stored, 3 * 256) +
           expect("cycles", c.lds_cycles, 6 * (1 + 1 + 32)) +
           expect("conflicts", c.lds_conflicts, 6 * 31);
    bad += expect("number of barriers", emu_kernel_barriers(k, came, 4), 2) +
           expect("came", came[1], 6);
    int missed = 0;
    emu_drop_barrier(r->emu, "k:0");
    for (uint64_t seed = 0; seed < 2; seed++) {
        emu_set_seed(r->emu, seed);
        missed += ptx_rig_run(r, "k", 1, 64, arguments, 1) != EMU_OK;
    }
    if (missed == 0) printf("nobody misses a barrier\n"), bad++;
    ptx_rig_free(r);
    return bad;
}

int ptx_test_checks(void) {
    int bad = test_images() + test_constants() + test_launches() + test_counts();
    for (size_t i = 0; i < PIECES; i++) bad += test_piece(&pieces[i]);
    return bad;
}
