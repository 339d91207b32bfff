// sum += term, elementwise: where gradients of several uses of a value meet.
#include "orthrus.cuh"

struct AccumulateArgs
{
    act* sum;
    const act* term;
    i64 count;
};

ORTHRUS_KERNEL accumulate(const AccumulateArgs a)
{
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < a.count; i += (i64)gridDim.x * blockDim.x)
        a.sum[i] = to_act(to_float(a.sum[i]) + to_float(a.term[i]));
}
