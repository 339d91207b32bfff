using Orthrus.Mamba;
using Orthrus.Rna;

// Three lines: a model, a transcript, its embedding.
using var embedder = Embedder.Load("orthrus-mini-6track");
var transcript = Transcript.Create("tx1", "GGCACCATGGCTTCAGAAGACTAAGCC", cds: (6, 24), junctions: [14]);
float[] vector = embedder.Embed(transcript.Tracks);

Console.WriteLine($"{transcript.Id}\t{transcript.Length} nt\t{vector.Length} numbers\t{vector[0]:0.000000}\t{vector[1]:0.000000}");

// A whole file: records stream through, any length, all cores.
if (args.Length == 0) return;
using var source = TranscriptSource.Open(new TranscriptInput { Fasta = args[0], TracksTable = args.ElementAtOrDefault(1), Cds = args.Length > 1 ? CdsPolicy.Annotated : CdsPolicy.LongestOrf });
var transcripts = source.Read().Where(r => r.Transcript is not null).Select(r => r.Transcript!);
foreach (var result in embedder.EmbedAll(transcripts, t => t.Tracks))
    Console.WriteLine($"{result.Record.Id}\t{result.Record.Length} nt\t{result.Vector[0]:0.000000}\t{result.Vector[1]:0.000000}");
