using System.Buffers.Binary;
using System.Numerics;
using System.Text;
using Orthrus.Tensor;

namespace Orthrus.Mamba.Torch;

/// <summary>
/// Reads a pickle as data. It knows containers, numbers, text, and the few callables that rebuild tensors; any other callable is remembered by name and
/// not called, and one that could run code refuses the file. Memory is bounded by a constant times the length of the pickle. Source: the opcode table of
/// Python's pickletools, protocols 0 to 5; torch.save's use of it.
/// </summary>
internal sealed class Unpickler
{
    private const int LongestNumber = 1024;
    private static readonly object Mark = new();
    private readonly string _file;
    private readonly byte[] _bytes;
    private readonly List<object?> _stack = [];
    private readonly Dictionary<long, object?> _memo = [];
    private int _at;

    private Unpickler(string file, byte[] bytes, int at) => (_file, _bytes, _at) = (file, bytes, at);

    /// <summary>Reads one pickle.</summary>
    /// <param name="file">For messages.</param>
    /// <param name="bytes">Holds the pickle.</param>
    /// <param name="at">Where it begins; receives where it ends.</param>
    /// <exception cref="CheckpointException">Broken, or names what must not be named.</exception>
    internal static object? Read(string file, byte[] bytes, ref int at)
    {
        var reader = new Unpickler(file, bytes, at);
        object? value = reader.Run();
        at = reader._at;
        return value;
    }

    private object? Run()
    {
        while (true)
        {
            byte op = Byte();
            switch (op)
            {
                case (byte)'.': return Pop();
                case 0x80:
                    if (Byte() is var protocol and > 5) throw Broken($"pickle protocol {protocol} is not known");
                    break;
                case 0x95: Skip(8); break; // FRAME
                case (byte)'(': _stack.Add(Mark); break;
                case (byte)'0': Pop(); break;
                case (byte)'1': PopMark(); break;
                case (byte)'2': _stack.Add(Peek()); break;
                case (byte)'N': _stack.Add(null); break;
                case 0x88: _stack.Add(true); break;
                case 0x89: _stack.Add(false); break;
                case (byte)'K': _stack.Add((long)Byte()); break;
                case (byte)'M': _stack.Add((long)BinaryPrimitives.ReadUInt16LittleEndian(Take(2))); break;
                case (byte)'J': _stack.Add((long)BinaryPrimitives.ReadInt32LittleEndian(Take(4))); break;
                case (byte)'I': _stack.Add(IntegerLine(Line())); break;
                case (byte)'L': _stack.Add(IntegerLine(Line().TrimEnd('L'))); break;
                case 0x8a: _stack.Add(Integer(Byte())); break;
                case 0x8b: _stack.Add(Integer(BinaryPrimitives.ReadInt32LittleEndian(Take(4)))); break;
                case (byte)'G': _stack.Add(BinaryPrimitives.ReadDoubleBigEndian(Take(8))); break;
                case (byte)'F': _stack.Add(double.TryParse(Line(), out double d) ? d : throw Broken("a number is not one")); break;
                case (byte)'S' or (byte)'V': _stack.Add(Line().Trim('\'', '"')); break;
                case (byte)'X': _stack.Add(Text(Length(4))); break;
                case 0x8c: _stack.Add(Text(Length(1))); break;
                case 0x8d: _stack.Add(Text(Length(8))); break;
                case (byte)'T': _stack.Add(Text(Length(4))); break;
                case (byte)'U': _stack.Add(Text(Length(1))); break;
                case (byte)'B': _stack.Add(Take(Length(4)).ToArray()); break;
                case (byte)'C': _stack.Add(Take(Length(1)).ToArray()); break;
                case 0x8e or 0x96: _stack.Add(Take(Length(8)).ToArray()); break;
                case 0x97 or 0x98: throw Broken("buffers outside the pickle are not supported");
                case (byte)']': _stack.Add(new List<object?>()); break;
                case (byte)'}': _stack.Add(new PickleDict()); break;
                case (byte)')': _stack.Add(new PickleTuple([])); break;
                case 0x8f: _stack.Add(new PickleOpaque("set")); break;
                case 0x90: PopMark(); Peek(); break;
                case 0x91: PopMark(); _stack.Add(new PickleOpaque("frozenset")); break;
                case (byte)'l': _stack.Add(PopMark().ToList()); break;
                case (byte)'t': _stack.Add(new PickleTuple(PopMark())); break;
                case (byte)'d': _stack.Add(Fill(new PickleDict(), PopMark())); break;
                case 0x85: Tuple(1); break;
                case 0x86: Tuple(2); break;
                case 0x87: Tuple(3); break;
                case (byte)'a': Append([Pop()]); break;
                case (byte)'e': Append(PopMark()); break;
                case (byte)'s': SetOne(); break;
                case (byte)'u': SetMany(PopMark()); break;
                case (byte)'p': _memo[MemoKey(Line())] = Peek(); break;
                case (byte)'q': _memo[Byte()] = Peek(); break;
                case (byte)'r': _memo[BinaryPrimitives.ReadUInt32LittleEndian(Take(4))] = Peek(); break;
                case 0x94: _memo[_memo.Count] = Peek(); break;
                case (byte)'g': _stack.Add(Recall(MemoKey(Line()))); break;
                case (byte)'h': _stack.Add(Recall(Byte())); break;
                case (byte)'j': _stack.Add(Recall(BinaryPrimitives.ReadUInt32LittleEndian(Take(4)))); break;
                case (byte)'c': _stack.Add(Named(Line(), Line())); break;
                case 0x93:
                {
                    object? name = Pop(), module = Pop();
                    _stack.Add(module is string m && name is string n ? Named(m, n) : throw Broken("a global without a name"));
                    break;
                }
                case (byte)'i':
                {
                    var global = Named(Line(), Line());
                    PopMark();
                    _stack.Add(new PickleOpaque(global.ToString()));
                    break;
                }
                case (byte)'o':
                {
                    object?[] items = PopMark();
                    _stack.Add(items.Length > 0 && items[0] is PickleGlobal g ? new PickleOpaque(g.ToString()) : throw Broken("an object without a class"));
                    break;
                }
                case (byte)'R':
                {
                    object? arguments = Pop(), callable = Pop();
                    _stack.Add(Reduce(callable, arguments));
                    break;
                }
                case 0x81:
                {
                    object? arguments = Pop(), type = Pop();
                    _stack.Add(Reduce(type, arguments));
                    break;
                }
                case 0x92:
                {
                    Pop();
                    object? arguments = Pop(), type = Pop();
                    _stack.Add(Reduce(type, arguments));
                    break;
                }
                case (byte)'b': Pop(); Peek(); break; // attributes are dropped
                case (byte)'Q': _stack.Add(Persistent(Pop())); break;
                case (byte)'P': throw Broken("a persistent id in text form; torch never writes one");
                case 0x82 or 0x83 or 0x84: throw Broken("names by extension code are refused");
                default: throw Broken($"opcode 0x{op:x2} at byte {_at - 1} is not known");
            }
        }
    }

    private object Reduce(object? callable, object? arguments)
    {
        if (callable is PickleOpaque o) return new PickleOpaque(o.What);
        if (callable is not PickleGlobal global) throw Broken("something is called that has no name");
        if (arguments is not PickleTuple { Items: var a }) throw Broken($"{global} is called without a list of arguments");
        switch (global.ToString())
        {
            case "collections.OrderedDict":
                var dict = new PickleDict();
                if (a is [List<object?> pairs])
                    foreach (object? pair in pairs)
                        if (pair is PickleTuple { Items: [var k, var v] }) dict.Set(k, v);
                        else if (pair is List<object?> { Count: 2 } two) dict.Set(two[0], two[1]);
                return dict;
            case "torch.Size": return a is [PickleTuple size] ? size : new PickleTuple(a);
            case "torch._utils._rebuild_tensor" or "torch._utils._rebuild_tensor_v2": return Tensor(a);
            case "torch._utils._rebuild_parameter" or "torch._utils._rebuild_parameter_with_state" or "torch.nn.parameter.Parameter":
                return a.Length > 0 && a[0] is TorchTensor t ? t : new PickleOpaque(global.ToString());
            default: return new PickleOpaque(global.ToString());
        }
    }

    private object Tensor(object?[] a)
    {
        if (a.Length < 4 || a[1] is not long offset || a[2] is not PickleTuple size || a[3] is not PickleTuple stride) throw Broken("a tensor lacks storage, offset, size or stride");
        if (a[0] is PickleOpaque o) return o;
        if (a[0] is not TorchStorage storage) throw Broken("a tensor without a storage");
        long[] shape = Numbers(size), strides = Numbers(stride);
        if (shape.Length != strides.Length) throw Broken($"a tensor with {shape.Length} extents and {strides.Length} strides");
        if (offset < 0) throw Broken($"a tensor with a negative offset into storage {storage.Key}");
        if (shape.Any(n => n < 0) || strides.Any(n => n < 0)) throw Broken("a tensor with a negative extent or stride");
        // The furthest element; 128 bits cannot overflow for the few extents a tensor has.
        BigInteger last = offset, count = 1;
        for (int i = 0; i < shape.Length; i++)
        {
            last += (BigInteger)Math.Max(0, shape[i] - 1) * strides[i];
            count *= shape[i];
        }
        if (count > 1L << 48) throw Broken($"a tensor of {count} elements");
        if (count > 0 && last >= storage.Count) throw Broken($"a tensor leaves its storage {storage.Key} of {storage.Count} elements");
        return new TorchTensor(storage, offset, shape, strides);
    }

    private object Persistent(object? id)
    {
        if (id is not PickleTuple { Items: var a } || a.Length < 5 || a[0] is not "storage") throw Broken("a persistent id that is no storage");
        string? key = a[2] as string ?? (a[2] is long n ? n.ToString() : null);
        if (key is null || a[4] is not long count || count < 0) throw Broken("a storage without key or element count");
        if (a.Length > 5 && a[5] is not null) throw Broken("views of storages by view key are not supported", "save the checkpoint again with a current PyTorch");
        DType? dtype = a[1] is PickleGlobal { Module: "torch" or "torch.storage" } type
            ? type.Name switch
            {
                "FloatStorage" => DType.F32, "DoubleStorage" => DType.F64, "HalfStorage" => DType.F16, "BFloat16Storage" => DType.BF16,
                "LongStorage" => DType.I64, "IntStorage" => DType.I32, "ByteStorage" => DType.U8, "BoolStorage" => DType.Bool,
                _ => null,
            }
            : throw Broken($"storage {key} has a type that is none");
        return new TorchStorage(key, dtype, count);
    }

    private PickleGlobal Named(string module, string name)
    {
        if (ForbiddenGlobals.Contains(module, name))
            throw new CheckpointException(_file, null, $"the pickle names {module}.{name}, which can run code; nothing was executed", "do not use this file: a checkpoint has no need of it");
        return new PickleGlobal(module, name);
    }

    private void Tuple(int n)
    {
        if (_stack.Count < n) throw Broken("the stack is too short");
        object?[] items = [.. _stack[^n..]];
        if (items.Contains(Mark)) throw Broken("a mark stands where a value should");
        _stack.RemoveRange(_stack.Count - n, n);
        _stack.Add(new PickleTuple(items));
    }

    private void Append(object?[] items)
    {
        switch (Peek())
        {
            case List<object?> list: list.AddRange(items); break;
            case PickleOpaque: break;
            default: throw Broken("something is appended to what is no list");
        }
    }

    private void SetOne()
    {
        object? value = Pop(), key = Pop();
        SetMany([key, value]);
    }

    private void SetMany(object?[] pairs)
    {
        switch (Peek())
        {
            case PickleDict dict: Fill(dict, pairs); break;
            case PickleOpaque: break;
            default: throw Broken("an entry is set in what is no dictionary");
        }
    }

    private PickleDict Fill(PickleDict dict, object?[] pairs)
    {
        if (pairs.Length % 2 != 0) throw Broken("a key without a value");
        for (int i = 0; i < pairs.Length; i += 2) dict.Set(pairs[i], pairs[i + 1]);
        return dict;
    }

    private object?[] PopMark()
    {
        int mark = _stack.LastIndexOf(Mark);
        if (mark < 0) throw Broken("the mark is missing");
        object?[] items = [.. _stack[(mark + 1)..]];
        _stack.RemoveRange(mark, _stack.Count - mark);
        return items;
    }

    private object? Pop()
    {
        object? value = Peek();
        _stack.RemoveAt(_stack.Count - 1);
        return value;
    }

    private object? Peek() => _stack.Count == 0 ? throw Broken("the stack is empty") : ReferenceEquals(_stack[^1], Mark) ? throw Broken("a mark stands where a value should") : _stack[^1];

    private object? Recall(long key) => _memo.TryGetValue(key, out object? value) ? value : throw Broken($"memo {key} was never set");

    private long[] Numbers(PickleTuple tuple) => [.. tuple.Items.Select(v => v is long n ? n : throw Broken("an extent that is no integer"))];

    private byte Byte() => Take(1)[0];

    private ReadOnlySpan<byte> Take(int n)
    {
        if (n > _bytes.Length - _at) throw Broken("the pickle ends in the middle");
        _at += n;
        return _bytes.AsSpan(_at - n, n);
    }

    private void Skip(int n) => Take(n);

    private int Length(int width)
    {
        var b = Take(width);
        ulong n = width switch { 1 => b[0], 4 => BinaryPrimitives.ReadUInt32LittleEndian(b), _ => BinaryPrimitives.ReadUInt64LittleEndian(b) };
        return n <= (ulong)(_bytes.Length - _at) ? (int)n : throw Broken($"a text of {n} bytes goes past the end");
    }

    private string Text(int length) => Encoding.UTF8.GetString(Take(length));

    private string Line()
    {
        int end = Array.IndexOf(_bytes, (byte)'\n', _at);
        if (end < 0) throw Broken("a line does not end");
        string line = Encoding.UTF8.GetString(_bytes, _at, end - _at);
        _at = end + 1;
        return line.TrimEnd('\r');
    }

    private object Integer(int bytes)
    {
        if (bytes is < 0 or > LongestNumber) throw Broken($"an integer of {bytes} bytes");
        var value = new BigInteger(Take(bytes));
        return value >= long.MinValue && value <= long.MaxValue ? (long)value : value;
    }

    private object IntegerLine(string text) => text switch
    {
        "00" => false,
        "01" => true,
        _ => long.TryParse(text, out long n) ? n : text.Length <= LongestNumber && BigInteger.TryParse(text, out var big) ? big : throw Broken("a number is not one"),
    };

    private long MemoKey(string text) => long.TryParse(text, out long n) && n >= 0 ? n : throw Broken("a memo key is no number");

    private CheckpointException Broken(string problem, string? remedy = "download it again") => new(_file, null, "the pickle is broken: " + problem, remedy);
}
