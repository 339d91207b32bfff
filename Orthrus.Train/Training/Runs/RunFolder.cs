using System.Globalization;
using Orthrus.Autograd;
using Orthrus.Rna;

namespace Orthrus.Train;

/// <summary>
/// The folder of a run: config.yaml, log.jsonl, events/, checkpoints/step-N.safetensors, final/. Whatever ends the process, the newest checkpoint is whole.
/// </summary>
internal sealed class RunFolder
{
    private const string Prefix = "step-", Suffix = ".safetensors";

    private readonly string _checkpoints;

    /// <summary>Opens or makes the folder.</summary>
    /// <exception cref="InputDataException">It holds a run already, which is not to be gone on with.</exception>
    internal RunFolder(string path, bool resume)
    {
        Path = path;
        _checkpoints = System.IO.Path.Combine(path, "checkpoints");
        Directory.CreateDirectory(_checkpoints);
        if (!resume && (File.Exists(LogPath) || Checkpoints().Any()))
            throw new InputDataException(path, null, "holds a run already", "give --resume to go on with it, or another folder");
        // What a process that was ended had begun to write.
        foreach (string left in Directory.EnumerateFiles(_checkpoints, "*.partial")) File.Delete(left);
    }

    internal string Path { get; }

    internal string LogPath => System.IO.Path.Combine(Path, "log.jsonl");

    internal string EventsPath => System.IO.Path.Combine(Path, "events");

    internal string FinalPath => System.IO.Path.Combine(Path, "final");

    /// <summary>Checkpoints by step, newest first.</summary>
    internal IReadOnlyList<(long Step, string File)> Checkpoints() =>
        [.. from file in Directory.EnumerateFiles(_checkpoints, Prefix + "*" + Suffix)
            let text = System.IO.Path.GetFileName(file)[Prefix.Length..^Suffix.Length]
            where text.Length > 0 && text.All(char.IsAsciiDigit)
            let step = long.Parse(text, CultureInfo.InvariantCulture)
            orderby step descending
            select (step, file)];

    /// <summary>The newest checkpoint, or null.</summary>
    internal (long Step, string File)? Newest => Checkpoints() is [var newest, ..] ? newest : null;

    /// <summary>Writes a checkpoint; then deletes those that need not be kept.</summary>
    internal void Save(Module model, Optimiser optimiser, TrainCheckpoint.Header header)
    {
        TrainCheckpoint.Write(System.IO.Path.Combine(_checkpoints, string.Create(CultureInfo.InvariantCulture, $"{Prefix}{header.Step:D8}{Suffix}")), model, optimiser, header);
        int kept = 0;
        foreach (var (step, file) in Checkpoints())
            if (step != header.BestStep && step <= header.Step && ++kept > header.Config.Keep) File.Delete(file);
    }

    /// <summary>Writes the configuration.</summary>
    internal void SaveConfig(TrainConfig config)
    {
        using var aside = new Mamba.FilesAside();
        using (var writer = new StreamWriter(aside.Create(System.IO.Path.Combine(Path, "config.yaml")), leaveOpen: true)) writer.Write(ConfigKeys.Write(config));
        aside.Commit();
    }
}
