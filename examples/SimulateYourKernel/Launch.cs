using Orthrus.PtxSim;

namespace SimulateYourKernel;

/// <summary>A launch as the command line describes it.</summary>
internal sealed class Launch
{
    internal const string Usage = """
        Runs a kernel on a simulated CUDA device under checks and prints what it would cost. No GPU, driver or toolkit is needed; a .cu file needs NVRTC.

          SimulateYourKernel FILE.cu|FILE.ptx --grid X[,Y[,Z]] --block X[,Y[,Z]] [options] ARGUMENT...

        Arguments of the kernel, in order:
          TYPE:VALUE          a number: i32:1000, u8:7, f32:0.5, bf16:1e-3
          TYPE[COUNT]:FILL    a buffer in device memory; FILL is a number, iota (0, 1, 2, ...), random (seeded; -1 to 1, integers any) or none (never written)
          bytes:HEX           raw bytes, for a struct by value: bytes:0100000000004040
        TYPE is one of i8, u8, i16, u16, i32, u32, i64, u64, f16, bf16, f32, f64.

        Options:
          --kernel NAME       which kernel; not needed where the file has one
          --shared BYTES      dynamic shared memory of a block
          --device NAME       A100, L4, RTX 4090 or H100 SXM (the default): limits of the launch
          --arch N            compute capability that a .cu is compiled for, times ten (default 80)
          --registers N       registers of a thread, as ptxas reports them, for the occupancy
          --seed N            order of blocks and warps (default 1)
          --show N            first numbers of each buffer afterwards

        Exit code 0: the kernel ran. 1: a check failed. 2: usage. 3: the file cannot be read, compiled or executed. 4: NVRTC is missing.
        """;

    internal string File { get; private set; } = "";
    internal string? Kernel { get; private set; }
    internal Dim3 Grid { get; private set; }
    internal Dim3 Block { get; private set; }
    internal int Shared { get; private set; }
    internal int Architecture { get; private set; } = 80;
    internal int Registers { get; private set; }
    internal int Seed { get; private set; } = 1;
    internal int Show { get; private set; }
    internal SimDeviceSpec Device { get; private set; } = SimDeviceSpec.H100;
    internal List<LaunchArgument> Arguments { get; } = [];

    /// <exception cref="FormatException">A word that is not understood.</exception>
    internal static Launch Parse(string[] words)
    {
        var launch = new Launch();
        for (int i = 0; i < words.Length; i++)
        {
            string word = words[i];
            string Value() => i + 1 < words.Length ? words[++i] : throw new FormatException($"{word} wants a value");
            int Number() => int.TryParse(Value(), out int n) && n >= 0 ? n : throw new FormatException($"{word} wants a whole number, not '{words[i]}'");
            switch (word)
            {
                case "--kernel": launch.Kernel = Value(); break;
                case "--grid": launch.Grid = Size(Value()); break;
                case "--block": launch.Block = Size(Value()); break;
                case "--shared": launch.Shared = Number(); break;
                case "--arch": launch.Architecture = Number(); break;
                case "--registers": launch.Registers = Number(); break;
                case "--seed": launch.Seed = Number(); break;
                case "--show": launch.Show = Number(); break;
                case "--device":
                    launch.Device = SimDeviceSpec.Named(Value()) ?? throw new FormatException($"no device '{words[i]}'; there are {string.Join(", ", SimDeviceSpec.All.Select(d => d.Name))}");
                    break;
                case ['-', ..]: throw new FormatException($"unknown option {word}");
                default:
                    if (launch.File.Length == 0) launch.File = word;
                    else launch.Arguments.Add(LaunchArgument.Parse(word));
                    break;
            }
        }
        if (launch.File.Length == 0) throw new FormatException("which file?");
        if (launch.Grid.Count == 0 || launch.Block.Count == 0) throw new FormatException("--grid and --block are needed");
        return launch;
    }

    private static Dim3 Size(string text)
    {
        var parts = text.Split(',').Select(p => int.TryParse(p, out int n) && n > 0 ? n : throw new FormatException($"'{text}' is no size; want X, X,Y or X,Y,Z")).ToArray();
        return parts.Length <= 3 ? new Dim3(parts[0], parts.ElementAtOrDefault(1) is > 0 and var y ? y : 1, parts.ElementAtOrDefault(2) is > 0 and var z ? z : 1) : throw new FormatException($"'{text}' has more than three sizes");
    }
}
