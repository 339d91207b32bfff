using Orthrus.Tensor;

namespace Orthrus.Autograd.Tests;

/// <summary>The least bytes of a call: every operand counted in its own element type.</summary>
public sealed class OpCostTests
{
    public static TheoryData<string> Ops => new(OpTable.All.Select(r => r.Name));

    [Theory]
    [MemberData(nameof(Ops))]
    public void Bytes_are_those_of_the_operands_in_their_own_types(string name)
    {
        var op = OpTable.All.Single(r => r.Name == name);
        foreach (var sample in op.Samples)
            foreach (var dtype in new[] { DType.F32, DType.F64, DType.BF16 }.Where(d => d != DType.BF16 || op.Signature.BFloat16))
            {
                var rule = sample.Rule(dtype);
                static long Bytes(TensorSpec s, DType type) => s.Present ? s.Shape.Count * type.Size() : 0;
                long all = 0, gradients = 0;
                bool differentiable = false;
                for (int i = 0; i < op.Signature.Inputs.Length; i++)
                {
                    all += Bytes(rule.In(i), rule.In(i).DType);
                    if (op.Signature.Inputs[i].Kind == OperandKind.Real) gradients += Bytes(rule.In(i), op.Signature.Inputs[i].GradientIn(dtype));
                }
                for (int k = 0; k < op.Signature.Outputs.Length; k++)
                {
                    all += Bytes(rule.OutSpec(k), rule.OutSpec(k).DType);
                    if (op.Signature.Outputs[k].Kind != OperandKind.Real) continue;
                    gradients += Bytes(rule.OutSpec(k), rule.OutSpec(k).DType);
                    differentiable = true;
                }
                var cost = sample.Cost(dtype);
                Assert.True(cost.Bytes == all, $"{name}, {sample.Name}, {dtype}: {cost.Bytes} bytes, {all} in operands and results");
                // Backward moves every gradient, and of what it reads nothing twice.
                if (!differentiable) Assert.Equal(0, cost.BackwardBytes);
                else Assert.True(cost.BackwardBytes >= gradients && cost.BackwardBytes <= gradients + all, $"{name}, {sample.Name}, {dtype}: backward {cost.BackwardBytes} bytes, gradients {gradients}");
            }
    }

    // Weights' gradients and the residual stream stay float32 beside BF16 activations.
    [Theory]
    [InlineData("linear", 2L * (4096 * 512 + 2048 * 512 + 4096 * 2048), 2L * (2 * 4096 * 512 + 2048 * 512 + 4096 * 2048) + 4L * 2048 * 512)]
    [InlineData("add_layer_norm", 2L * 2 * 8192 * 512 + 4L * (2 * 8192 * 512 + 2 * 512), 2L * 2 * 8192 * 512 + 4L * (3 * 8192 * 512 + 3 * 512))]
    public void Mixed_precision_is_counted_as_it_is(string name, long forward, long backward)
    {
        var cost = OpTable.All.Single(r => r.Name == name).Samples.Single(s => s.Bench).Cost(DType.BF16);
        Assert.Equal((forward, backward), (cost.Bytes, cost.BackwardBytes));
    }
}
