using Orthrus.Cli.Embed;

namespace Orthrus.Cli.Tests;

/// <summary>What a long run says while it runs.</summary>
public class ProgressTests
{
    private sealed class Clock : TimeProvider
    {
        internal long Seconds;
        public override long TimestampFrequency => 1;
        public override long GetTimestamp() => Seconds;
    }

    [Fact]
    public void A_log_gets_a_line_every_ten_seconds_with_rate_and_time_left()
    {
        var clock = new Clock();
        using var error = new StringWriter();
        double? fraction = 0.25;
        var progress = new Progress(error, interactive: false, quiet: false, () => fraction, clock);
        clock.Seconds = 9;
        progress.Tick(1, 1000, 1000);
        Assert.Equal("", error.ToString());
        clock.Seconds = 30;
        progress.Tick(1234, 6_000_000, 6_000_000);
        Assert.Equal("25 %: 1,234 transcripts, 6,000,000 nt, 200,000 nt/s, 1 min 30 s left", error.ToString().Trim());
        clock.Seconds = 36;
        progress.Tick(2000, 7_000_000, 7_000_000);
        Assert.Single(error.ToString().Trim().Split('\n'));
    }

    [Fact]
    public void What_an_earlier_run_did_counts_neither_for_the_rate_nor_for_the_time_left()
    {
        var clock = new Clock();
        using var error = new StringWriter();
        double? fraction = 0.5;
        var progress = new Progress(error, interactive: false, quiet: false, () => fraction, clock);
        clock.Seconds = 100;
        progress.Restart();
        clock.Seconds = 130;
        fraction = 0.75;
        progress.Tick(10, 9000, 3000);
        Assert.Equal("75 %: 10 transcripts, 9,000 nt, 100 nt/s, 30 s left", error.ToString().Trim());
        Assert.Equal(TimeSpan.FromSeconds(30), progress.Elapsed);
    }

    [Theory]
    [InlineData(null)]
    [InlineData(1.0)]
    public void Nothing_is_guessed_where_the_input_does_not_tell_how_much_is_left(double? fraction)
    {
        var clock = new Clock();
        using var error = new StringWriter();
        var progress = new Progress(error, interactive: false, quiet: false, () => fraction, clock);
        clock.Seconds = 10;
        progress.Tick(3, 500, 500);
        Assert.Equal("3 transcripts, 500 nt, 50 nt/s", error.ToString().Trim());
    }

    [Fact]
    public void A_terminal_gets_a_bar_that_goes_away_and_quiet_is_quiet()
    {
        var clock = new Clock();
        using var error = new StringWriter();
        var progress = new Progress(error, interactive: true, quiet: false, () => 0.5, clock);
        clock.Seconds = 1;
        progress.Tick(3, 500, 500);
        progress.Clear();
        Assert.Equal("\r[############............] 3 transcripts, 500 nt, 500 nt/s, 1 s left\u001b[K\r\u001b[K", error.ToString());
        using var silent = new StringWriter();
        progress = new Progress(silent, interactive: true, quiet: true, () => 0.5, clock);
        clock.Seconds = 100;
        progress.Tick(3, 500, 500);
        progress.Clear();
        Assert.Equal("", silent.ToString());
    }
}
