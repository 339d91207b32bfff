using Orthrus.Mamba;
using Orthrus.Rna;
using Orthrus.Tensor;
using Orthrus.Train;
using Orthrus.Train.Probing;

// A labelled table, a model to begin with, and a few passes over the training rows.
string path = args[0], folder = args[1];
var table = ProbeTable.Read(path, new ProbeColumns { Targets = ["halflife"], Split = "split" }, CdsPolicy.Annotated);
var options = new FineTuneOptions { Task = "halflife", TrainedLayers = 0, Epochs = 3, Seed = 1 };
using var device = new CpuDevice();
using var tuner = new FineTuner(OrthrusModel.Load("orthrus-mini-6track"), table, options, device);
var result = tuner.Run();
result.Model.SaveHuggingFace(folder);
Console.WriteLine($"{result.Steps} steps, best after {result.Best.Step}, {result.Best.Metric} {result.Best.Score:0.0000}");

// The saved model on a transcript of one's own.
using var predictor = Predictor.Load(folder);
var transcript = Transcript.Create("tx1", "GGCACCATGGCTTCAGAAGACTAAGCC", cds: (6, 24), junctions: [14]);
Console.WriteLine($"{transcript.Id}\t{predictor.Task.Targets[0]} {predictor.Predict(transcript.Tracks)[0]:0.0000}");
