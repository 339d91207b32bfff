using System.Globalization;
using System.Text;
using Orthrus.Cli.Embed;
using Orthrus.Cli.Probing;
using Orthrus.Mamba;
using Orthrus.Rna;
using Orthrus.Train.Probing;

namespace Orthrus.Cli.Finetuning;

/// <summary>What `orthrus predict` was asked for.</summary>
/// <param name="Model">A fine-tuned model.</param>
/// <param name="Input">Transcripts; null where a task table is read.</param>
/// <param name="Task">Task table, or null.</param>
/// <param name="Sequence">Its column of sequences.</param>
/// <param name="Policy">Where codon marks come from.</param>
/// <param name="Output">The file, or "-".</param>
/// <param name="Device">Where to compute.</param>
/// <param name="Threads">Worker threads; null for all.</param>
/// <param name="Quiet">No progress and no summary.</param>
internal sealed record PredictRequest(string Model, TranscriptInput? Input, string? Task, string Sequence, CdsPolicy Policy, string Output, DeviceChoice Device, int? Threads, bool Quiet)
{
    internal bool ToStdout => Output == "-";

    internal IEnumerable<string> Files => Task is not null ? [Task] : Input!.Files().Select(f => f.Path);
}

/// <summary>One run of `orthrus predict`: records stream through encoder and head to a table.</summary>
internal sealed class PredictCommand(PredictRequest request, CliHost host)
{
    private readonly SortedDictionary<string, long> _skipped = new(StringComparer.Ordinal);
    private long _records, _nucleotides, _withoutCds;

    /// <summary>Runs and returns the exit code.</summary>
    internal int Run()
    {
        var model = OrthrusModel.Load(request.Model);
        var target = request.Device.Resolve(request.Threads is not null ? "--threads" : null);
        using var device = target.Open();
        using var predictor = new Predictor(model, new EmbedderOptions { Threads = request.Threads ?? 0, Device = device?.Device });
        using var source = request.Input is null ? null : TranscriptSource.Open(request.Input);
        bool marks = (source?.HasTracks ?? ProbeTable.Marked(request.Task!)) || request.Policy != CdsPolicy.Annotated;
        RequireTracks(model, marks);
        Say(target.Line(predictor.Description));
        Say($"model: {model.Name}, predicts {string.Join(", ", predictor.Task.Targets)} ({predictor.Task.Kind.ToString().ToLowerInvariant()})");
        if (!model.Trained) Say("  its encoder has random weights");
        string given = request.Policy switch { CdsPolicy.Blank => "blank", CdsPolicy.LongestOrf => "longest-orf", _ => "annotated" };
        if (model.Config.NTracks == 6 && predictor.Task.Marks != given) Say($"  it was trained with marks that are {predictor.Task.Marks}, and here they are {given}: predictions may suffer");
        var progress = new Progress(host.Error, host.Interactive, request.Quiet, () => source?.Progress, TimeProvider.System);
        var transcripts = source is null ? Counted(ProbeTable.Stream(request.Task!, request.Sequence, request.Policy)) : Counted(Usable(source));
        if (request.ToStdout)
        {
            using var stdout = new StreamWriter(new BufferedStream(host.StandardOutput(), 1 << 16), new UTF8Encoding(false), leaveOpen: true);
            Write(stdout, predictor, transcripts, progress);
        }
        else ToFile(predictor, transcripts, progress);
        progress.Clear();
        Summarise(source, model, progress.Elapsed);
        return ExitCode.Done;
    }

    private void RequireTracks(OrthrusModel model, bool marks)
    {
        if (request.Task is { } table) TaskModel.RequireTracks(model, request.Model, marks, table);
        else if (model.Config.NTracks == 6 && !marks)
            throw new InputDataException(request.Input!.Fasta, null, $"model {model.Name} reads 6 tracks, but a bare FASTA has neither CDS nor exons",
                "give --annotation with --genome, --tracks TABLE, headers with CDS:a-b, --cds longest-orf, or --blank-tracks");
    }

    private void ToFile(Predictor predictor, IEnumerable<Transcript> transcripts, Progress progress)
    {
        using var aside = new FilesAside();
        var file = Guard(() => aside.Create(request.Output));
        using (var writer = new StreamWriter(file, new UTF8Encoding(false), 1 << 16, leaveOpen: true)) Write(writer, predictor, transcripts, progress);
        Guard(() =>
        {
            aside.Commit();
            return 0;
        });
    }

    private void Write(StreamWriter writer, Predictor predictor, IEnumerable<Transcript> transcripts, Progress progress)
    {
        Line("id\t" + string.Join('\t', predictor.Task.Targets));
        foreach (var p in predictor.PredictAll(transcripts, t => t.Tracks))
        {
            foreach (double v in p.Values)
                if (!double.IsFinite(v)) throw new InputDataException(request.Model, "record " + p.Record.Id, "the model's numbers overflow F32: the prediction is not finite", "the model's training diverged: use another model");
            Line(p.Record.Id + "\t" + string.Join('\t', p.Values.Select(v => ((float)v).ToString("R", CultureInfo.InvariantCulture))));
            if (host.Cancel.IsCancellationRequested) throw new InterruptedException($"interrupted after {_records:N0} transcripts{(request.ToStdout ? "" : "; nothing was written")}");
            progress.Tick(_records, _nucleotides, _nucleotides);
        }
        Guard(() =>
        {
            writer.Flush();
            return 0;
        });

        void Line(string text) => Guard(() =>
        {
            writer.Write(text);
            writer.Write('\n');
            return 0;
        });
    }

    private IEnumerable<Transcript> Usable(TranscriptSource source)
    {
        foreach (var record in source.Read())
        {
            if (record.Transcript is { } transcript)
            {
                yield return transcript;
                continue;
            }
            string why = record.SkipKind ?? record.SkipReason ?? "unusable";
            _skipped[why] = _skipped.GetValueOrDefault(why) + 1;
        }
    }

    private IEnumerable<Transcript> Counted(IEnumerable<Transcript> transcripts)
    {
        foreach (var t in transcripts)
        {
            _records++;
            _nucleotides += t.Length;
            if (t.Cds is null && !t.CdsKnown) _withoutCds++;
            yield return t;
        }
    }

    private void Summarise(TranscriptSource? source, OrthrusModel model, TimeSpan elapsed)
    {
        Say($"{_records:N0} transcripts, {_nucleotides:N0} nt, {Progress.Duration(elapsed)}, {Progress.Rate(_nucleotides, elapsed)}, {_skipped.Values.Sum():N0} skipped{(request.ToStdout ? "" : $" -> {request.Output}")}");
        // The first line of the report repeats the counts.
        foreach (string line in source?.Report.ToLines().Skip(1) ?? []) Say("  " + line);
        if (model.Config.NTracks == 6 && request.Policy != CdsPolicy.Blank && _withoutCds > 0) Say($"  {_withoutCds:N0} without a known CDS: their codon track is empty");
        if (_records == 0) Say("  nothing was predicted: see the filters and the skipped records");
    }

    private T Guard<T>(Func<T> write)
    {
        try
        {
            return write();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw IoErrors.Writing(request.ToStdout ? "stdout" : request.Output, e, resumable: false);
        }
    }

    private void Say(string line)
    {
        if (!request.Quiet) host.Error.WriteLine(line);
    }
}
