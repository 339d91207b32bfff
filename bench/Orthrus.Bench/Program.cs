using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Orthrus.Bench;
using Orthrus.Bench.Speed;

// speed: the comparison of docs/SPEED.md; train-speed: that of training passes; measure, measure-train: their child processes; anything else goes to BenchmarkDotNet.
switch (args.FirstOrDefault())
{
    case "speed": return SpeedCommand.Run(args[1..]);
    case "measure": return Measurement.Child(args[1..]);
    case "train-speed": return TrainSpeedCommand.Run(args[1..]);
    case "measure-train": return TrainMeasurement.Child(args[1..]);
    default:
        // In this process: a project generated elsewhere would not find the central package versions.
        var config = DefaultConfig.Instance.AddJob(Job.ShortRun.WithToolchain(InProcessEmitToolchain.Instance));
        BenchmarkSwitcher.FromTypes([typeof(OpBenchmarks), typeof(EmbedBenchmarks)]).Run(args, config);
        return 0;
}
