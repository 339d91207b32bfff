using Orthrus.Cli.Embed;
using Orthrus.Mamba;
using Orthrus.Rna;
using Orthrus.Tensor;
using Orthrus.Train.Probing;

namespace Orthrus.Cli.Probing;

/// <summary>One run of `orthrus probe`, from the request to the files.</summary>
internal sealed class ProbeCommand(ProbeRequest request, CliHost host)
{
    private const string DefaultSplit = "split", NoSplit = "none";

    private OpenDevice? _gpu;

    /// <summary>Runs and returns the exit code.</summary>
    internal int Run()
    {
        var target = request.Device.Resolve();
        using var gpu = _gpu = target.Open();
        using var device = new CpuDevice(request.Threads ?? 0);
        if (gpu is not null) Say(target.Line(gpu.Device.Description));
        var rows = request.Retrieval ? Retrieve() : ProbeTask(device);
        foreach (string line in ProbeReport.Lines(rows)) host.Output.WriteLine(line);
        host.Output.Flush();
        if (request.Json is { } json) WholeFile.Write(json, ProbeReport.Json(rows));
        if (request.Csv is { } csv) WholeFile.Write(csv, ProbeReport.Csv(rows));
        return ExitCode.Done;
    }

    private IReadOnlyList<ProbeRow> ProbeTask(CpuDevice device)
    {
        string path = request.Task!;
        string? split = request.Draws ? null : request.SplitColumn;
        if (split is null && !request.Draws)
            split = ProbeTable.Header(path).Contains(DefaultSplit) ? DefaultSplit
                : throw new UsageException($"{path} has no column {DefaultSplit}: give --split-column COLUMN, --groups COLUMN or --random-split");
        var table = ProbeTable.Read(path, new ProbeColumns { Targets = request.Targets, Split = split, Groups = request.Groups, Units = request.Units, Sequence = request.Sequence }, request.Policy);
        var options = new ProbeOptions
        {
            Task = request.TaskName, Kind = request.Kind, ByGroups = request.Groups is not null, Test = request.Test, Resamples = request.Resamples, BootstrapSeed = request.Seed,
            Alphas = request.Alphas.Count > 0 ? request.Alphas : RidgeProbe.DefaultAlphas, C = request.C ?? 1, TotalVariance = request.TotalVariance,
            Seeds = !request.Draws ? [] : request.Seeds.Count > 0 ? request.Seeds : Splits.DefaultSeeds,
        };
        if (request.Units is not null && table.Units.Distinct().Count() < 2) throw new InputDataException(path, $"column {request.Units}", "is the same for all rows", "name a column of several groups");
        var kind = options.Kind ?? ProbeOptions.KindOf(table);
        if (kind == ProbeKind.Regression && request.C is not null) throw new UsageException("--c is that of logistic regressions; the targets are numbers, whose penalties --alphas gives");
        if (kind != ProbeKind.Regression && request.Alphas.Count > 0) throw new UsageException("--alphas are those of ridge regressions; the targets are labels, whose penalty --c gives");
        Say($"{path}: {table.Rows:N0} rows, {kind.ToString().ToLowerInvariant()} of {string.Join(", ", table.Targets)}");
        bool marks = table.HasTracks || request.Policy != CdsPolicy.Annotated;
        var features = Features(table.Transcripts, marks, path, FeatureSet.Baselines);
        if (table.HasTracks && table.WithoutCds > 0 && request.Policy != CdsPolicy.Blank) Say($"{table.WithoutCds:N0} rows without a known CDS: their codon track is empty");
        return Probe.Run(table, features, options, device, Remark, host.Cancel);
    }

    private IReadOnlyList<ProbeRow> Retrieve()
    {
        string wanted = request.Test ? "test" : "valid";
        bool all = request.SplitColumn == NoSplit;
        if (request.SplitColumn is not (null or NoSplit or DefaultSplit)) throw new UsageException($"--split-column {request.SplitColumn}: a retrieval reads the column {DefaultSplit}, or {NoSplit}");
        var kept = new List<Transcript>();
        using (var source = TranscriptSource.Open(new TranscriptInput { Fasta = request.Transcripts, TracksTable = request.Table, Cds = request.Policy }))
            foreach (var record in source.Read())
            {
                host.Cancel.ThrowIfCancellationRequested();
                if (record.Transcript is not { } transcript) throw new InputDataException(request.Transcripts, "record " + record.Id, record.SkipReason ?? "cannot be used", "correct it, or leave it out");
                if (all || transcript.Split == wanted) kept.Add(transcript);
            }
        if (kept.Count < 2) throw new InputDataException(request.Table, null, $"has {kept.Count} transcripts whose {DefaultSplit} is {wanted}", "give a table with that column, or --split-column none");
        var transcripts = Retrieval.EvenJunctions(kept, out bool blanked);
        Say($"{request.Transcripts}: {transcripts.Count:N0} transcripts");
        if (blanked) Say("exon junctions are known for some of them only: they are left blank in all");
        var features = Features(transcripts, true, request.Transcripts!, ["kmer5"]);
        var options = new RetrievalOptions
        {
            Task = request.Name ?? "retrieval", Split = all ? "all" : request.Test ? "test" : "val", Candidates = request.Candidates ?? 1000, Seed = request.Seed, Resamples = request.Resamples,
        };
        return Retrieval.Run(transcripts, features, options, Remark, host.Cancel);
    }

    // Models in the order given, then baselines; of the latter those that this kind of run has.
    private List<FeatureSet> Features(IReadOnlyList<Transcript> transcripts, bool marks, string path, IReadOnlyList<string> without)
    {
        var features = new List<FeatureSet>();
        OrthrusModel? first = null;
        foreach (string name in request.Models)
        {
            var model = TaskModel.Load(name, marks, path);
            first ??= model;
            string shown = features.Any(f => f.Name == model.Name) ? name : model.Name;
            features.Add(Embedded(model, shown, transcripts, request.Embeddings));
        }
        IEnumerable<string> simple = request.Retrieval ? without : request.Baselines.Where(b => ProbeRequest.RandomSeed(b) is null);
        features.AddRange(simple.Select(b => FeatureSet.Baseline(b, transcripts)));
        foreach (ulong seed in request.Baselines.Select(ProbeRequest.RandomSeed).OfType<ulong>())
        {
            var random = OrthrusModel.Create(first!.Config, seed);
            if (random.Sha256 == first.Sha256) Say($"{first.Name} has the weights of the random baseline: it is not measured twice");
            else features.Add(Embedded(random, seed == 0 ? random.Name : $"{random.Name} seed {seed}", transcripts, null));
        }
        return features;
    }

    private FeatureSet Embedded(OrthrusModel model, string name, IReadOnlyList<Transcript> transcripts, string? file)
    {
        if (!model.Trained) Say($"{name}: random weights");
        long all = transcripts.Sum(t => (long)t.Length), done = 0;
        int records = 0;
        var progress = new Progress(host.Error, host.Interactive, request.Quiet, () => (double)done / all, TimeProvider.System);
        var embeddings = Writing(file, () => Embeddings.Get(model, transcripts, file, request.Threads ?? 0, t =>
        {
            host.Cancel.ThrowIfCancellationRequested();
            done += t.Length;
            progress.Tick(++records, done, done);
        }, _gpu?.Device));
        progress.Clear();
        Say(embeddings.Cached ? $"{name}: embeddings from {(file is null ? "the cache" : file)}" : $"{name}: {records:N0} embedded, {done:N0} nt, {Progress.Duration(progress.Elapsed)}, {Progress.Rate(done, progress.Elapsed)}");
        return FeatureSet.Of(name, embeddings);
    }

    private static T Writing<T>(string? output, Func<T> write)
    {
        try
        {
            return write();
        }
        catch (Exception e) when (output is not null && e is IOException or UnauthorizedAccessException)
        {
            throw IoErrors.Writing(output ?? "the cache", e, resumable: false);
        }
    }

    private void Remark(string line) => Say("  " + line);

    private void Say(string line)
    {
        if (!request.Quiet) host.Error.WriteLine(line);
    }
}
