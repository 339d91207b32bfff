// Copies between float and the activations' type: widening is exact, narrowing goes to the nearest, ties to even.
#include "orthrus.cuh"

struct CastArgs
{
    const void* from;
    void* to;
    i64 count;
};

ORTHRUS_KERNEL cast_to_activation(const CastArgs a)
{
    const float* from = (const float*)a.from;
    act* to = (act*)a.to;
    elements(a.count, fours<float>((u64)from) && fours<act>((u64)to),
        [&](i64 i) { store4(to + i, load4(from + i)); },
        [&](i64 i) { to[i] = to_act(from[i]); });
}

ORTHRUS_KERNEL cast_from_activation(const CastArgs a)
{
    const act* from = (const act*)a.from;
    float* to = (float*)a.to;
    elements(a.count, fours<act>((u64)from) && fours<float>((u64)to),
        [&](i64 i) { store4(to + i, load4(from + i)); },
        [&](i64 i) { to[i] = to_float(from[i]); });
}
