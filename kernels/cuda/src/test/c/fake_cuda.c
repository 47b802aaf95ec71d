/*
 * A libcuda.so.1 without a GPU: the calls that JCudaDriverApi makes, under the names that JCuda's native library asks for.
 * Device memory is memory of this process, copies are done, launches only read their parameters, and every call is written
 * down. It shows that arguments reach the driver as they should; it shows nothing about what a real driver does with them.
 */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int CUresult;
typedef unsigned long long CUdeviceptr;
typedef void *Handle;

enum { SUCCESS = 0, NOT_INITIALIZED = 3, INVALID_VALUE = 1, UNSUPPORTED = 900, INVALIDATED = 901, UNMATCHED = 903 };

/* ---- what the test sees and sets ------------------------------------------------------------------------------------ */

static char log_text[1 << 20];
static size_t log_length;
static char failing_call[64];
static int failing_status;
static int sticky;                  /* every call answers with this from now on, as after a fatal error */
static int version = 12060, devices = 1, major = 8, minor = 6;
static Handle capturing;
static pthread_t capturer;
static int capture_valid;
/* Launches since the last capture began. */
static size_t captured;

const char *fake_log(void) {
    return log_text;
}

void fake_clear(void) {
    log_length = 0;
    log_text[0] = 0;
}

/* The next call of that name does nothing and answers that status. */
void fake_fail(const char *call, int status) {
    snprintf(failing_call, sizeof failing_call, "%s", call);
    failing_status = status;
}

void fake_lose(int status) {
    sticky = status;
}

void fake_device(int new_version, int new_devices, int new_major, int new_minor) {
    version = new_version;
    devices = new_devices;
    major = new_major;
    minor = new_minor;
}

/* The same from the environment, for a test that does not call into this library: version, GPUs, major, minor. */
__attribute__((constructor)) static void from_environment(void) {
    const char *text = getenv("FAKE_DEVICE");
    if (text) {
        sscanf(text, "%d %d %d %d", &version, &devices, &major, &minor);
    }
}

static void note(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    log_length += vsnprintf(log_text + log_length, sizeof log_text - log_length, format, arguments);
    va_end(arguments);
    if (log_length >= sizeof log_text) {
        log_length = sizeof log_text - 1;
    }
}

/* Whether the call of that name fails now, and how. */
static CUresult fails(const char *call) {
    if (strcmp(call, failing_call) == 0) {
        failing_call[0] = 0;
        return failing_status;
    }
    return sticky;
}

#define BEGIN(...) { note(__VA_ARGS__); note("\n"); CUresult failure = fails(__func__); if (failure) return failure; }
/* What may not be done during a capture spoils it: most of it on the thread that captures, waiting for the context on any. */
#define NOT_WHILE_ANY_CAPTURES if (capturing) { capture_valid = 0; return UNSUPPORTED; }
#define NOT_CAPTURED if (pthread_equal(pthread_self(), capturer)) NOT_WHILE_ANY_CAPTURES

static Handle number(long n) {
    return (Handle) n;
}

/* ---- start and device ----------------------------------------------------------------------------------------------- */

CUresult cuDriverGetVersion(int *v) {
    BEGIN("cuDriverGetVersion")
    *v = version;
    return SUCCESS;
}

CUresult cuInit(unsigned flags) {
    BEGIN("cuInit %u", flags)
    return devices ? SUCCESS : 100;
}

CUresult cuDeviceGetCount(int *count) {
    BEGIN("cuDeviceGetCount")
    *count = devices;
    return SUCCESS;
}

CUresult cuDeviceGet(int *device, int ordinal) {
    BEGIN("cuDeviceGet %d", ordinal)
    *device = ordinal + 70;
    return SUCCESS;
}

CUresult cuDeviceGetName(char *name, int length, int device) {
    BEGIN("cuDeviceGetName %d %d", length, device)
    snprintf(name, length, "Fake GPU");
    return SUCCESS;
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, int device) {
    BEGIN("cuDeviceTotalMem %d", device)
    *bytes = 24000000000;
    return SUCCESS;
}

CUresult cuDeviceGetAttribute(int *value, int attribute, int device) {
    BEGIN("cuDeviceGetAttribute %d %d", attribute, device)
    *value = attribute == 75 ? major : attribute == 76 ? minor : attribute == 16 ? 132 : attribute == 97 ? 232448 : -1;
    return SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(Handle *context, int device) {
    BEGIN("cuDevicePrimaryCtxRetain %d", device)
    *context = number(0xc0);
    return SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease_v2(int device) {
    BEGIN("cuDevicePrimaryCtxRelease %d", device)
    return SUCCESS;
}

CUresult cuCtxSetCurrent(Handle context) {
    /* Before every call: only a wrong one is worth a line. */
    if (context != number(0xc0)) {
        note("cuCtxSetCurrent %p\n", context);
    }
    return sticky;
}

CUresult cuCtxSynchronize(void) {
    BEGIN("cuCtxSynchronize")
    NOT_WHILE_ANY_CAPTURES
    return SUCCESS;
}

/* ---- memory --------------------------------------------------------------------------------------------------------- */

CUresult cuMemGetInfo_v2(size_t *free, size_t *total) {
    BEGIN("cuMemGetInfo")
    *free = 5000000000ULL;
    *total = 24000000000ULL;
    return SUCCESS;
}

CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes) {
    BEGIN("cuMemAlloc %zu", bytes)
    NOT_CAPTURED
    void *memory = NULL;
    if (posix_memalign(&memory, 512, bytes)) {
        return 2;
    }
    *address = (CUdeviceptr) memory;
    return SUCCESS;
}

CUresult cuMemFree_v2(CUdeviceptr address) {
    BEGIN("cuMemFree %llx", address)
    NOT_CAPTURED
    free((void *) address);
    return SUCCESS;
}

CUresult cuMemHostAlloc(void **memory, size_t bytes, unsigned flags) {
    BEGIN("cuMemHostAlloc %zu %u", bytes, flags)
    NOT_CAPTURED
    return posix_memalign(memory, 4096, bytes) ? 2 : SUCCESS;
}

CUresult cuMemFreeHost(void *memory) {
    BEGIN("cuMemFreeHost %llx", (CUdeviceptr) memory)
    NOT_CAPTURED
    free(memory);
    return SUCCESS;
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr target, const void *source, size_t bytes) {
    BEGIN("cuMemcpyHtoD %llx %zu", target, bytes)
    NOT_CAPTURED
    memcpy((void *) target, source, bytes);
    return SUCCESS;
}

CUresult cuMemcpyDtoH_v2(void *target, CUdeviceptr source, size_t bytes) {
    BEGIN("cuMemcpyDtoH %llx %zu", source, bytes)
    NOT_CAPTURED
    memcpy(target, (void *) source, bytes);
    return SUCCESS;
}

static CUresult copy(void *target, const void *source, size_t bytes, Handle stream) {
    if (!stream || stream != capturing) {
        memcpy(target, source, bytes);
    }
    return SUCCESS;
}

CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr target, const void *source, size_t bytes, Handle stream) {
    BEGIN("cuMemcpyHtoDAsync %llx %zu %p", target, bytes, stream)
    return copy((void *) target, source, bytes, stream);
}

CUresult cuMemcpyDtoHAsync_v2(void *target, CUdeviceptr source, size_t bytes, Handle stream) {
    BEGIN("cuMemcpyDtoHAsync %llx %zu %p", source, bytes, stream)
    return copy(target, (void *) source, bytes, stream);
}

CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr target, CUdeviceptr source, size_t bytes, Handle stream) {
    BEGIN("cuMemcpyDtoDAsync %llx %llx %zu %p", target, source, bytes, stream)
    return copy((void *) target, (void *) source, bytes, stream);
}

CUresult cuMemsetD8_v2(CUdeviceptr address, unsigned char value, size_t bytes) {
    BEGIN("cuMemsetD8 %llx %u %zu", address, value, bytes)
    NOT_CAPTURED
    memset((void *) address, value, bytes);
    return SUCCESS;
}

/* ---- streams, events, graphs ---------------------------------------------------------------------------------------- */

static long handles = 0x1000;

CUresult cuStreamCreate(Handle *stream, unsigned flags) {
    BEGIN("cuStreamCreate %u", flags)
    *stream = number(handles += 0x10);
    return SUCCESS;
}

CUresult cuStreamSynchronize(Handle stream) {
    BEGIN("cuStreamSynchronize %p", stream)
    if (stream == capturing) {
        NOT_WHILE_ANY_CAPTURES
    }
    return SUCCESS;
}

CUresult cuStreamDestroy_v2(Handle stream) {
    BEGIN("cuStreamDestroy %p", stream)
    return SUCCESS;
}

CUresult cuEventCreate(Handle *event, unsigned flags) {
    BEGIN("cuEventCreate %u", flags)
    *event = number(handles += 0x10);
    return SUCCESS;
}

CUresult cuEventRecord(Handle event, Handle stream) {
    BEGIN("cuEventRecord %p %p", event, stream)
    return SUCCESS;
}

CUresult cuEventSynchronize(Handle event) {
    BEGIN("cuEventSynchronize %p", event)
    NOT_CAPTURED
    return SUCCESS;
}

CUresult cuEventElapsedTime(float *milliseconds, Handle start, Handle end) {
    BEGIN("cuEventElapsedTime %p %p", start, end)
    *milliseconds = 1.5f;
    return SUCCESS;
}

CUresult cuEventDestroy_v2(Handle event) {
    BEGIN("cuEventDestroy %p", event)
    return SUCCESS;
}

CUresult cuStreamBeginCapture_v2(Handle stream, int mode) {
    BEGIN("cuStreamBeginCapture %p %d", stream, mode)
    if (!stream || capturing) {
        return INVALID_VALUE;
    }
    capturing = stream;
    capturer = pthread_self();
    capture_valid = 1;
    captured = 0;
    return SUCCESS;
}

CUresult cuStreamEndCapture(Handle stream, Handle *graph) {
    note("cuStreamEndCapture %p\n", stream);
    if (!capturing || stream != capturing) {
        return UNMATCHED;
    }
    capturing = NULL;
    CUresult failure = fails(__func__);
    *graph = capture_valid && !failure ? number(handles += 0x10) : NULL;
    return failure ? failure : capture_valid ? SUCCESS : INVALIDATED;
}

CUresult cuGraphInstantiateWithFlags(Handle *executable, Handle graph, unsigned long long flags) {
    BEGIN("cuGraphInstantiateWithFlags %p %llu", graph, flags)
    *executable = number(handles += 0x10);
    return SUCCESS;
}

CUresult cuGraphGetNodes(Handle graph, Handle *nodes, size_t *count) {
    BEGIN("cuGraphGetNodes %p %p", graph, (void *) nodes)
    *count = captured;
    return SUCCESS;
}

CUresult cuGraphDestroy(Handle graph) {
    BEGIN("cuGraphDestroy %p", graph)
    return SUCCESS;
}

CUresult cuGraphLaunch(Handle executable, Handle stream) {
    BEGIN("cuGraphLaunch %p %p", executable, stream)
    return SUCCESS;
}

CUresult cuGraphExecDestroy(Handle executable) {
    BEGIN("cuGraphExecDestroy %p", executable)
    return SUCCESS;
}

/* ---- kernels -------------------------------------------------------------------------------------------------------- */

/* Options: 5, 6 are the buffer for the compiler's errors and its size. */
CUresult cuModuleLoadDataEx(Handle *module, const void *image, unsigned count, int *options, void **values) {
    note("cuModuleLoadDataEx %s", (const char *) image);
    for (unsigned i = 0; i < count; i++) {
        note(options[i] == 5 ? " %d %s" : " %d %ld", options[i], options[i] == 5 ? "buffer" : values[i]);
    }
    note("\n");
    CUresult failure = fails(__func__);
    if (failure && count == 2 && options[0] == 5 && options[1] == 6) {
        snprintf(values[0], (size_t) values[1], "ptxas fatal   : Unresolved\n  extern function 'f'\n");
    }
    if (failure) return failure;
    NOT_CAPTURED
    *module = number(handles += 0x10);
    return SUCCESS;
}

/* The handle is the name; its parts after '-' are the sizes of the kernel's parameters. */
CUresult cuModuleGetFunction(Handle *function, Handle module, const char *name) {
    BEGIN("cuModuleGetFunction %p %s", module, name)
    *function = strdup(name);
    return SUCCESS;
}

CUresult cuFuncSetAttribute(Handle function, int attribute, int value) {
    BEGIN("cuFuncSetAttribute %s %d %d", (char *) function, attribute, value)
    return SUCCESS;
}

CUresult cuLaunchKernel(Handle function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                        unsigned shared, Handle stream, void **parameters, void **extra) {
    note("cuLaunchKernel %s %u %u %u %u %u %u %u %p %p:", (char *) function, gx, gy, gz, bx, by, bz, shared, stream,
         (void *) extra);
    int i = 0;
    for (const char *size = strchr(function, '-'); size; size = strchr(size + 1, '-'), i++) {
        note(" ");
        for (int b = 0; b < atoi(size + 1); b++) {
            note("%02x", ((unsigned char *) parameters[i])[b]);
        }
    }
    note("\n");
    captured++;
    return fails(__func__);
}
