using Orthrus.PtxSim.Decoding;
using Orthrus.PtxSim.Parsing;

namespace Orthrus.PtxSim;

/// <summary>A module loaded on a device: its variables have addresses, its kernels can be launched.</summary>
public sealed class SimModule
{
    private readonly Dictionary<string, ulong> addresses;
    private readonly Dictionary<string, SimKernel> kernels = [];

    internal SimModule(SimDevice device, PtxModule source, Dictionary<string, ulong> addresses)
    {
        Device = device;
        Source = source;
        this.addresses = addresses;
    }

    /// <summary>The text it was loaded from.</summary>
    public PtxModule Source { get; }

    /// <summary>The device it is loaded on.</summary>
    public SimDevice Device { get; }

    internal IReadOnlyDictionary<string, ulong> Addresses => addresses;

    internal IEnumerable<SimKernel> Loaded => kernels.Values;

    /// <summary>The kernel of a name, decoded at first use.</summary>
    /// <param name="name">Name in the PTX text.</param>
    /// <exception cref="PtxException">There is no such kernel, or it has an instruction that the simulator does not execute.</exception>
    public SimKernel this[string name]
    {
        get
        {
            if (!kernels.TryGetValue(name, out SimKernel? kernel))
            {
                PtxFunction? function = Source.FunctionNamed(name);
                if (function is not { IsEntry: true, HasBody: true })
                    throw new PtxException($"there is no kernel '{name}'; there are {string.Join(", ", Source.Kernels)}", 1);
                kernel = new SimKernel(this, new ProgramDecoder(Source, addresses).Decode(function));
                kernels.Add(name, kernel);
            }

            return kernel;
        }
    }

    /// <summary>Device address and size of a .global or .const variable.</summary>
    /// <param name="name">Name in the PTX text.</param>
    /// <param name="bytes">Size in bytes.</param>
    /// <exception cref="SimFault">There is no such variable.</exception>
    public ulong Variable(string name, out long bytes)
    {
        if (!addresses.TryGetValue(name, out ulong address))
            throw new SimFault(FaultKind.HostCall, $"the module has no variable '{name}'");
        bytes = Source.Variable(name)!.Bytes;
        return address;
    }
}

/// <summary>A kernel on a device.</summary>
public sealed class SimKernel
{
    internal SimKernel(SimModule module, KernelProgram program)
    {
        Module = module;
        Program = program;
        MaxDynamicShared = Math.Max(0, module.Device.Spec.SharedWithoutOptIn - program.StaticShared);
        int offset = 0;
        var list = new List<KernelParameter>();
        foreach (PtxVariable p in program.Function.Parameters)
        {
            offset = (offset + p.Alignment - 1) & -p.Alignment;
            list.Add(new KernelParameter(p.Name, offset, (int)p.Bytes));
            offset += (int)p.Bytes;
        }

        Parameters = list;
    }

    /// <summary>The module it belongs to.</summary>
    public SimModule Module { get; }

    /// <summary>Name in the PTX text.</summary>
    public string Name => Program.Name;

    /// <summary>Parameters in order, with their place in the parameter buffer.</summary>
    public IReadOnlyList<KernelParameter> Parameters { get; }

    /// <summary>Bytes of the parameter buffer.</summary>
    public int ParameterBytes => Program.ParameterBytes;

    /// <summary>Shared memory that the kernel declares, in bytes.</summary>
    public int StaticShared => Program.StaticShared;

    /// <summary>Local memory of a thread, in bytes: arrays, stack and call arguments, before a compiler keeps what it can in registers.</summary>
    public int LocalBytes => Program.LocalBytes;

    /// <summary>Most dynamic shared memory of a launch; raise it, as with the driver's function attribute, to use more than 48 KB.</summary>
    public int MaxDynamicShared { get; set; }

    /// <summary>Registers of a thread as the machine code's compiler reported them; 0 for unknown. Checked at launches and used for occupancy.</summary>
    public int RegistersPerThread { get; set; }

    internal KernelProgram Program { get; }
}

/// <summary>A kernel parameter.</summary>
/// <param name="Name">Name in the PTX text.</param>
/// <param name="Offset">First byte in the parameter buffer.</param>
/// <param name="Bytes">Size in bytes.</param>
public readonly record struct KernelParameter(string Name, int Offset, int Bytes);
