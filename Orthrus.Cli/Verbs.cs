using System.CommandLine;

namespace Orthrus.Cli;

/// <summary>The table of verbs; each stands in a file of its own with a static Build().</summary>
internal static class Verbs
{
    internal static IEnumerable<Command> All() =>
    [
        TranscriptsVerb.Build(),
        CorpusVerb.Build(),
        EmbedVerb.Build(),
        TrainVerb.Build(),
        ConvertVerb.Build(),
        InfoVerb.Build(),
        GradCheckVerb.Build(),
        SelfTestVerb.Build(),
        WarmupVerb.Build(),
        ProbeVerb.Build(),
        FinetuneVerb.Build(),
        PredictVerb.Build(),
        BenchVerb.Build(),
    ];
}
