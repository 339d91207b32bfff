/* NCCL by the prototypes of nccl.h (2.18): every function calls what the test has registered. */
#include <stddef.h>
#include <string.h>

typedef struct ncclComm *ncclComm_t;
typedef struct { char internal[128]; } ncclUniqueId;
typedef int ncclResult_t, ncclDataType_t;
typedef void *cudaStream_t;

#ifdef OLD
#define PAIRS(F)
#else
#define PAIRS(F) \
    F(ncclSend, (const void *sendbuff, size_t count, ncclDataType_t datatype, int peer, ncclComm_t comm, cudaStream_t stream), (sendbuff, count, datatype, peer, comm, stream)) \
    F(ncclRecv, (void *recvbuff, size_t count, ncclDataType_t datatype, int peer, ncclComm_t comm, cudaStream_t stream), (recvbuff, count, datatype, peer, comm, stream))
#endif

#define FUNCTIONS(F) \
    F(ncclGetVersion, (int *version), (version)) \
    F(ncclGetUniqueId, (ncclUniqueId *uniqueId), (uniqueId)) \
    F(ncclCommInitRank, (ncclComm_t *comm, int nranks, ncclUniqueId commId, int rank), (comm, nranks, commId, rank)) \
    F(ncclCommDestroy, (ncclComm_t comm), (comm)) \
    F(ncclCommGetAsyncError, (ncclComm_t comm, ncclResult_t *asyncError), (comm, asyncError)) \
    F(ncclGroupStart, (void), ()) \
    F(ncclGroupEnd, (void), ()) \
    F(ncclAllGather, (const void *sendbuff, void *recvbuff, size_t sendcount, ncclDataType_t datatype, ncclComm_t comm, cudaStream_t stream), (sendbuff, recvbuff, sendcount, datatype, comm, stream)) \
    F(ncclBroadcast, (const void *sendbuff, void *recvbuff, size_t count, ncclDataType_t datatype, int root, ncclComm_t comm, cudaStream_t stream), (sendbuff, recvbuff, count, datatype, root, comm, stream)) \
    PAIRS(F)

#include "forward.h"

const char *ncclGetErrorString(ncclResult_t result)
{
    return result == 0 ? "no error" : result == 5 ? "invalid usage" : result == 6 ? "remote process exited or there was a network error" : "another error";
}
