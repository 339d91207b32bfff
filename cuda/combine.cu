// y = a + b or y = a b, elementwise, and the gradients of both operands in one pass.
#include "orthrus.cuh"

struct CombineArgs
{
    const act *a, *b;
    const act* dy;   // backward only
    act *y, *da, *db; // gradients: null where not wanted
    i64 count;
    i32 multiply;
};

ORTHRUS_KERNEL combine_forward(const CombineArgs a)
{
    auto f = [&](float p, float q) { return a.multiply ? p * q : p + q; };
    elements(a.count, fours<act>((u64)a.a | (u64)a.b | (u64)a.y),
        [&](i64 i) { store4(a.y + i, zip4(load4(a.a + i), load4(a.b + i), f)); },
        [&](i64 i) { a.y[i] = to_act(f(to_float(a.a[i]), to_float(a.b[i]))); });
}

// dy goes to both operands, each time the other where they are multiplied.
ORTHRUS_KERNEL combine_backward(const CombineArgs a)
{
    auto f = [](float p, float q) { return p * q; };
    elements(a.count, fours<act>((u64)a.a | (u64)a.b | (u64)a.dy | (u64)a.da | (u64)a.db),
        [&](i64 i)
        {
            float4 g = load4(a.dy + i);
            if (a.da) store4(a.da + i, a.multiply ? zip4(g, load4(a.b + i), f) : g);
            if (a.db) store4(a.db + i, a.multiply ? zip4(g, load4(a.a + i), f) : g);
        },
        [&](i64 i)
        {
            float g = to_float(a.dy[i]);
            if (a.da) a.da[i] = to_act(a.multiply ? g * to_float(a.b[i]) : g);
            if (a.db) a.db[i] = to_act(a.multiply ? g * to_float(a.a[i]) : g);
        });
}
