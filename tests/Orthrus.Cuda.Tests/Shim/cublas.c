/* cuBLAS by the prototypes of cublas_api.h (CUDA 11.8): every function calls what the test has registered. */
#include <stddef.h>
#include <string.h>

typedef void *cublasHandle_t, *cudaStream_t;
typedef int libraryPropertyType, cublasMath_t, cublasOperation_t, cudaDataType, cublasComputeType_t, cublasGemmAlgo_t;

#define FUNCTIONS(F) \
    F(cublasCreate_v2, (cublasHandle_t *handle), (handle)) \
    F(cublasDestroy_v2, (cublasHandle_t handle), (handle)) \
    F(cublasGetProperty, (libraryPropertyType type, int *value), (type, value)) \
    F(cublasSetStream_v2, (cublasHandle_t handle, cudaStream_t s), (handle, s)) \
    F(cublasSetMathMode, (cublasHandle_t handle, cublasMath_t mode), (handle, mode)) \
    F(cublasSetWorkspace_v2, (cublasHandle_t handle, void *workspace, size_t n), (handle, workspace, n)) \
    F(cublasGemmEx, (cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n, int k, const void *alpha, const void *a, cudaDataType atype, int lda, \
        const void *b, cudaDataType btype, int ldb, const void *beta, void *c, cudaDataType ctype, int ldc, cublasComputeType_t compute, cublasGemmAlgo_t algo), \
        (handle, transa, transb, m, n, k, alpha, a, atype, lda, b, btype, ldb, beta, c, ctype, ldc, compute, algo))

#include "forward.h"
