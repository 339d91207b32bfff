using Orthrus.Mamba;
using Orthrus.Rna;

namespace Orthrus.Train.Tests.Corpus;

/// <summary>What is written into a corpus comes out of it, and nothing damaged is read.</summary>
public sealed class CorpusFileTests
{
    [Fact]
    public void Every_transcript_comes_out_as_it_went_in()
    {
        using var small = SmallCorpus.ToDraw(30);
        using var corpus = small.Build();
        using var source = TranscriptSource.Open(new TranscriptInput { Fasta = small.At("t.fa"), TracksTable = small.At("t.tsv") });
        int t = 0;
        foreach (var want in source.Read().Select(r => r.Transcript!))
        {
            Assert.Equal(want.Id, corpus.Id(t));
            Assert.True(want.Tracks.Span.SequenceEqual(corpus.Tracks(t)), want.Id);
            Assert.Equal(want.GeneId, corpus.GeneId(corpus.Gene(t)));
            Assert.Equal(want.Species, corpus.SpeciesName(corpus.Species(t)));
            Assert.Equal(want.HomologyGroup, corpus.GroupName(corpus.Group(t)));
            Assert.Equal(want.Split, corpus.Split(t).ToString().ToLowerInvariant());
            Assert.Equal(want.Junctions is null, corpus.Flags(t).HasFlag(TranscriptFlags.JunctionsUnknown));
            Assert.Equal(want.Cds is not null, corpus.Flags(t).HasFlag(TranscriptFlags.Coding));
            Assert.Equal(want.Cds?.Start ?? -1, corpus.Marks(t).First);
            Assert.Contains(t, corpus.TranscriptsOfGene(corpus.Gene(t)).ToArray());
            t++;
        }
        Assert.Equal(t, corpus.Count);
        corpus.Verify();
    }

    [Fact]
    public void It_is_an_ordinary_safetensors_file_and_its_bytes_depend_on_nothing_but_the_input()
    {
        using var small = SmallCorpus.ToDraw(20);
        byte[] first = File.ReadAllBytes(small.Write()), second = File.ReadAllBytes(small.Write(output: "again.safetensors"));
        Assert.Equal(first, second);
        var tensors = SafeTensors.Read(small.At("c.safetensors"), out var metadata);
        Assert.Equal("orthrus-corpus", metadata["format"]);
        Assert.True(tensors["offset"].ElementCount > 20);
        Assert.Equal(["again.safetensors", "c.safetensors", "t.fa", "t.tsv"], Directory.GetFiles(small.Folder).Select(Path.GetFileName).Order());
    }

    [Fact]
    public void A_file_cut_anywhere_is_refused_in_one_line()
    {
        using var small = SmallCorpus.ToDraw(3);
        byte[] whole = File.ReadAllBytes(small.Write());
        for (int length = 0; length < whole.Length; length += 1 + length / 40)
        {
            File.WriteAllBytes(small.At("cut"), whole[..length]);
            var e = Assert.Throws<InputDataException>(() => CorpusFile.Open(small.At("cut")));
            Assert.Contains("build it again", e.Message);
            Assert.DoesNotContain('\n', e.Message);
        }
    }

    [Fact]
    public void No_changed_byte_is_read_unseen_and_none_leads_outside_the_file()
    {
        using var small = SmallCorpus.ToDraw(3);
        byte[] whole = File.ReadAllBytes(small.Write());
        var draws = new Draws(9, 0, 0, DrawFor.Order);
        int data = 8 + (int)BitConverter.ToInt64(whole);
        for (int trial = 0; trial < 400; trial++)
        {
            byte[] bytes = [.. whole];
            int at = trial % 2 == 0 ? data + draws.Below(bytes.Length - data) : draws.Below(data);
            // Spaces behind the header's JSON say nothing.
            if (at < data && bytes[at] == ' ') continue;
            bytes[at] ^= (byte)(1 << draws.Below(8));
            File.WriteAllBytes(small.At("bad"), bytes);
            try
            {
                using var corpus = CorpusFile.Open(small.At("bad"));
                for (int t = 0; t < corpus.Count; t++) _ = (corpus.Id(t), corpus.Tracks(t).Length, corpus.GeneId(corpus.Gene(t)), corpus.GroupName(corpus.Group(t)));
                if (at >= data) Assert.Throws<InputDataException>(corpus.Verify);
            }
            catch (InputDataException e)
            {
                Assert.DoesNotContain('\n', e.Message);
            }
        }
    }

    [Fact]
    public void Other_files_are_refused_by_name()
    {
        using var small = new SmallCorpus();
        Assert.Contains("no such file", Assert.Throws<InputDataException>(() => CorpusFile.Open(small.At("absent"))).Message);
        Assert.Contains("is a folder", Assert.Throws<InputDataException>(() => CorpusFile.Open(small.Folder)).Message);
        SafeTensors.Write(small.At("model"), [StateTensor.FromSingle("x", [1], 1)]);
        Assert.Contains("no corpus", Assert.Throws<InputDataException>(() => CorpusFile.Open(small.At("model"))).Message);
        SafeTensors.Write(small.At("other"), [StateTensor.FromSingle("x", [1], 1)], new Dictionary<string, string> { ["format"] = "orthrus-corpus", ["format_version"] = "1" });
        Assert.Contains("offset is missing", Assert.Throws<InputDataException>(() => CorpusFile.Open(small.At("other"))).Message);
    }
}
