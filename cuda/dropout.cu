// Dropout with Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011): a thread draws the four words of one counter and applies them to the four elements that
// they belong to. Forward and backward are the same map, once of x and once of dy.
#include "orthrus.cuh"

struct DropoutArgs
{
    const act* x;
    act* y;
    i64 count;
    u64 seed, stream, offset;
    u32 threshold; // words below it drop
    float scale;
};

DEVICE uint4 philox(u64 seed, u64 stream, u64 block)
{
    u32 c0 = (u32)block, c1 = (u32)(block >> 32), c2 = (u32)stream, c3 = (u32)(stream >> 32), k0 = (u32)seed, k1 = (u32)(seed >> 32);
    #pragma unroll
    for (int round = 0; round < 10; round++)
    {
        u32 a = __umulhi(0xD2511F53u, c0), a_low = 0xD2511F53u * c0, b = __umulhi(0xCD9E8D57u, c2), b_low = 0xCD9E8D57u * c2;
        c0 = b ^ c1 ^ k0;
        c1 = b_low;
        c2 = a ^ c3 ^ k1;
        c3 = a_low;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return make_uint4(c0, c1, c2, c3);
}

ORTHRUS_KERNEL dropout(const DropoutArgs a)
{
    // The first counter may begin before the first element.
    int before = (int)(a.offset & 3);
    i64 group = (i64)blockIdx.x * blockDim.x + threadIdx.x, i = 4 * group - before;
    if (i >= a.count) return;
    // Indices run through 2^64 and then begin again, counters therefore through 2^62.
    uint4 w = philox(a.seed, a.stream, (a.offset / 4 + group) & ~0ull >> 2);
    auto f = [&](float x, u32 word) { return word >= a.threshold ? x * a.scale : 0.f; };
    if (fours<act>((u64)(a.x - before) | (u64)(a.y - before)) && i >= 0 && i + 4 <= a.count)
    {
        float4 x = load4(a.x + i);
        store4(a.y + i, make_float4(f(x.x, w.x), f(x.y, w.y), f(x.z, w.z), f(x.w, w.w)));
        return;
    }
    auto one = [&](i64 at, u32 word)
    {
        if (at >= 0 && at < a.count) a.y[at] = to_act(f(to_float(a.x[at]), word));
    };
    one(i, w.x);
    one(i + 1, w.y);
    one(i + 2, w.z);
    one(i + 3, w.w);
}
