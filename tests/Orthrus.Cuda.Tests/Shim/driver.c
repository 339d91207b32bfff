/* A CUDA driver that does nothing itself: its exported functions have the prototypes of cuda.h (CUDA 11.8) and call what the test has registered.
   Handles are pointers, CUdeviceptr is unsigned long long, CUdevice is int, enumerations are int. */
#include <stddef.h>
#include <string.h>

typedef void *CUcontext, *CUmodule, *CUfunction, *CUstream, *CUevent, *CUgraph, *CUgraphExec;
typedef unsigned long long CUdeviceptr;
typedef int CUdevice, CUresult;
typedef struct { char bytes[16]; } CUuuid;

#define FUNCTIONS(F) \
    F(cuInit, (unsigned int flags), (flags)) \
    F(cuDriverGetVersion, (int *version), (version)) \
    F(cuDeviceGetCount, (int *count), (count)) \
    F(cuDeviceGet, (CUdevice *device, int ordinal), (device, ordinal)) \
    F(cuDeviceGetName, (char *name, int len, CUdevice dev), (name, len, dev)) \
    F(cuDeviceGetUuid, (CUuuid *uuid, CUdevice dev), (uuid, dev)) \
    F(cuDeviceTotalMem_v2, (size_t *bytes, CUdevice dev), (bytes, dev)) \
    F(cuDeviceGetAttribute, (int *pi, int attrib, CUdevice dev), (pi, attrib, dev)) \
    F(cuDevicePrimaryCtxRetain, (CUcontext *pctx, CUdevice dev), (pctx, dev)) \
    F(cuDevicePrimaryCtxRelease_v2, (CUdevice dev), (dev)) \
    F(cuCtxGetCurrent, (CUcontext *pctx), (pctx)) \
    F(cuCtxSetCurrent, (CUcontext ctx), (ctx)) \
    F(cuCtxGetDevice, (CUdevice *device), (device)) \
    F(cuCtxSynchronize, (void), ()) \
    F(cuMemGetInfo_v2, (size_t *free, size_t *total), (free, total)) \
    F(cuMemAlloc_v2, (CUdeviceptr *dptr, size_t bytesize), (dptr, bytesize)) \
    F(cuMemFree_v2, (CUdeviceptr dptr), (dptr)) \
    F(cuMemHostAlloc, (void **pp, size_t bytesize, unsigned int flags), (pp, bytesize, flags)) \
    F(cuMemFreeHost, (void *p), (p)) \
    F(cuMemcpyHtoDAsync_v2, (CUdeviceptr dst, const void *src, size_t n, CUstream s), (dst, src, n, s)) \
    F(cuMemcpyDtoHAsync_v2, (void *dst, CUdeviceptr src, size_t n, CUstream s), (dst, src, n, s)) \
    F(cuMemcpyDtoDAsync_v2, (CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream s), (dst, src, n, s)) \
    F(cuMemsetD8Async, (CUdeviceptr dst, unsigned char uc, size_t n, CUstream s), (dst, uc, n, s)) \
    F(cuPointerGetAttribute, (void *data, int attribute, CUdeviceptr ptr), (data, attribute, ptr)) \
    F(cuModuleLoadDataEx, (CUmodule *module, const void *image, unsigned int n, int *options, void **values), (module, image, n, options, values)) \
    F(cuModuleUnload, (CUmodule hmod), (hmod)) \
    F(cuModuleGetFunction, (CUfunction *hfunc, CUmodule hmod, const char *name), (hfunc, hmod, name)) \
    F(cuFuncGetAttribute, (int *pi, int attrib, CUfunction hfunc), (pi, attrib, hfunc)) \
    F(cuFuncSetAttribute, (CUfunction hfunc, int attrib, int value), (hfunc, attrib, value)) \
    F(cuOccupancyMaxActiveBlocksPerMultiprocessor, (int *blocks, CUfunction func, int size, size_t dynamic), (blocks, func, size, dynamic)) \
    F(cuLaunchKernel, (CUfunction f, unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx, unsigned int by, unsigned int bz, unsigned int shared, \
        CUstream s, void **params, void **extra), (f, gx, gy, gz, bx, by, bz, shared, s, params, extra)) \
    F(cuStreamCreate, (CUstream *s, unsigned int flags), (s, flags)) \
    F(cuStreamDestroy_v2, (CUstream s), (s)) \
    F(cuStreamGetCtx, (CUstream s, CUcontext *pctx), (s, pctx)) \
    F(cuStreamQuery, (CUstream s), (s)) \
    F(cuStreamSynchronize, (CUstream s), (s)) \
    F(cuStreamWaitEvent, (CUstream s, CUevent e, unsigned int flags), (s, e, flags)) \
    F(cuEventCreate, (CUevent *e, unsigned int flags), (e, flags)) \
    F(cuEventDestroy_v2, (CUevent e), (e)) \
    F(cuEventRecord, (CUevent e, CUstream s), (e, s)) \
    F(cuEventQuery, (CUevent e), (e)) \
    F(cuEventSynchronize, (CUevent e), (e)) \
    F(cuEventElapsedTime, (float *ms, CUevent start, CUevent end), (ms, start, end)) \
    F(cuStreamBeginCapture_v2, (CUstream s, int mode), (s, mode)) \
    F(cuStreamEndCapture, (CUstream s, CUgraph *graph), (s, graph)) \
    F(cuGraphInstantiateWithFlags, (CUgraphExec *exec, CUgraph graph, unsigned long long flags), (exec, graph, flags)) \
    F(cuGraphLaunch, (CUgraphExec exec, CUstream s), (exec, s)) \
    F(cuGraphExecDestroy, (CUgraphExec exec), (exec)) \
    F(cuGraphDestroy, (CUgraph graph), (graph))

#include "forward.h"
