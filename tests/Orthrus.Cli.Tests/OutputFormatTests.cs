using System.Text.Json;
using Orthrus.Mamba;
using Orthrus.TestSupport;

namespace Orthrus.Cli.Tests;

/// <summary>Every output format read back by a reader that is not this project's: NumPy, Python's csv and json, and safetensors by its published rules.</summary>
public class OutputFormatTests
{
    // The rules of the reference reader: header of at most 100 MB that begins with a brace, unique names, text metadata, tensors that fill the file
    // without holes in the order of their offsets.
    private const string SafetensorsReader = """
        import json, struct, numpy as np
        def unique(pairs):
            assert len({k for k, _ in pairs}) == len(pairs), 'a name occurs twice'
            return dict(pairs)
        def safetensors(path):
            b = np.memmap(path, dtype=np.uint8, mode='r')
            n, = struct.unpack('<Q', bytes(b[:8]))
            assert 0 < n <= 100_000_000 and 8 + n <= b.size
            text = bytes(b[8:8 + n]).decode('utf-8')
            assert text.startswith('{')
            entries = json.loads(text, object_pairs_hook=unique)
            assert all(isinstance(k, str) and isinstance(v, str) for k, v in entries.pop('__metadata__', {}).items())
            types = {'F32': '<f4', 'F64': '<f8', 'I64': '<i8', 'U8': 'u1'}
            at, tensors = 0, {}
            for name, e in sorted(entries.items(), key=lambda p: p[1]['data_offsets']):
                begin, end = e['data_offsets']
                assert set(e) == {'dtype', 'shape', 'data_offsets'} and begin == at <= end
                dtype = np.dtype(types[e['dtype']])
                assert end - begin == int(np.prod(e['shape'], dtype=object)) * dtype.itemsize
                tensors[name] = b[8 + n + begin:8 + n + end].view(dtype).reshape(e['shape'])
                at = end
            assert 8 + n + at == b.size
            return tensors

        """;

    private static readonly string Examples = Path.Combine(TestPaths.Repository, "examples", "data");
    private static readonly string[] Short = [Path.Combine(Examples, "transcripts.fa.gz"), "--tracks", Path.Combine(Examples, "transcripts.tsv"), "--max-length", "600", "--quiet"];

    [Theory]
    [InlineData("f32")]
    [InlineData("f64")]
    public void All_formats_hold_the_same_numbers(string dtype)
    {
        using var files = new HostileFiles();
        foreach (string format in new[] { "npy", "npz", "csv", "tsv", "jsonl", "safetensors" })
        {
            CliRun.Of(["embed", .. Short, "--dtype", dtype, "-o", files.Out("x_" + format + "." + format)]).Succeeded();
            // The description is about the output beside it.
            using var json = JsonDocument.Parse(File.ReadAllText(files.Out($"x_{format}.json")));
            Assert.Equal(format, json.RootElement.GetProperty("format").GetString());
            Assert.Equal(new FileInfo(files.Out("x_" + format + "." + format)).Length, json.RootElement.GetProperty("output_bytes").GetInt64());
        }
        string script = SafetensorsReader + """
            import csv, sys
            folder, dtype = sys.argv[1], np.dtype({'f32': '<f4', 'f64': '<f8'}[sys.argv[2]])
            x = np.load(folder + '/x_npy.npy', allow_pickle=False)
            index = [l.split('\t') for l in open(folder + '/x_npy.index.tsv', encoding='utf-8').read().splitlines()]
            assert index[0] == ['row', 'id', 'length', 'cds', 'exons', 'notes']
            ids, lengths = [r[1] for r in index[1:]], [int(r[2]) for r in index[1:]]
            assert [int(r[0]) for r in index[1:]] == list(range(len(x)))
            assert x.dtype == dtype and x.shape == (len(ids), 128) and len(ids) >= 5 and np.isfinite(x).all()

            z = np.load(folder + '/x_npz.npz', allow_pickle=False)
            assert sorted(z.files) == ['embeddings', 'ids', 'lengths']
            assert (z['embeddings'] == x).all() and z['embeddings'].dtype == dtype and list(z['ids']) == ids and list(z['lengths']) == lengths

            for name, delimiter in ('csv', ','), ('tsv', '\t'):
                rows = list(csv.reader(open(folder + '/x_%s.%s' % (name, name), encoding='utf-8', newline=''), delimiter=delimiter))
                assert rows[0] == ['id'] + ['e%d' % i for i in range(128)] and [r[0] for r in rows[1:]] == ids
                assert (np.array([[dtype.type(v) for v in r[1:]] for r in rows[1:]]) == x).all()

            rows = [json.loads(l) for l in open(folder + '/x_jsonl.jsonl', encoding='utf-8')]
            assert [r['id'] for r in rows] == ids and [r['length'] for r in rows] == lengths
            assert (np.array([r['embedding'] for r in rows]).astype(dtype) == x).all()

            t = safetensors(folder + '/x_safetensors.safetensors')
            assert (t['embeddings'] == x).all() and t['embeddings'].dtype == dtype and list(t['lengths']) == lengths
            at = t['id_offsets']
            assert [bytes(t['ids'][a:b]).decode('utf-8') for a, b in zip(at, at[1:])] == ids
            print(len(ids))
            """;
        Assert.True(int.Parse(Python.Run(script, files.OutputFolder, dtype)) >= 5);
    }

    [Fact]
    public void Positions_have_one_array_per_record_whose_mean_is_the_embedding()
    {
        using var files = new HostileFiles();
        CliRun.Of(["embed", .. Short, "--model", "random-mamba-6track", "-o", files.Out("mean.npy")]).Succeeded();
        CliRun.Of(["embed", .. Short, "--model", "random-mamba-6track", "--pool", "last", "-o", files.Out("last.npy")]).Succeeded();
        CliRun.Of(["embed", .. Short, "--model", "random-mamba-6track", "--pool", "max", "-o", files.Out("max.npy")]).Succeeded();
        CliRun.Of(["embed", .. Short, "--model", "random-mamba-6track", "--per-position", "-o", files.Out("p.npz")]).Succeeded();
        CliRun.Of(["embed", .. Short, "--model", "random-mamba-6track", "--per-position", "-o", files.Out("p.safetensors")]).Succeeded();
        string script = SafetensorsReader + """
            import sys
            folder = sys.argv[1]
            index = [l.split('\t') for l in open(folder + '/mean.index.tsv', encoding='utf-8').read().splitlines()[1:]]
            z, t = np.load(folder + '/p.npz', allow_pickle=False), safetensors(folder + '/p.safetensors')
            assert z.files == [r[1] for r in index] == list(t)
            pooled = {p: np.load(folder + '/%s.npy' % p) for p in ('mean', 'last', 'max')}
            for i, r in enumerate(index):
                a = z[r[1]]
                assert a.dtype == '<f4' and a.shape == (int(r[2]), 64) and (a == t[r[1]]).all()
                assert abs(a.astype('f8').mean(axis=0) - pooled['mean'][i]).max() < 1e-5
                assert (a[-1] == pooled['last'][i]).all() and (a.max(axis=0) == pooled['max'][i]).all()
            print(len(index))
            """;
        Assert.True(int.Parse(Python.Run(script, files.OutputFolder)) >= 5);
    }

    [Theory]
    [InlineData("x.npz")]
    [InlineData("x.safetensors")]
    public void Arrays_whose_name_is_not_the_identifier_are_named_in_the_index(string name)
    {
        using var files = new HostileFiles();
        string[] ids = ["a", "a", "a.2", "b/c", "a/b/../../x", "/etc/x", "..\\x", "d/./e", "C:x"];
        string fasta = files.Text("t.fa", string.Concat(ids.Select(id => $">{id}\nACGT\n")));
        CliRun.Of("embed", fasta, "--per-position", "-o", files.Out(name), "--quiet").Succeeded();
        string[] notes = [.. File.ReadAllLines(files.Out("x.index.tsv")).Skip(1).Select(l => l.Split('\t')[5])];
        string[] arrays = [.. ids.Zip(notes, (id, note) => note.Split("; ").FirstOrDefault(n => n.StartsWith("array "))?[6..] ?? id)];
        if (name == "x.npz")
        {
            Assert.Equal(["a", "a.2", "a.2.2", "b/c", "a_b_.._.._x", "_etc_x", ".._x", "d_._e", "C_x"], arrays);
            using var zip = System.IO.Compression.ZipFile.OpenRead(files.Out(name));
            Assert.Equal(arrays.Select(a => a + ".npy"), zip.Entries.Select(e => e.FullName));
        }
        else
        {
            Assert.Equal(["a", "a.2", "a.2.2", .. ids[3..]], arrays);
            byte[] bytes = File.ReadAllBytes(files.Out(name));
            using var header = JsonDocument.Parse(bytes.AsMemory(8, (int)BitConverter.ToInt64(bytes)));
            Assert.Equal(arrays, header.RootElement.EnumerateObject().Select(p => p.Name).Where(n => n != "__metadata__"));
        }
        Assert.Equal("duplicate id; array a.2", notes[1]);
        Assert.Equal("", notes[3]);
    }

    [Fact]
    public void A_converted_model_is_a_published_folder()
    {
        using var files = new HostileFiles();
        string model = files.Out("model");
        CliRun.Of("convert", "random-mamba-6track", "-o", model).Succeeded();
        string script = SafetensorsReader + """
            import os, sys
            folder = sys.argv[1]
            assert sorted(os.listdir(folder)) == ['config.json', 'model.safetensors']
            c = json.load(open(folder + '/config.json', encoding='utf-8'))
            want = dict(model_type='orthrus', architectures=['OrthrusPretrainedModel'], n_tracks=6, ssm_model_dim=64, ssm_n_layers=3, has_mlm_head=False,
                        mlm_head_body=512, mlm_head_dim=4, mlm_head_norm_type='batchnorm', torch_dtype='float32',
                        auto_map={'AutoConfig': 'orthrus_hf.OrthrusConfig', 'AutoModel': 'orthrus_hf.OrthrusPretrainedModel'})
            assert all(c[k] == v for k, v in want.items()) and 'transformers_version' in c, c
            d, n, tracks, e, r = 64, 3, 6, 128, 4
            shapes = {'embedding.weight': (d, tracks), 'embedding.bias': (d,)}
            for i in range(n):
                p = 'layers.%d.' % i
                shapes.update({p + 'mixer.A_log': (e, 16), p + 'mixer.D': (e,), p + 'mixer.in_proj.weight': (2 * e, d), p + 'mixer.conv1d.weight': (e, 1, 4),
                               p + 'mixer.conv1d.bias': (e,), p + 'mixer.x_proj.weight': (r + 32, e), p + 'mixer.dt_proj.weight': (e, r),
                               p + 'mixer.dt_proj.bias': (e,), p + 'mixer.out_proj.weight': (d, e), p + 'norm.weight': (d,), p + 'norm.bias': (d,)})
            shapes.update({'norm_f.weight': (d,), 'norm_f.bias': (d,)})
            t = safetensors(folder + '/model.safetensors')
            assert [(k, v.shape) for k, v in t.items()] == list(shapes.items())
            assert all(v.dtype == '<f4' for v in t.values()) and sum(v.size for v in t.values()) == 98880
            # transformers refuses a file whose metadata does not name its framework.
            b = open(folder + '/model.safetensors', 'rb').read()
            assert json.loads(b[8:8 + struct.unpack('<Q', b[:8])[0]])['__metadata__']['format'] == 'pt'
            print('published')
            """;
        Assert.Equal("published", Python.Run(script, model).Trim());
        Assert.False(OrthrusModel.Load(model).Trained);
    }
}
