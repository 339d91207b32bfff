/* NVRTC by the prototypes of nvrtc.h (CUDA 11.8): every function calls what the test has registered. */
#include <stddef.h>
#include <string.h>

typedef void *nvrtcProgram;

#define FUNCTIONS(F) \
    F(nvrtcVersion, (int *major, int *minor), (major, minor)) \
    F(nvrtcGetNumSupportedArchs, (int *n), (n)) \
    F(nvrtcCreateProgram, (nvrtcProgram *prog, const char *src, const char *name, int n, const char *const *headers, const char *const *names), (prog, src, name, n, headers, names)) \
    F(nvrtcDestroyProgram, (nvrtcProgram *prog), (prog)) \
    F(nvrtcCompileProgram, (nvrtcProgram prog, int n, const char *const *options), (prog, n, options)) \
    F(nvrtcGetProgramLogSize, (nvrtcProgram prog, size_t *size), (prog, size)) \
    F(nvrtcGetProgramLog, (nvrtcProgram prog, char *log), (prog, log)) \
    F(nvrtcGetPTXSize, (nvrtcProgram prog, size_t *size), (prog, size)) \
    F(nvrtcGetPTX, (nvrtcProgram prog, char *ptx), (prog, ptx)) \
    OPTIONAL(F)

#ifdef OLD
#define OPTIONAL(F)
#else
#define OPTIONAL(F) \
    F(nvrtcGetSupportedArchs, (int *archs), (archs)) \
    F(nvrtcGetCUBINSize, (nvrtcProgram prog, size_t *size), (prog, size)) \
    F(nvrtcGetCUBIN, (nvrtcProgram prog, char *cubin), (prog, cubin))
#endif

const char *nvrtcGetErrorString(int result) { return result == 6 ? "NVRTC_ERROR_COMPILATION" : "NVRTC_ERROR"; }

#include "forward.h"
