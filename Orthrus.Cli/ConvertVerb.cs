using System.CommandLine;
using Orthrus.Mamba;
using Orthrus.Train;

namespace Orthrus.Cli;

/// <summary>orthrus convert: any checkpoint to the published form.</summary>
internal static class ConvertVerb
{
    private const string Help = """
        Convert a checkpoint of any form (Hugging Face folder, safetensors, PyTorch zip or legacy file, Lightning .ckpt, a checkpoint of a
        training run) to a Hugging Face folder (config.json and model.safetensors, as upstream's code loads it) or, where OUTPUT ends in
        .safetensors or .ckpt, to that one file; a .ckpt is a Lightning checkpoint with the names of upstream's training code.

        --standardise brings the numbers of the embeddings to mean 0 and standard deviation 1 over training transcripts of a corpus, by the
        encoder's last norm; heads are adapted and give what they gave. With --whiten P the numbers become principal components, whose
        variances v are brought to v^(1 - 2P): 0.5 makes all of them 1, so that directions in which transcripts differ little count as much
        as others. Homologs are found more easily then; the encoder's coordinates are turned, and what it computes stays the same.

        Example: orthrus convert epoch=6-step=20000.ckpt -o my-model
        """;

    internal static Command Build()
    {
        var model = new Argument<string>("model") { Description = "checkpoint, folder or built-in name" };
        var output = new Option<string>("--output", "-o") { HelpName = "FOLDER|FILE.safetensors|FILE.ckpt", Description = "where to write", Required = true };
        var force = new Option<bool>("--force") { Description = "replace what is there" };
        var standardise = new Option<string?>("--standardise") { HelpName = "CORPUS", Description = $"bring embeddings to mean 0 and standard deviation 1 over {EmbeddingScale.Transcripts:N0} training transcripts of this corpus" };
        var whiten = new Option<double?>("--whiten") { HelpName = "P", Description = "with --standardise: turn embeddings to principal components, from 0 (variances as they are) to 0.5 (all 1)" };
        var command = new Command("convert", Help) { model, output, force, standardise, whiten };
        command.SetAction(r =>
        {
            string path = r.GetValue(output)!;
            var host = CliHost.Of(r);
            if (r.GetValue(whiten) is { } p && !(p >= 0 && p <= 0.5)) throw new UsageException($"--whiten {p}: give a number from 0 to 0.5");
            if (r.GetValue(whiten) is not null && r.GetValue(standardise) is null) throw new UsageException("--whiten needs --standardise CORPUS");
            var loaded = OrthrusModel.Load(r.GetValue(model)!);
            bool lightning = path.EndsWith(".ckpt", StringComparison.OrdinalIgnoreCase), single = lightning || path.EndsWith(".safetensors", StringComparison.OrdinalIgnoreCase);
            if (!r.GetValue(force) && (File.Exists(path) || (Directory.Exists(path) && Directory.EnumerateFileSystemEntries(path).Any())))
                throw new OutputException($"{path}: is there already; give another name, or --force to replace it");
            if (single && Directory.Exists(path)) throw new OutputException($"{path}: is a folder; give the name of a file");
            if (Path.GetDirectoryName(Path.GetFullPath(path)) is { } parent && !Directory.Exists(parent))
                throw new OutputException($"{path}: the output folder {parent} does not exist; create it first");
            if (r.GetValue(standardise) is { } corpus) loaded = Standardised(loaded, corpus, r.GetValue(whiten));
            try
            {
                if (lightning) loaded.SaveLightning(path);
                else if (single) loaded.SaveSafeTensors(path);
                else loaded.SaveHuggingFace(path);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw IoErrors.Writing(path, e, resumable: false);
            }
            host.Error.WriteLine($"{loaded.Name}: {loaded.Config.DModel} x {loaded.Config.NLayer}, {loaded.Config.NTracks} tracks, {loaded.ParameterCount:N0} parameters -> {path}");
            var heads = loaded.DescribeHeads();
            string[] left = single && !lightning ? [] : [.. heads.Select(h => h.Name).Where(name => lightning ? name == "word_head" : name != "sequence_head")];
            if (left.Length > 0) host.Error.WriteLine($"  left out, the published form has no place for them: {string.Join(", ", left)} (a .safetensors file keeps them)");
            return ExitCode.Done;
        });
        return command;
    }

    private static OrthrusModel Standardised(OrthrusModel model, string path, double? whitening)
    {
        using var corpus = CorpusFile.Open(path);
        return EmbeddingScale.Standardise(model, corpus, whitening);
    }
}
