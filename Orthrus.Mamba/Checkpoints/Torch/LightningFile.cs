using System.Buffers.Binary;
using System.Text;
using Orthrus.Mamba.Outputs;
using Orthrus.Tensor;

namespace Orthrus.Mamba.Torch;

/// <summary>
/// Writes a model as a Lightning checkpoint, the zip form of torch.save: upstream's loader and torch.load read it. The pickle is of protocol 2 and names nothing but
/// tensors, their storages and an ordered dictionary, so that torch.load takes it with weights_only. Source: torch/serialization.py; Python's pickletools.
/// </summary>
internal static class LightningFile
{
    private const string Root = "archive/", Encoder = "model.", Version = "1.9.5";

    /// <summary>Writes the file aside and gives it its name.</summary>
    /// <param name="path">The file to make or replace.</param>
    /// <param name="model">Encoder and heads.</param>
    internal static void Write(string path, OrthrusModel model)
    {
        // Upstream's classes refuse tensors that they do not know.
        StateTensor[] tensors = [.. model.Encoder.Select(t => t.Named(Encoder + t.Name)), .. model.Heads.Where(t => !ModelAssembly.IsOwn(t.Name))];
        using var files = new FilesAside();
        var zip = new ZipMembers(files.Create(path, read: true));
        Member(zip, "data.pkl", Pickle(tensors, Number(model, "epoch"), Number(model, "global_step")));
        for (int i = 0; i < tensors.Length; i++) Member(zip, $"data/{i}", tensors[i].ToBytes());
        Member(zip, "version", "3\n"u8);
        zip.Finish();
        files.Commit();
    }

    private static long Number(OrthrusModel model, string entry) => model.Provenance.TryGetValue(entry, out string? text) && long.TryParse(text, out long n) ? n : 0;

    private static void Member(ZipMembers zip, string name, ReadOnlySpan<byte> data)
    {
        zip.Begin(Root + name);
        zip.Append(data);
        zip.End();
    }

    private static byte[] Pickle(StateTensor[] tensors, long epoch, long step)
    {
        var p = new Pickler();
        p.Op([0x80, 2, (byte)'}', (byte)'(']); // protocol 2; a dictionary, whose items follow behind a mark
        p.Text("epoch");
        p.Integer(epoch);
        p.Text("global_step");
        p.Integer(step);
        p.Text("pytorch-lightning_version");
        p.Text(Version);
        p.Text("state_dict");
        p.Global("collections", "OrderedDict");
        p.Op(")R("u8); // called without arguments; its items
        for (int i = 0; i < tensors.Length; i++)
        {
            p.Text(tensors[i].Name);
            p.Tensor(tensors[i], i);
        }
        p.Op("uu."u8); // both dictionaries take their items; the end
        return p.Bytes;
    }

    /// <summary>The few operations that this takes.</summary>
    private sealed class Pickler
    {
        private readonly List<byte> _bytes = [];

        internal byte[] Bytes => [.. _bytes];

        internal void Op(ReadOnlySpan<byte> code) => _bytes.AddRange(code);

        internal void Text(string text)
        {
            byte[] utf8 = Encoding.UTF8.GetBytes(text);
            Span<byte> length = stackalloc byte[4];
            BinaryPrimitives.WriteInt32LittleEndian(length, utf8.Length);
            Op("X"u8);
            Op(length);
            Op(utf8);
        }

        internal void Integer(long value)
        {
            Span<byte> bytes = stackalloc byte[8];
            BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
            if (value is >= int.MinValue and <= int.MaxValue)
            {
                Op("J"u8);
                Op(bytes[..4]);
            }
            else
            {
                Op([0x8a, 8]);
                Op(bytes);
            }
        }

        internal void Global(string module, string name) => Op(Encoding.ASCII.GetBytes($"c{module}\n{name}\n"));

        /// <summary>_rebuild_tensor_v2(storage, offset 0, sizes, strides, requires_grad False, no hooks).</summary>
        internal void Tensor(StateTensor tensor, int number)
        {
            Global("torch._utils", "_rebuild_tensor_v2");
            Op("(("u8);
            Text("storage");
            Global("torch", Storage(tensor.DType));
            Text(number.ToString(System.Globalization.CultureInfo.InvariantCulture));
            Text("cpu");
            Integer(tensor.ElementCount);
            Op("tQ"u8); // a persistent id: the storage of the archive's file
            Integer(0);
            Tuple(tensor.Shape);
            var strides = new long[tensor.Shape.Count];
            long stride = 1;
            for (int i = strides.Length - 1; i >= 0; i--)
            {
                strides[i] = stride;
                stride *= tensor.Shape[i];
            }
            Tuple(strides);
            Op([0x89]); // False
            Global("collections", "OrderedDict");
            Op(")RtR"u8);
        }

        private void Tuple(IReadOnlyList<long> values)
        {
            Op("("u8);
            foreach (long v in values) Integer(v);
            Op("t"u8);
        }

        private static string Storage(DType dtype) => dtype switch
        {
            DType.F32 => "FloatStorage", DType.F64 => "DoubleStorage", DType.F16 => "HalfStorage", DType.BF16 => "BFloat16Storage", DType.I64 => "LongStorage", DType.I32 => "IntStorage", DType.U8 => "ByteStorage",
            DType.Bool => "BoolStorage", _ => throw new CheckpointException(null, null, $"a torch file cannot hold {dtype}"),
        };
    }
}
