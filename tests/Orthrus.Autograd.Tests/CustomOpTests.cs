using System.Numerics;
using System.Text.RegularExpressions;
using Orthrus.PtxSim;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;
using Orthrus.TestSupport;
using Swish = CustomOp.Swish;

namespace Orthrus.Autograd.Tests;

/// <summary>The example of a user's own operator passes the check, and a slip in it does not.</summary>
public partial class CustomOpTests
{
    [Fact]
    public void The_example_runs_and_passes()
    {
        var before = Console.Out;
        var text = new StringWriter();
        object? code;
        try
        {
            Console.SetOut(text);
            code = typeof(Swish).Assembly.EntryPoint!.Invoke(null, [Array.Empty<string>()]);
        }
        finally
        {
            Console.SetOut(before);
        }
        Assert.Equal(0, code);
        Assert.Contains("all within their bounds", text.ToString());
        Assert.Contains("d/d beta", text.ToString());
        if (Nvrtc.IsAvailable) Assert.Matches(@"swish +several blocks +BF16 .* ok", text.ToString());
        else Assert.Contains("NVRTC was not found", text.ToString());
    }

    [Fact]
    public void The_page_about_operators_shows_the_example()
    {
        string page = Read("docs", "ADD-AN-OP.md"), table = Read("Orthrus.Tensor", "Ops", "OpTable.cs");
        string[] csharp = [.. CSharpBlock().Matches(page).Select(m => m.Groups[1].Value)];
        Assert.Equal(2, csharp.Length);
        Assert.Equal(Read("examples", "CustomOp", "Swish.cs"), csharp[0]);
        Assert.Equal(Read("examples", "CustomOp", "swish.cu"), CudaBlock().Match(page).Groups[1].Value);
        // The row as the table's other rows are written.
        Assert.Contains(csharp[1].Replace("Swish", "ReverseSequence"), table);
    }

    // A test of the long tier runs them in a copy of the repository.
    [Fact]
    public void The_page_s_commands_stand_in_the_order_in_which_they_work()
    {
        string page = Read("docs", "ADD-AN-OP.md");
        string[] commands = [.. page[page.IndexOf("## Check it", StringComparison.Ordinal)..].Split('\n').Where(l => l.StartsWith("    ", StringComparison.Ordinal)).Select(l => l.Trim())];
        string[] words = ["gradcheck --op swish", "-- ptx cuda/ptx", "-- report --static docs/KERNELS.md", "OpsDocument", "tests/Orthrus.Cuda.Tests -c Release --filter \"tier!=long\""];
        Assert.Equal(words.Length, commands.Length);
        Assert.All(words.Zip(commands), c => Assert.Contains(c.First, c.Second));
    }

    private static string Read(params string[] path) => File.ReadAllText(Path.Combine([TestPaths.Repository, .. path])).ReplaceLineEndings("\n");

    [GeneratedRegex("(?ms)^```csharp\\n(.*?)^```")]
    private static partial Regex CSharpBlock();

    [GeneratedRegex("(?ms)^```cuda\\n(.*?)^```")]
    private static partial Regex CudaBlock();

    [Fact]
    public void A_broken_variant_is_caught()
    {
        var results = GradCheck.Run(OpRow.Of<WrongSwish, NoAttr>());
        Assert.All(results, r => Assert.False(r.Passed));
        Assert.All(results.SelectMany(r => r.Problems), p => Assert.Contains("gradient of beta", p));
        var text = new StringWriter();
        GradCheckReport.Write(text, results);
        Assert.Contains("FAIL", text.ToString());
    }

    [Fact]
    public void An_operator_for_the_CPU_alone_says_so()
    {
        using var device = SimDriver.Open();
        using var scope = device.OpenScope();
        var x = scope.Zeros(new Shape(3), DType.F32);
        Assert.Equal("weighted has no CUDA kernel: run it on the CPU, not on sim (H100 SXM, compute 9.0)", Assert.Throws<DeviceException>(() => Op.Forward<Weighted, NoAttr>(scope, [x, x], default)).Message);
    }

    /// <summary>The example with the factor x of d/d beta forgotten once.</summary>
    private sealed class WrongSwish : IOp<NoAttr>
    {
        public static string Name => "wrong_swish";
        public static OpSignature Signature => Swish.Signature;
        public static Saves Saves => Swish.Saves;
        public static void Infer(ref ShapeRule rule, in NoAttr attr) => Swish.Infer(ref rule, attr);
        public static void Reference<R>(in RefArgs<R> args, in NoAttr attr) where R : struct, IReal<R> => Swish.Reference(args, attr);
        public static void ForwardCpu<T>(in OpArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T> => Swish.ForwardCpu<T>(args, attr);

        public static unsafe void BackwardCpu<T>(in GradArgs args, in NoAttr attr) where T : unmanaged, IBinaryFloatingPointIeee754<T>
        {
            Swish.BackwardCpu<T>(args, attr);
            if (args.InputGrads[1].IsNone) return;
            T* x = args.Inputs[0].Pointer<T>(), beta = args.Inputs[1].Pointer<T>(), dy = args.OutputGrads[0].Pointer<T>(), db = args.InputGrads[1].Pointer<T>();
            T bx = beta[0] * x[0], slope = x[0] / ((T.One + T.Exp(-bx)) * (T.One + T.Exp(bx)));
            db[0] += dy[0] * (T.One - x[0]) * slope;
        }

        public static void ForwardCuda(in OpArgs args, in NoAttr attr) => throw CudaKernel.Missing(Name, args.Scratch);
        public static void BackwardCuda(in GradArgs args, in NoAttr attr) => throw CudaKernel.Missing(Name, args.Scratch);
        public static OpCost Cost(in ShapeRule rule, in NoAttr attr) => Swish.Cost(rule, attr);
        public static IEnumerable<Sample<NoAttr>> Samples() => Swish.Samples();
    }
}
