using Orthrus.Autograd;
using Orthrus.Mamba;
using Orthrus.PtxSim;
using Orthrus.Tensor;
using Orthrus.Tensor.Cuda;
using Orthrus.TestSupport;

namespace Orthrus.Cuda.Tests.Shim;

/// <summary>
/// The part of the tests that runs in a process of its own, since libraries are found once for each process: asked for by <see cref="Run"/>, never by a
/// normal run of the tests.
/// </summary>
public sealed unsafe class ShimChild
{
    private const string Folder = "ORTHRUS_SHIM", Init = "ORTHRUS_SHIM_INIT", DriverVersion = "ORTHRUS_SHIM_DRIVER", NoCompiler = "ORTHRUS_SHIM_NOJIT", Architectures = "ORTHRUS_SHIM_ARCHS",
        PtxVersion = "ORTHRUS_SHIM_PTX", Ordinal = "ORTHRUS_SHIM_ORDINAL", Memory = "ORTHRUS_SHIM_MEMORY", Fault = "ORTHRUS_SHIM_FAULT", Part = "ORTHRUS_SHIM_PART", CublasStart = "ORTHRUS_SHIM_CUBLAS", Twins = "ORTHRUS_SHIM_TWINS",
        Result = "ORTHRUS_SHIM_RESULT";

    /// <summary>What a child is to find.</summary>
    internal sealed record Scene(string Folder, int Init = 0, int DriverVersion = 12040, bool NoCompiler = false, string Architectures = "", string PtxVersion = "", int Ordinal = 0, string Cache = "", string? Visible = null, long Memory = 0,
        string Fault = "", string Part = "driver", int CublasStart = 0, bool Twins = false);

    /// <summary>Runs a child; its lines: "ok" or the error, then facts.</summary>
    internal static string[] Run(Scene scene) => Run(scene, typeof(ShimChild));

    /// <summary>Runs the explicit tests of a class in a child; what it wrote, line by line.</summary>
    internal static string[] Run(Scene scene, Type tests, IReadOnlyDictionary<string, string>? more = null)
    {
        string result = Path.Combine(scene.Folder, $"result-{Guid.NewGuid():N}.txt");
        var environment = new Dictionary<string, string>
        {
            ["ORTHRUS_CUDA_FOLDERS"] = scene.Folder, ["CUDA_HOME"] = "", ["CUDA_PATH"] = "", [Folder] = scene.Folder, [Init] = $"{scene.Init}", [DriverVersion] = $"{scene.DriverVersion}",
            [NoCompiler] = $"{scene.NoCompiler}", [Architectures] = scene.Architectures, [PtxVersion] = scene.PtxVersion, [Ordinal] = $"{scene.Ordinal}", [Result] = result,
            [Memory] = $"{scene.Memory}", [Fault] = scene.Fault,
            [Part] = scene.Part, [CublasStart] = $"{scene.CublasStart}", [Twins] = $"{scene.Twins}",
            ["ORTHRUS_CACHE"] = scene.Cache.Length > 0 ? scene.Cache : Path.Combine(scene.Folder, "cache"),
        };
        if (scene.Visible is not null) environment["CUDA_VISIBLE_DEVICES"] = scene.Visible;
        foreach (var (name, value) in more ?? new Dictionary<string, string>()) environment[name] = value;
        var run = Shell.Run(Path.Combine(AppContext.BaseDirectory, "Orthrus.Cuda.Tests"), ["-explicit", "only", "-class", tests.FullName!], scene.Folder, environment, seconds: 60);
        Assert.True(File.Exists(result), run.ToString());
        return File.ReadAllLines(result);
    }

    [Fact(Explicit = true)]
    public void Runs_in_a_child_process()
    {
        List<string> lines = [];
        try
        {
            using var sim = Connect();
            using (var device = CudaDevice.Open(int.Parse(Variable(Ordinal))))
            {
                lines.Add($"device {device.Name}");
                switch (Variable(Part))
                {
                    case "driver":
                        Silu(device);
                        Staging(device);
                        break;
                    case "products":
                        Products(device, lines);
                        break;
                    case "owner":
                        ManagedCudaExample.Run(lines);
                        break;
                }
            }
            if (CublasFunctions.Live != 0) throw new InvalidOperationException($"{CublasFunctions.Live} handles of cuBLAS are left");
            if (Variable(Part) == "driver") Rest();
            lines.AddRange(NvrtcFunctions.Compiled.Select(c => $"compiled {c}"));
            lines.AddRange(DriverFunctions.Called.Select(c => $"called {c}"));
            lines.Insert(0, "ok");
        }
        catch (Exception e)
        {
            lines.Insert(0, $"{e.GetType().Name}: {e.Message}");
        }
        Answer(lines);
    }

    /// <summary>In the child: a simulated driver and compiler behind the libraries, as the scene has them.</summary>
    internal static SimDriver Connect()
    {
        string folder = Variable(Folder);
        var options = new SimOptions
        {
            InitResult = int.Parse(Variable(Init)), DriverVersion = int.Parse(Variable(DriverVersion)), PtxCompiler = Variable(NoCompiler) != "True", MemoryBytes = long.Parse(Variable(Memory)),
        };
        var sim = new SimDriver(options, SimDeviceSpec.H100, Variable(Twins) == "True" ? SimDeviceSpec.H100 : SimDeviceSpec.A100);
        DriverFunctions.Driver = sim;
        NvrtcFunctions.PtxVersion = Variable(PtxVersion);
        NvrtcFunctions.Fault = Variable(Fault);
        NvrtcFunctions.Architectures = [.. Variable(Architectures).Split(',', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse)];
        Shims.Connect(folder, "libcuda.so.1", typeof(DriverFunctions));
        Shims.Connect(folder, "libnvrtc.so.12", typeof(NvrtcFunctions));
        Shims.Connect(folder, "libcublas.so.12", typeof(CublasFunctions));
        Shims.Connect(folder, "libnccl.so.2", typeof(NcclFunctions));
        CublasFunctions.CreateStatus = int.Parse(Variable(CublasStart));
        return sim;
    }

    /// <summary>In the child: gives the lines back.</summary>
    internal static void Answer(IEnumerable<string> lines) => File.WriteAllLines(Variable(Result), lines);

    private static string Variable(string name) => Environment.GetEnvironmentVariable(name) ?? throw new InvalidOperationException($"{name} is not set");

    private static void Silu(CudaDevice device) => Check(device, "silu");

    private static void Check(CudaDevice device, string op)
    {
        var row = OpTable.All.Single(r => r.Name == op);
        var results = GradCheck.Run(row, new GradCheckOptions { Devices = [device], DTypes = [DType.F32, DType.BF16] });
        // The simulator behind the C functions allocates on the same thread.
        string[] problems = [.. results.SelectMany(r => r.Problems).Where(p => !p.Contains("managed bytes per call", StringComparison.Ordinal))];
        if (problems.Length > 0) throw new InvalidOperationException(string.Join("; ", problems));
    }

    // Every sample of the operator by cuBLAS, against the specification; then one call beside the own kernels, and the two in an embedder.
    private static void Products(CudaDevice device, List<string> lines)
    {
        lines.Add($"auto {device.Description}");
        device.Gemm = GemmBackend.Cublas;
        lines.Add($"cublas {device.Description}");
        Check(device, "linear");
        lines.AddRange(CublasFunctions.Products.Distinct().Order(StringComparer.Ordinal).Select(p => $"product {p}"));
        CublasFunctions.Products.Clear();
        device.Gemm = GemmBackend.Own;
        lines.Add($"own {device.Description}");
        Check(device, "linear");
        lines.Add($"by cuBLAS {CublasFunctions.Products.Count}");
        device.Gemm = GemmBackend.Auto;
        var model = OrthrusModel.Create(new MambaConfig(32, 1, 6), 5);
        byte[] record = [.. Enumerable.Range(0, 50).Select(k => (byte)(1 << k % 4))];
        float[] Embed(GemmBackend gemm)
        {
            using var embedder = new Embedder(model, new EmbedderOptions { Device = device, Gemm = gemm });
            int before = CublasFunctions.Products.Count;
            float[] vector = embedder.Embed(record);
            lines.Add($"embedding {gemm} {CublasFunctions.Products.Count - before > 0} {embedder.Description}");
            return vector;
        }

        float[] own = Embed(GemmBackend.Own), auto = Embed(GemmBackend.Auto), cublas = Embed(GemmBackend.Cublas);
        if (!own.AsSpan().SequenceEqual(auto)) throw new InvalidOperationException("auto is not own in an embedder");
        double error = Math.Sqrt(own.Zip(cublas, (a, b) => (double)(a - b) * (a - b)).Sum() / own.Sum(a => (double)a * a));
        if (error > 2e-6) throw new InvalidOperationException($"the two differ by {error}");
    }

    private static void Staging(CudaDevice device)
    {
        using var scope = device.OpenScope();
        float[] values = [.. Enumerable.Range(0, 2_000_000).Select(k => (float)k)];
        var x = scope.From<float>(values, new Shape(2_000_000));
        if (!scope.Clone(x).ToArray<float>().AsSpan().SequenceEqual(values)) throw new InvalidOperationException("what came back is not what went there");
    }

    // Calls that the engine does not need on the way above: each once, with arguments whose order would show.
    private static void Rest()
    {
        ICudaDriver driver = LibCuda.Open();
        nint context, current, stream, first, second, module, function, graph, instance;
        int number;
        nuint bytes, total;
        ulong memory;
        void* host;
        float time;
        byte* uuid = stackalloc byte[16];
        Is(driver.DriverGetVersion(&number));
        Is(driver.DeviceGet(&number, 1), number, 1);
        Is(driver.DeviceGetUuid(uuid, 1), uuid[15], 2);
        Is(driver.DeviceTotalMem(&bytes, 1), (long)bytes, SimDeviceSpec.A100.MemoryBytes);
        Is(driver.DeviceGetAttribute(&number, CudaDeviceAttribute.MultiprocessorCount, 1), number, 108);
        Is(driver.DevicePrimaryCtxRetain(&context, 1));
        Is(driver.CtxSetCurrent(context));
        Is(driver.CtxGetCurrent(&current), current, context);
        Is(driver.CtxGetDevice(&number), number, 1);
        Is(driver.MemGetInfo(&bytes, &total), (long)total, SimDeviceSpec.A100.MemoryBytes);
        Is(driver.MemAlloc(&memory, 4096));
        Is(driver.MemHostAlloc(&host, 4096, 0));
        Is(driver.PointerGetAttribute(&number, CudaPointerAttribute.DeviceOrdinal, memory + 5), number, 1);
        Is(driver.PointerGetAttribute(&current, CudaPointerAttribute.Context, memory), current, context);
        Is(driver.PointerGetAttribute(&bytes, CudaPointerAttribute.RangeStart, memory + 5), (ulong)bytes, memory);
        Is(driver.PointerGetAttribute(&bytes, CudaPointerAttribute.RangeSize, memory + 5), (int)bytes, 4096);
        Is(driver.StreamCreate(&stream, 1));
        Is(driver.StreamGetCtx(stream, &current), current, context);
        Is(driver.EventCreate(&first, 0));
        Is(driver.EventCreate(&second, 0));
        Is(driver.StreamBeginCapture(stream, CudaCaptureMode.ThreadLocal));
        Is(driver.MemsetD8Async(memory, 0x5A, 4096, stream));
        Is(driver.MemcpyDtoDAsync(memory + 2048, memory, 1024, stream));
        Is(driver.MemcpyDtoHAsync(host, memory + 2048, 1024, stream));
        Is(driver.MemcpyHtoDAsync(memory, host, 512, stream));
        Is(driver.StreamEndCapture(stream, &graph));
        Is(driver.GraphInstantiate(&instance, graph, 0));
        Is(driver.EventRecord(first, stream));
        Is(driver.GraphLaunch(instance, stream));
        Is(driver.EventRecord(second, stream));
        Is(driver.StreamWaitEvent(0, second, 0));
        Is(driver.EventSynchronize(second));
        Is(driver.EventQuery(second));
        Is(driver.StreamQuery(stream));
        Is(driver.EventElapsedTime(&time, first, second), time > 0, true);
        Is(driver.CtxSynchronize(), ((byte*)host)[1023], 0x5A);
        fixed (byte* image = System.Text.Encoding.UTF8.GetBytes(Driver.Rig.Ptx + "\0")) Is(driver.ModuleLoadDataEx(&module, image, 0, null, null));
        fixed (byte* name = "stray\0"u8) Is(driver.ModuleGetFunction(&function, module, name));
        Is(driver.FuncSetAttribute(function, CudaFunctionAttribute.MaxDynamicSharedBytes, 65536));
        Is(driver.FuncGetAttribute(&number, CudaFunctionAttribute.MaxDynamicSharedBytes, function), number, 65536);
        Is(driver.OccupancyMaxActiveBlocks(&number, function, 256, 65536), number, 2);
        // A launch whose every argument is seen: it writes 7 where its parameter points.
        void* parameter = &memory;
        Is(driver.LaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, stream, &parameter, null));
        Is(driver.MemcpyDtoHAsync(host, memory, 4, stream));
        Is(driver.StreamSynchronize(stream), *(int*)host, 7);
        Is(driver.GraphExecDestroy(instance));
        Is(driver.GraphDestroy(graph));
        Is(driver.ModuleUnload(module));
        Is(driver.EventDestroy(first));
        Is(driver.EventDestroy(second));
        Is(driver.StreamDestroy(stream));
        Is(driver.MemFreeHost(host));
        Is(driver.MemFree(memory));
        Is(driver.DevicePrimaryCtxRelease(1));
    }

    private static void Is(CudaResult result) => Is(result, 0, 0);

    private static void Is<T>(CudaResult result, T got, T expected, [System.Runtime.CompilerServices.CallerLineNumber] int line = 0)
    {
        if (result != CudaResult.Success || !EqualityComparer<T>.Default.Equals(got, expected)) throw new InvalidOperationException($"line {line}: {result}, {got} instead of {expected}");
    }
}
