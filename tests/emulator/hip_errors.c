/* HIP's errors: their names and texts. */
#include "hip_state.h"

static const int errors[] = {
    [EMU_OK] = hipSuccess,
    [EMU_BAD_ARG] = hipErrorInvalidValue,
    [EMU_NO_MEMORY] = hipErrorOutOfMemory,
    [EMU_BAD_IMAGE] = hipErrorInvalidImage,
    [EMU_NO_CODE] = hipErrorNoBinaryForGpu,
    [EMU_NOT_FOUND] = hipErrorNotFound,
    [EMU_BAD_LAUNCH] = hipErrorInvalidConfiguration,
    [EMU_FAULT] = hipErrorLaunchFailure,
};

const Face driver_face = {.processors = "gfx942,gfx1100", .prefix = "gfx", .errors = errors};

static const struct {
    int error;
    const char *name, *text;
} messages[] = {
    {hipSuccess, "hipSuccess", "no error"},
    {hipErrorInvalidValue, "hipErrorInvalidValue", "invalid argument"},
    {hipErrorOutOfMemory, "hipErrorOutOfMemory", "out of memory"},
    {hipErrorNotInitialized, "hipErrorNotInitialized", "initialization error"},
    {hipErrorInvalidConfiguration, "hipErrorInvalidConfiguration",
     "invalid configuration argument"},
    {hipErrorInvalidDevicePointer, "hipErrorInvalidDevicePointer", "invalid device pointer"},
    {hipErrorInvalidMemcpyDirection, "hipErrorInvalidMemcpyDirection",
     "invalid copy direction for memcpy"},
    {hipErrorNoDevice, "hipErrorNoDevice", "no ROCm-capable device is detected"},
    {hipErrorInvalidDevice, "hipErrorInvalidDevice", "invalid device ordinal"},
    {hipErrorInvalidImage, "hipErrorInvalidImage", "device kernel image is invalid"},
    {hipErrorNoBinaryForGpu, "hipErrorNoBinaryForGpu",
     "no kernel image is available for execution on the device"},
    {hipErrorFileNotFound, "hipErrorFileNotFound", "file not found"},
    {hipErrorInvalidHandle, "hipErrorInvalidHandle", "invalid resource handle"},
    {hipErrorNotFound, "hipErrorNotFound", "named symbol not found"},
    {hipErrorNotReady, "hipErrorNotReady", "device not ready"},
    {hipErrorLaunchFailure, "hipErrorLaunchFailure", "unspecified launch failure"},
    {hipErrorNotSupported, "hipErrorNotSupported", "operation not supported"},
    {hipErrorStreamCaptureUnsupported, "hipErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {hipErrorStreamCaptureInvalidated, "hipErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {hipErrorStreamCaptureMerge, "hipErrorStreamCaptureMerge",
     "operation would result in a merge of separate capture sequences"},
    {hipErrorStreamCaptureUnmatched, "hipErrorStreamCaptureUnmatched",
     "the capture was not initiated in this stream"},
    {hipErrorStreamCaptureUnjoined, "hipErrorStreamCaptureUnjoined",
     "capturing stream has unjoined work"},
    {hipErrorStreamCaptureIsolation, "hipErrorStreamCaptureIsolation",
     "dependency created on uncaptured work in another stream"},
    {hipErrorStreamCaptureImplicit, "hipErrorStreamCaptureImplicit",
     "operation would make the legacy stream depend on a capturing blocking stream"},
    {hipErrorCapturedEvent, "hipErrorCapturedEvent",
     "operation not permitted on an event last recorded in a capturing stream"},
    {hipErrorStreamCaptureWrongThread, "hipErrorStreamCaptureWrongThread",
     "attempt to terminate a thread-local capture sequence from another thread"},
    {hipErrorUnknown, "hipErrorUnknown", "unknown error"},
};
enum { N_MESSAGES = sizeof messages / sizeof *messages };

const char *hipGetErrorName(int error) {
    for (size_t i = 0; i < N_MESSAGES; i++)
        if (messages[i].error == error) return messages[i].name;
    return "hipErrorUnknown";
}

/* What the emulator saw, where it has something to say. */
const char *hipGetErrorString(int error) {
    const char *words = hip_words(error);
    if (words != NULL) return words;
    for (size_t i = 0; i < N_MESSAGES; i++)
        if (messages[i].error == error) return messages[i].text;
    return "unknown error";
}

int hipGetLastError(void) { return hip_take_last_error(true); }
int hipPeekAtLastError(void) { return hip_take_last_error(false); }
