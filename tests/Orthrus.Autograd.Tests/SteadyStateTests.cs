using Orthrus.Tensor;

namespace Orthrus.Autograd.Tests;

using Tensor = Orthrus.Tensor.Tensor;

/// <summary>Tests that measure the whole process and therefore run alone.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public class Alone;

/// <summary>
/// In steady state a call allocates no managed memory on any thread: forward, backward and state updates. The gradient check looks at the calling thread;
/// this looks at all of them, the pool's included.
/// </summary>
[Collection(nameof(Alone))]
public class SteadyStateTests
{
    private const int Calls = 5, Rounds = 12;

    public static IEnumerable<TheoryDataRow<string>> Ops() => OpTable.All.Select(o => new TheoryDataRow<string>(o.Name));
    public static IEnumerable<TheoryDataRow<string>> Updates() => UpdateTable.All.Select(u => new TheoryDataRow<string>(u.Name));

    [Theory, MemberData(nameof(Ops))]
    public void Operators_allocate_nothing(string name)
    {
        var op = OpTable.All.First(o => o.Name == name);
        using var device = new CpuDevice(3);
        foreach (var sample in op.Samples.Where(s => !s.Bench))
            foreach (var dtype in new[] { DType.F32, DType.F64 })
            {
                using var scope = device.OpenScope();
                Tensor[] inputs = [.. sample.Inputs.Select((recipe, i) => Place(scope, recipe, dtype, i))];
                var outputs = new Tensor[op.Signature.Outputs.Length];
                sample.Forward(scope, inputs, outputs);
                Tensor[] outputGrads = [.. outputs.Select((y, k) => y.IsNone || op.Signature.Outputs[k].Kind != OperandKind.Real ? default : Place(scope, SampleInput.Normal(y.Shape), dtype, k))];
                Tensor[] inputGrads = [.. inputs.Select((x, i) => x.IsNone || op.Signature.Inputs[i].Kind != OperandKind.Real ? default : scope.Empty(x.Shape, dtype))];
                bool differentiable = outputGrads.Any(g => !g.IsNone);
                AllocatesNothing(device, $"{name} {sample.Name} {dtype}", inner =>
                {
                    sample.Forward(inner, inputs, outputs);
                    if (differentiable) sample.Backward(inner, inputs, outputs, outputGrads, inputGrads);
                });
            }
    }

    [Theory, MemberData(nameof(Updates))]
    public void Updates_allocate_nothing(string name)
    {
        var update = UpdateTable.All.First(u => u.Name == name);
        using var device = new CpuDevice(3);
        foreach (var sample in update.Samples.Where(s => !s.Bench))
            foreach (var dtype in new[] { DType.F32, DType.F64 })
            {
                using var scope = device.OpenScope();
                Tensor[] tensors = [.. sample.Lists.SelectMany(list => list).Select((recipe, i) => Place(scope, recipe, dtype, i))];
                var results = new Tensor[update.Signature.Results.Length];
                AllocatesNothing(device, $"{name} {sample.Name} {dtype}", inner => sample.Run(inner, tensors, results));
            }
    }

    [Fact]
    public void An_allocation_on_a_worker_thread_is_seen()
    {
        using var device = new CpuDevice(3);
        var e = Assert.ThrowsAny<Exception>(() => AllocatesNothing(device, "fault", _ =>
        {
            var job = new AllocatingJob();
            device.Workers.Run(64, ref job);
        }));
        Assert.Contains("fault allocates", e.Message);
    }

    private struct AllocatingJob : IParallelJob
    {
        [ThreadStatic] private static byte[]? t_sink;

        public readonly void Run(int index)
        {
            if (Thread.CurrentThread.IsBackground && Thread.CurrentThread.Name?.StartsWith("orthrus-worker", StringComparison.Ordinal) == true) t_sink = new byte[40];
            else Thread.Sleep(1); // leaves the other items to the workers
        }
    }

    private static void AllocatesNothing(CpuDevice device, string what, Action<Scope> call)
    {
        // The runtime itself allocates now and then, when it compiles a method anew: one clean round shows that the call does not.
        long least = long.MaxValue;
        for (int round = 0; round < Rounds && least > 0; round++)
        {
            long before = GC.GetTotalAllocatedBytes(true);
            for (int i = 0; i < Calls; i++)
                using (var inner = device.OpenScope()) call(inner);
            least = Math.Min(least, GC.GetTotalAllocatedBytes(true) - before);
        }
        Assert.True(least == 0, $"{what} allocates {least} managed bytes in {Calls} calls");
    }

    private static Tensor Place(Scope scope, SampleInput recipe, DType dtype, int operand)
    {
        if (!recipe.Present) return default;
        double[] values = recipe.Make(1, operand);
        return (recipe.IsInteger ? recipe.IntegerType : dtype) switch
        {
            DType.F32 => scope.From<float>(Array.ConvertAll(values, v => (float)v), recipe.Shape),
            DType.F64 => scope.From<double>(values, recipe.Shape),
            DType.U8 => scope.From<byte>(Array.ConvertAll(values, v => (byte)v), recipe.Shape),
            DType.I32 => scope.From<int>(Array.ConvertAll(values, v => (int)v), recipe.Shape),
            _ => scope.From<long>(Array.ConvertAll(values, v => (long)v), recipe.Shape),
        };
    }
}
