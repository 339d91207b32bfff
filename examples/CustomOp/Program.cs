using Orthrus.Autograd;
using Orthrus.PtxSim;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;
// By name: an engine that got an operator of this name too has another one.
using Swish = CustomOp.Swish;

// 1. The check that the engine's own operators pass, for this one: on the CPU, and its CUDA kernels on a simulated GPU, which needs NVRTC but no GPU.
var op = OpRow.Of<Swish, NoAttr>();
var results = GradCheck.Run(op);
GradCheckReport.Write(Console.Out, results);
if (Nvrtc.IsAvailable)
{
    using var gpu = SimDriver.Open();
    var onGpu = GradCheck.Run(op, new GradCheckOptions { Devices = [gpu], DTypes = [DType.F32, DType.BF16] });
    GradCheckReport.Write(Console.Out, onGpu);
    results = [.. results, .. onGpu];
}
else Console.WriteLine("the CUDA kernels were not checked: NVRTC was not found");

// 2. The operator in use: loss = sum(swish(x, beta)), its gradient with respect to beta.
using var device = new CpuDevice();
using var scope = device.OpenScope();
using var tape = new Tape(device);
var x = tape.Input(scope.From<float>([-1, 0, 1, 2, 3, 4], new Shape(2, 3)));
var beta = tape.Input(scope.From<float>([0.5f, 1, 2], new Shape(3)));
var y = tape.Apply<Swish, NoAttr>([x, beta]);
tape.Backward([y], [scope.From<float>([1, 1, 1, 1, 1, 1], new Shape(2, 3))]);
Console.WriteLine($"y         {string.Join("  ", y.Value.ToArray<float>().Select(v => v.ToString("F4")))}");
Console.WriteLine($"d/d beta  {string.Join("  ", tape.Grad(beta).ToArray<float>().Select(v => v.ToString("F4")))}");
return results.All(r => r.Passed) ? 0 : 1;
