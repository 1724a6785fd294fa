/* The two drivers, against libraries that are none: what is asked of CUDA, in which order and with what; and
 * every failure of either, with what it tells people. Arguments: the libraries of fake_cuda.c, fake_hip.c, and of the
 * latter the old one and the one that lacks something; then, where there is one, the emulator's with CUDA's names. */
#include <dlfcn.h>
#include <pthread.h>

#include "faked.h"

static const char *cuda, *hip, *hip_old, *hip_missing;
static char ptx[300], ptx_new[300], hsaco[300];

/* ---- what is asked of CUDA ------------------------------------------------------------------------ */

/* Numbers come back as they were put, though they pass through memory of the device. */
static void numbers(on *x) {
    static float table[TINY_V * TINY_D];
    for (int i = 0; i < TINY_V * TINY_D; i++) table[i] = (float)i / 7;
    rw_tensor t = {.name = "emb.weight", .dtype = RW_F32, .rank = 2, .shape = {TINY_V, TINY_D}},
              back;
    t.data = table;
    t.bytes = sizeof table;
    GOOD(rw_param_set(x->s, &t, &m));
    GOOD(rw_session_find(x->s, RW_PARAM, "emb.weight", &back));
    const void *first = back.data;
    CHECK(memcmp(back.data, table, sizeof table) == 0, "other numbers came back");
    table[3] = -1;
    GOOD(rw_param_set(x->s, &t, &m));
    GOOD(rw_session_find(x->s, RW_PARAM, "emb.weight", &back));
    CHECK(memcmp(back.data, table, sizeof table) == 0, "the second time others came back");
    CHECK(back.data == first, "a parameter has another place");
    GOOD(rw_session_find(x->s, RW_OPTIMIZER, "emb.weight.m", &back));
    for (size_t i = 0; i < back.bytes / 4; i++)
        CHECK(((const float *)back.data)[i] == 0, "the optimizer starts with %g",
              (double)((const float *)back.data)[i]);
}

static void profile(on *x) {
    GOOD(rw_profile_begin(x->s, "grad", &m));
    GOOD(call(x, "grad", T));
    rw_profile_end(x->s);
    uint64_t n = 0;
    double seconds = 0;
    for (size_t i = 0; i + 1 < rw_profile_count(x->s); i++) {
        rw_kernel_time line;
        GOOD(rw_profile_line(x->s, i, &line));
        n += line.launches;
        seconds += line.seconds;
    }
    CHECK(n == rw_program_launches(x->p, "grad") && seconds > 2e-4 * (double)n, "%llu, %g",
          (unsigned long long)n, seconds);
}

static void *elsewhere(void *user) {
    on *x = user;
    GOOD(call(x, "forward", 4));
    GOOD(call(x, "grad", T));
    rw_tensor t;
    GOOD(rw_session_tensor(x->s, RW_GRADIENT, 0, &t));
    return NULL;
}

/* One thread at a time, but not always the same one. */
static void other_thread(on *x) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, elsewhere, x) == 0, "no thread");
    pthread_join(thread, NULL);
}

static void with_cuda(bool has_graphs) {
    on x;
    pretend(has_graphs ? "" : "graphs");
    GOOD(open_context(&x, "cuda", cuda));
    if (x.c == NULL) return;
    CHECK(strcmp(rw_context_device(x.c), "cuda:0") == 0, "%s", rw_context_device(x.c));
    GOOD(rw_program_load(x.c, ptx, &x.p, &m));
    if (x.p != NULL) GOOD(open_session(&x));
    if (x.s != NULL) {
        numbers(&x);
        launches(&x, "step", 0, has_graphs);
        launches(&x, "forward", T, has_graphs);
        launches(&x, "train", T, has_graphs);
        CHECK((count("forks") > 0) == has_graphs, "%ld launches stand beside others",
              count("forks"));
        profile(&x);
        other_thread(&x);
    }
    close_on(&x);
    CHECK(count("faults") == 0, "%ld faults", count("faults"));
    CHECK(count("live") == 0, "%ld things are left", count("live"));
}

/* With CUDA's rules behind it: a context for each thread, and nothing is left of one when it is closed. */
static void emulated(const char *library) {
    on x;
    int (*state)(int, unsigned *, int *) = NULL;
    int is_active = 1;
    unsigned flags;
    GOOD(open_context(&x, "cuda:1", library));
    if (x.c == NULL) return;
    GOOD(rw_program_load(x.c, ptx, &x.p, &m));
    if (x.p != NULL) GOOD(open_session(&x));
    if (x.s != NULL) {
        numbers(&x);
        for (int i = 0; i < 4; i++) GOOD(call(&x, "train", T));
        other_thread(&x);
        for (int i = 0; i < 4; i++) GOOD(call(&x, "step", 0));
    }
    bool good =
        find_in(dlopen(library, RTLD_NOW | RTLD_LOCAL), "cuDevicePrimaryCtxGetState", &state);
    CHECK(good && state(1, &flags, &is_active) == 0 && is_active, "there is no context");
    close_on(&x);
    CHECK(good && state(1, &flags, &is_active) == 0 && !is_active, "a context is left");
}

/* ---- failures ------------------------------------------------------------------------------------- */

static void cuda_fails(void) {
    on x;
    pretend("none");
    FAILS(RW_NO_DEVICE, "no device 'cuda:0': the driver sees no GPU",
          open_context(&x, "cuda:0", cuda));
    pretend("");
    FAILS(RW_NO_DEVICE, "no device 'cuda:1': the driver sees 1", open_context(&x, "cuda:1", cuda));
    pretend("old");
    FAILS(RW_NO_DEVICE, "of CUDA 11.8, and 12.0", open_context(&x, "cuda:0", cuda));
    pretend("sm_75");
    GOOD(open_context(&x, "cuda:0", cuda));
    if (x.c == NULL) return;
    FAILS(RW_WRONG_TARGET, "code for sm_80, and cuda:0 is sm_75, which is older",
          rw_program_load(x.c, ptx, &x.p, &m));
    close_on(&x);
    pretend("");
    GOOD(open_context(&x, "cuda:0", cuda));
    if (x.c == NULL) return;
    FAILS(RW_WRONG_TARGET,
          "code for sm_90, and cuda:0 is sm_86, which is older: compile it with --target=sm_80",
          rw_program_load(x.c, ptx_new, &x.p, &m));
    FAILS(RW_WRONG_TARGET, "compile the text for it (-o FILE.ptx)",
          rw_program_load(x.c, hsaco, &x.p, &m));
    pretend("jit");
    FAILS(RW_DRIVER, "cuda:0: cuModuleLoadDataEx: ptxas application ptx input, line 7; error",
          rw_program_load(x.c, ptx, &x.p, &m));
    CHECK(strchr(m.text, '\n') == NULL, "a message of two lines");
    pretend("memory");
    GOOD(rw_program_load(x.c, ptx, &x.p, &m));
    FAILS(RW_NO_MEMORY, "no memory on cuda:0 for a session of", open_session(&x));
    CHECK(strstr(m.text, "3.0 GiB are free there now of 4.0 GiB") != NULL, "%s", m.text);
    pretend("launch");
    GOOD(open_session(&x));
    FAILS(RW_DRIVER,
          "cuda:0: cuLaunchKernel: too many resources requested for launch (CUDA_ERROR_LAUNCH)",
          call(&x, "forward", T));
    FAILS(RW_DRIVER, "cuLaunchKernel", call(&x, "forward", T));
    pretend("");
    GOOD(call(&x, "forward", T)); /* what went wrong before is over */
    close_on(&x);
    CHECK(count("faults") == 0 && count("live") == 0, "%ld faults, %ld are left", count("faults"),
          count("live"));
}

static void hip_fails(void) {
    on x;
    pretend("none");
    FAILS(RW_NO_DEVICE, "no device 'hip:0': the driver sees no GPU",
          open_context(&x, "hip:0", hip));
    pretend("gfx");
    FAILS(RW_DRIVER, "does not say which processor", open_context(&x, "hip:0", hip));
    pretend("");
    FAILS(RW_NO_DEVICE, "no hipMalloc: it is too old", open_context(&x, "hip:0", hip_missing));
    pretend("binary");
    GOOD(open_context(&x, "hip", hip));
    if (x.c == NULL) return;
    FAILS(RW_DRIVER,
          "hip:0: hipModuleLoadData: no kernel image is available for execution on the device "
          "(hipErrorNoBinaryForGpu)",
          rw_program_load(x.c, hsaco, &x.p, &m));
    pretend("memory");
    GOOD(rw_program_load(x.c, hsaco, &x.p, &m));
    FAILS(RW_NO_MEMORY, "1.0 GiB are free there now of 16.0 GiB", open_session(&x));
    close_on(&x);
}

/* ROCm 5 and 6 put the name of the processor into different places. */
static void layouts(void) {
    const char *const libraries[] = {hip, hip_old};
    pretend("");
    for (int i = 0; i < 2; i++) {
        rw_device d = {.name = ""};
        size_t n = 0;
        GOOD(rw_devices("hip", libraries[i], &d, 1, &n, &m));
        CHECK(n == 1 && strcmp(d.arch, "gfx942") == 0 && strcmp(d.model, "Fake Radeon") == 0,
              "%zu: %s, %s", n, d.arch, d.model);
        on x;
        GOOD(open_context(&x, "hip:0", libraries[i]));
        if (x.c == NULL) return;
        GOOD(rw_program_load(x.c, hsaco, &x.p, &m));
        if (x.p == NULL) return;
        GOOD(open_session(&x));
        FAILS(RW_DRIVER, "hipModuleLaunchKernel", call(&x, "forward", T));
        close_on(&x);
    }
}

/* Without an option the environment says where a library is; without either, the system is asked. */
static void libraries(void) {
    on x;
    pretend("");
    setenv("RWKVC_CUDA_LIBRARY", cuda, 1);
    GOOD(open_context(&x, "cuda:0", NULL));
    if (x.c == NULL) return;
    close_on(&x);
    setenv("RWKVC_CUDA_LIBRARY", "/nowhere/libcuda.so.1", 1);
    FAILS(RW_NO_DEVICE, "/nowhere/libcuda.so.1: this driver cannot be opened",
          open_context(&x, "cuda:0", NULL));
    GOOD(open_context(&x, "cuda:0", cuda));
    if (x.c == NULL) return;
    close_on(&x);
    unsetenv("RWKVC_CUDA_LIBRARY");
    void *own = dlopen("libcuda.so.1", RTLD_NOW);
    if (own != NULL)
        dlclose(own);
    else
        FAILS(RW_NO_DEVICE,
              "the system has none of libcuda.so.1, libcuda.so. Install NVIDIA's driver, or say",
              open_context(&x, "cuda:0", NULL));
    rw_device d;
    size_t n;
    FAILS(RW_NO_DEVICE, "no kind of devices 'metal'", rw_devices("metal", NULL, &d, 1, &n, &m));
}

static bool compile(const char *target, char *path, const char *name) {
    static const char *const names[] = {"init", "start", "step", "forward", "grad", "train", NULL};
    snprintf(path, 300, "%s/%s", folder, name);
    Arena *a = arena_new();
    const char *wrong = compile_text(a, tiny_text, names, target, path);
    CHECK(wrong == NULL, "%s: %s", target, wrong);
    arena_free(a);
    return wrong == NULL;
}

int main(int argc, char **argv) {
    if (argc < 5) return 2;
    cuda = argv[1];
    hip = argv[2];
    hip_old = argv[3];
    hip_missing = argv[4];
    bool good = find_in(dlopen(cuda, RTLD_NOW | RTLD_LOCAL), "fake_count", &count);
    folder_make();
    if (good && compile("sm_80", ptx, "a.ptx") && compile("sm_90", ptx_new, "b.ptx") &&
        compile("gfx942", hsaco, "a.hsaco")) {
        with_cuda(false);
        with_cuda(true);
        cuda_fails();
        hip_fails();
        layouts();
        libraries();
        if (argc > 5) emulated(argv[5]);
    } else {
        CHECK(false, "nothing to test with");
    }
    folder_remove();
    return finish();
}
