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

// Both halves of a product by one instruction.
DEVICE void multiply(u32 a, u32 b, u32& low, u32& high)
{
    asm("{ .reg .b64 p; mul.wide.u32 p, %2, %3; mov.b64 {%0, %1}, p; }" : "=r"(low), "=r"(high) : "r"(a), "r"(b));
}

DEVICE uint4 philox(u64 seed, u64 stream, u64 block)
{
    u32 c0 = (u32)block, c1 = (u32)(block >> 32), c2 = (u32)stream, c3 = (u32)(stream >> 32), k0 = (u32)seed, k1 = (u32)(seed >> 32);
    #pragma unroll
    for (int round = 0; round < 10; round++)
    {
        u32 a_low, a_high, b_low, b_high;
        multiply(0xD2511F53u, c0, a_low, a_high);
        multiply(0xCD9E8D57u, c2, b_low, b_high);
        c0 = b_high ^ c1 ^ k0;
        c1 = b_low;
        c2 = a_high ^ c3 ^ k1;
        c3 = a_low;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return make_uint4(c0, c1, c2, c3);
}

const int Groups = 4, Threads = 256;

ORTHRUS_KERNEL dropout(const DropoutArgs a)
{
    // The first counter may begin before the first element. Indices run through 2^64 and then begin again, counters therefore through 2^62.
    int before = (int)(a.offset & 3);
    i64 block = (i64)blockIdx.x * (Groups * Threads), first = 4 * block - before;
    u64 counter = a.offset / 4 + block;
    auto words = [&](int group) { return philox(a.seed, a.stream, (counter + group) & ~0ull >> 2); };
    auto f = [&](float x, u32 word) { return word >= a.threshold ? x * a.scale : 0.f; };
    if (fours<act>((u64)(a.x - before) | (u64)(a.y - before)) && first >= 0 && first + 4 * Groups * Threads <= a.count)
    {
        const act* x = a.x + first;
        act* y = a.y + first;
        #pragma unroll
        for (int g = 0; g < Groups; g++)
        {
            int group = g * Threads + threadIdx.x;
            float4 v = load4(x + 4 * group);
            uint4 w = words(group);
            store4(y + 4 * group, make_float4(f(v.x, w.x), f(v.y, w.y), f(v.z, w.z), f(v.w, w.w)));
        }
        return;
    }
    for (int group = threadIdx.x; group < Groups * Threads; group += Threads)
    {
        i64 i = first + 4 * group;
        if (i >= a.count) return;
        uint4 w = words(group);
        auto one = [&](i64 at, u32 word)
        {
            if (at >= 0 && at < a.count) a.y[at] = to_act(f(to_float(a.x[at]), word));
        };
        one(i, w.x);
        one(i + 1, w.y);
        one(i + 2, w.z);
        one(i + 3, w.w);
    }
}
