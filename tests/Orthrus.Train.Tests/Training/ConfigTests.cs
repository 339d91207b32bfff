using Orthrus.Rna;

namespace Orthrus.Train.Tests.Training;

public class ConfigTests
{
    public static IEnumerable<TheoryDataRow<string>> Presets() => TrainPresets.All.Select(p => new TheoryDataRow<string>(p.Name));

    [Theory, MemberData(nameof(Presets))]
    public void What_is_written_reads_as_the_same(string preset)
    {
        var config = TrainPresets.Find(preset);
        config.Validate();
        var read = ConfigKeys.Read(new TrainConfig { Width = 7, Exempt = true }, "c.yaml", ConfigKeys.Write(config));
        // A value without a key would differ in the record alone.
        Assert.Equal(ConfigKeys.Write(config), ConfigKeys.Write(read));
        Assert.True(config == read, "a value has no key");
    }

    [Fact]
    public void Published_presets_have_the_published_values()
    {
        var v1 = TrainPresets.Find("v1-6track");
        Assert.Equal((512, 6, 6, 130, 0.8, 0.0, 20_000L), (v1.Width, v1.Layers, v1.Tracks, v1.Pairs.Pairs, v1.OrthologWeight, v1.ClipNorm, v1.Steps));
        Assert.Equal((1e-3, 5e-5, 1e-3, 1e-4), (v1.ModelRate, v1.ModelDecay, v1.HeadRate, v1.HeadDecay));
        Assert.Equal(0.3, v1.Pairs.Augmentation.MaskSequence);
        var v0 = TrainPresets.Find("base-4track");
        Assert.Equal((256, 3, 4, 240, 1.0, 5.0, 1e-5), (v0.Width, v0.Layers, v0.Tracks, v0.Pairs.Pairs, v0.OrthologWeight, v0.ClipNorm, v0.ModelDecay));
        Assert.Equal(0.15, v0.Pairs.Augmentation.MaskAll);
        var mlm = TrainPresets.Find("v1-mlm-6track");
        Assert.Equal((true, true, 0.05, 0.95, 0.15), (mlm.Contrastive, mlm.MaskedBases, mlm.ContrastiveEnd, mlm.MaskedEnd, mlm.MaskProbability));
        var tiny = TrainPresets.Find("tiny");
        Assert.Equal((64, 2, 6), (tiny.Width, tiny.Layers, tiny.Tracks));
        Assert.Equal((1e-4, 256, 3, 0.8), (TrainPresets.Find("v1-6track,base,lower-lr").ModelRate, TrainPresets.Find("v1-6track,base,lower-lr").Width, TrainPresets.Find("v1-6track,base,lower-lr").Layers, TrainPresets.Find("v1-6track,base,lower-lr").OrthologWeight));
    }

    [Fact]
    public void A_file_may_name_its_preset_and_say_only_what_differs()
    {
        var c = ConfigKeys.Read(new TrainConfig(), "c.yaml", "# mine\npreset: tiny\noptimiser:\n  model_lr: 2e-3   # faster\n  schedule: \"warmup\"\n\nloss:\n    form: 'joint'\n    tau: 0.2\n");
        Assert.Equal((64, 2e-3, 0.2, Orthrus.Tensor.Dcl.Form.Joint), (c.Width, c.ModelRate, c.Tau, c.Form));
    }

    [Theory]
    [InlineData("loss:\n  tua: 0.1\n", "line 2", "there is no key loss.tua", "loss.tau")]
    [InlineData("loss:\n  tau: 0.1\noptimizer:\n  model_lr: 1\n", "line 4", "optimizer.model_lr", "did you mean optimiser.model_lr?")]
    [InlineData("model_lr: 1\n", "line 1", "there is no key model_lr", "optimiser.model_lr")]
    [InlineData("loss:\n  tau: small\n", "line 2", "small does not fit", "temperature")]
    [InlineData("loss:\n  form: both\n", "line 2", "both does not fit", "sum_of_logs, joint")]
    [InlineData("loss:\n  tau: 0.1\n  tau: 0.2\n", "line 3", "loss.tau occurs twice", "")]
    [InlineData("loss:\n  tau: 0.1\nloss:\n  form: joint\n", "line 3", "loss occurs twice", "")]
    [InlineData("loss:\n\ttau: 0.1\n", "line 2", "tab", "spaces")]
    [InlineData("loss:\n  tau: 0.1\n   form: joint\n", "line 3", "indented by 3", "alike")]
    [InlineData("loss:\n  - tau\n", "line 2", "'-'", "key: value")]
    [InlineData("loss:\n  tau: [1, 2]\n", "line 2", "'['", "plain value")]
    [InlineData("loss:\n  tau: &x 1\n", "line 2", "'&'", "")]
    [InlineData("loss:\nrun:\n  steps: 3\n", "line 2", "no values", "")]
    [InlineData("run:\n  steps: 3\nloss:\n", "line 4", "no values", "")]
    [InlineData("run:\n  steps: -3\n", "line 2", "-3 does not fit", "")]
    [InlineData("run:\n  steps: 99999999999999999999\n", "line 2", "does not fit", "")]
    [InlineData("loss:\n  tau: nan\n", "line 2", "does not fit", "")]
    [InlineData("loss\n", "line 1", "key: value", "")]
    [InlineData("loss:\n  form: \"joint\n", "line 2", "not closed", "")]
    [InlineData("preset: nosuch\n", "line 1", "there is no preset nosuch", "tiny")]
    public void Mistakes_are_named_with_file_and_line(string text, string line, string problem, string remedy)
    {
        var e = Assert.Throws<InputDataException>(() => ConfigKeys.Read(new TrainConfig(), "c.yaml", text));
        Assert.StartsWith("c.yaml, " + line + ":", e.Message);
        Assert.Contains(problem, e.Message);
        Assert.Contains(remedy, e.Message);
    }

    /// <summary>Pairs of long, short and validation batches, spec 6.6.</summary>
    [Theory]
    [InlineData("base-4track", 40, 240, 40)]
    [InlineData("large-6track", 50, 150, 50)]
    [InlineData("large-4track", 50, 150, 50)]
    [InlineData("v1-6track", 30, 130, 30)]
    [InlineData("v1-mlm-6track", 30, 130, 30)]
    [InlineData("v1-mlm-only", 45, 130, 45)]
    [InlineData("v1-6track,a100-512x4", 65, 210, 65)]
    public void Batches_are_the_published_ones(string names, int longPairs, int pairs, int validation)
    {
        var config = TrainPresets.Find(names);
        Assert.Equal((longPairs, pairs, validation), (config.Pairs.LongPairs, config.Pairs.Pairs, config.ValidationPairs));
    }

    [Fact]
    public void A_part_about_masks_keeps_windows_and_lone_transcripts_of_the_run()
    {
        var config = TrainPresets.Find("tiny,mask-15");
        Assert.Equal((512, true, 16, 0.15), (config.Pairs.Augmentation.Crop, config.Pairs.KeepAlone, config.Pairs.Pairs, config.Pairs.Augmentation.MaskSequence));
        Assert.True(TrainPresets.Find("v1-6track,self").Pairs.KeepAlone);
    }

    [Theory]
    [InlineData("model.tracks", "5")]
    [InlineData("loss.contrastive", "false")]
    [InlineData("loss.splice_codon", "true")]
    [InlineData("loss.splice_codon_end", "1000")]
    [InlineData("loss.words", "7")]
    [InlineData("data.pairs", "1")]
    [InlineData("run.accumulate", "0")]
    [InlineData("optimiser.ema", "1")]
    public void Values_that_make_no_sense_are_refused_by_name(string key, string value)
    {
        var e = Assert.Throws<ArgumentException>(() => ConfigKeys.Set(TrainPresets.Find("v1-6track"), key, value).Validate());
        Assert.Contains(key.Split('.')[0], e.Message);
    }
}
