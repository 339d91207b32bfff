// Linear: matrix products with the tensor cores (compute 80 and above) or FFMA, all in one form: c (m, n) = sum over k of A (m, k) B (n, k).
//   forward       c = y (rows, O),   A = x (rows, K), B = W (O, K): both contiguous in k
//   input grad    c = dx (rows, K),  A = dy (rows, O) contiguous in k, B = W (O, K) with k across its rows
//   weight grad   c = dW (O, K),     A = dy (rows, O), B = x (rows, K), both with k across their rows; rows in slices, added in order by linear_sum
// An element of c is one chain of additions in the order of k, whatever the tile: its bits depend on its own row and column alone.
//
// With tensor cores the operands lie in shared memory as bf16, swizzled so that ldmatrix (transposing where k runs across rows) meets no bank twice.
// The BF16 variant copies them there by cp.async, three stages deep. The F32 variant splits each number into three bf16 whose sum it is exactly, and adds
// six of the nine products, small ones first: what is left out is below 2^-23 of the product. (tf32 in two parts costs the tensor cores as much and
// leaves 2^-21, all that the error bound of a single product allows.) Numbers without such parts (infinities) show as results that are not finite,
// which are then formed again by FFMA.
#include "linear.cuh"

LINEAR(linear_forward, false, false, act, true)

#ifdef ORTHRUS_BF16
LINEAR_HUGE(linear_forward, false, false, act, true)
#endif
