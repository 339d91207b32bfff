// End of every backward call of the selective scan: sums over groups of channels, of which a block leaves one, and over sequences.
#include "selective_scan.cuh"

struct ScanSumArgs
{
    const float* partial;
    act *db, *dc;
    const float *da, *dd, *dbias;
    float *to_a, *to_d, *to_bias;
    i32 B, L, E, N;
    i32 groups, unused;
};

// First row of blocks: B L 2 N numbers, in fours where N allows it. Second row: sums over sequences.
ORTHRUS_KERNEL __launch_bounds__(256) selective_scan_sums(const ScanSumArgs p)
{
    const i64 i = (i64)blockIdx.x * 256 + threadIdx.x;
    if (blockIdx.y == 1)
    {
        const i64 states = (i64)p.E * p.N;
        if (p.to_a && i < states)
        {
            float sum = 0.f;
            for (int b = 0; b < p.B; b++) sum += p.da[b * states + i];
            p.to_a[i] = sum;
        }
        if (i >= p.E) return;
        float d = 0.f, bias = 0.f;
        for (int b = 0; b < p.B; b++)
        {
            d += p.dd[(i64)b * p.E + i];
            bias += p.dbias[(i64)b * p.E + i];
        }
        if (p.to_d) p.to_d[i] = d;
        if (p.to_bias) p.to_bias[i] = bias;
        return;
    }
    const i64 all = (i64)p.B * p.L * 2 * p.N;
    const int many = p.N % 4 == 0 ? 4 : 1;
    const i64 at = i * many;
    if (at >= all) return;
    float4 sum = make_float4(0.f, 0.f, 0.f, 0.f);
    if (many == 4)
        for (int g = 0; g < p.groups; g++) sum = add4(sum, *(const float4*)(p.partial + g * all + at));
    else
        for (int g = 0; g < p.groups; g++) sum.x += p.partial[g * all + at];
    const i64 row = at / (2 * p.N);
    const int within = (int)(at - row * 2 * p.N), n = within < p.N ? within : within - p.N;
    act* to = within < p.N ? p.db : p.dc;
    if (!to) return;
    to += row * p.N + n;
    to[0] = to_act(sum.x);
    if (many == 4)
    {
        to[1] = to_act(sum.y);
        to[2] = to_act(sum.z);
        to[3] = to_act(sum.w);
    }
}
