using System.Globalization;
using Orthrus.PtxSim;

namespace SimulateYourKernel;

/// <summary>A launch as the command line describes it.</summary>
internal sealed class Launch
{
    internal const string Usage = """
        Runs a kernel on a simulated CUDA device under checks and prints what it would cost. No GPU, driver or toolkit is needed; a .cu file needs NVRTC.

          SimulateYourKernel FILE.cu|FILE.ptx --grid X[,Y[,Z]] --block X[,Y[,Z]] [options] ARGUMENT...

        Arguments of the kernel, in order:
          TYPE:VALUE          a number: i32:1000, u32:7, i64:5, f32:0.5, f64:1e-3
          TYPE[COUNT]:FILL    a buffer in device memory; FILL is a number, iota (0, 1, 2, ...), random (seeded, -1 to 1) or none (never written)

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

/// <summary>A number or a buffer.</summary>
internal sealed record LaunchArgument(string Text, string Type, long Count, string Fill)
{
    internal bool IsBuffer => Count >= 0;

    /// <exception cref="FormatException">Neither TYPE:VALUE nor TYPE[COUNT]:FILL.</exception>
    internal static LaunchArgument Parse(string text)
    {
        string[] halves = text.Split(':', 2);
        string type = halves[0];
        long count = -1;
        if (type.EndsWith(']') && type.IndexOf('[') is > 0 and var bracket)
        {
            if (!long.TryParse(type.AsSpan(bracket + 1, type.Length - bracket - 2), out count) || count < 1) throw new FormatException($"'{text}' has no count in its brackets");
            type = type[..bracket];
        }
        if (halves.Length != 2 || type is not ("i32" or "u32" or "i64" or "f32" or "f64")) throw new FormatException($"'{text}' is no argument; want TYPE:VALUE or TYPE[COUNT]:FILL with i32, u32, i64, f32 or f64");
        var argument = new LaunchArgument(text, type, count, halves[1]);
        if (count < 0 || argument.Fill is not ("none" or "iota" or "random")) argument.Bytes(argument.Number());
        return argument;
    }

    /// <summary>The argument for the launch; a buffer is made and filled first.</summary>
    internal KernelArgument Place(SimDevice device, int index, out ulong address)
    {
        address = 0;
        if (!IsBuffer)
            return Type switch
            {
                "i32" => KernelArgument.Of((int)Number()),
                "u32" => KernelArgument.Of((uint)Number()),
                "i64" => KernelArgument.Of((long)Number()),
                "f32" => KernelArgument.Of((float)Number()),
                _ => KernelArgument.Of(Number()),
            };
        int size = Bytes(0).Length;
        address = device.Alloc(checked(Count * size), $"argument {index + 1}");
        if (Fill == "none") return address;
        var random = new Random(index + 1);
        var data = new byte[checked((int)(Count * size))];
        for (int i = 0; i < Count; i++) Bytes(Fill switch { "iota" => i, "random" => Type[0] == 'f' ? 2 * random.NextDouble() - 1 : random.Next(), _ => Number() }).CopyTo(data, i * size);
        device.CopyToDevice(address, data);
        return address;
    }

    /// <summary>The first elements of a buffer as text.</summary>
    internal string First(SimDevice device, ulong address, int count)
    {
        int n = (int)Math.Min(count, Count);
        IEnumerable<string> texts = Type switch
        {
            "i32" => device.Read<int>(address, n).Select(Text),
            "u32" => device.Read<uint>(address, n).Select(Text),
            "i64" => device.Read<long>(address, n).Select(Text),
            "f32" => device.Read<float>(address, n).Select(Text),
            _ => device.Read<double>(address, n).Select(Text),
        };
        return string.Join(' ', texts) + (n < Count ? " ..." : "");

        static string Text<T>(T value) where T : IFormattable => value.ToString(null, CultureInfo.InvariantCulture);
    }

    private double Number() => double.TryParse(Fill, CultureInfo.InvariantCulture, out double value) ? value : throw new FormatException($"'{Fill}' in '{this.Text}' is neither a number nor none, iota or random");

    private byte[] Bytes(double value) => Type switch
    {
        "i32" => BitConverter.GetBytes((int)value),
        "u32" => BitConverter.GetBytes((uint)value),
        "i64" => BitConverter.GetBytes((long)value),
        "f32" => BitConverter.GetBytes((float)value),
        _ => BitConverter.GetBytes(value),
    };
}
