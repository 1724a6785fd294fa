/* CUDA's errors: their names and texts. */
#include "cuda_state.h"

static const int errors[] = {
    [EMU_OK] = CUDA_SUCCESS,
    [EMU_BAD_ARG] = CUDA_ERROR_INVALID_VALUE,
    [EMU_NO_MEMORY] = CUDA_ERROR_OUT_OF_MEMORY,
    [EMU_BAD_IMAGE] = CUDA_ERROR_INVALID_PTX,
    [EMU_NO_CODE] = CUDA_ERROR_INVALID_PTX, /* PTX of a newer target: its assembler refuses it */
    [EMU_NOT_FOUND] = CUDA_ERROR_NOT_FOUND,
    [EMU_BAD_LAUNCH] = CUDA_ERROR_INVALID_VALUE,
    [EMU_FAULT] = CUDA_ERROR_LAUNCH_FAILED,
};

const Face driver_face = {
    .processors = "sm_80,sm_90", .prefix = "sm_", .errors = errors, .ends_recordings = true};

static const struct {
    int error;
    const char *name, *text;
} messages[] = {
    {CUDA_SUCCESS, "CUDA_SUCCESS", "no error"},
#define CUDA_ERROR(number, name, text) {number, "CUDA_ERROR_" #name, text},
#include "cuda_errors.def"
#undef CUDA_ERROR
};
enum { N_MESSAGES = sizeof messages / sizeof *messages };

int cuGetErrorName(int error, const char **text) {
    if (text == NULL) return CUDA_ERROR_INVALID_VALUE;
    *text = NULL;
    for (size_t i = 0; i < N_MESSAGES; i++)
        if (messages[i].error == error) *text = messages[i].name;
    return *text != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* What the emulator saw, where it has something to say. */
int cuGetErrorString(int error, const char **text) {
    if (text == NULL) return CUDA_ERROR_INVALID_VALUE;
    *text = hip_words(error);
    for (size_t i = 0; i < N_MESSAGES && *text == NULL; i++)
        if (messages[i].error == error) *text = messages[i].text;
    return *text != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
