using System.Text;
using Orthrus.PtxSim;
using static Orthrus.Cuda.Tests.Shim.ShimChild;

namespace Orthrus.Cuda.Tests.Shim;

/// <summary>A command line of `orthrus` in a process whose NVIDIA libraries are those of a scene; asked for by <see cref="Run"/>, never by a normal run of the tests.</summary>
public sealed class CommandChild
{
    private const string Arguments = "ORTHRUS_SHIM_ARGUMENTS";

    /// <summary>What a command left.</summary>
    internal sealed record Outcome(int Code, string[] Out, string[] Error)
    {
        public override string ToString() => $"exit {Code}\n--- stdout\n{string.Join('\n', Out)}\n--- stderr\n{string.Join('\n', Error)}";

        /// <summary>The one line of an error, after asserting the exit code.</summary>
        internal string Failed(int code)
        {
            Assert.True(Code == code, ToString());
            return Assert.Single(Error);
        }

        internal Outcome Succeeded()
        {
            Assert.True(Code == 0, ToString());
            return this;
        }
    }

    /// <summary>Runs a command line in a process of its own.</summary>
    internal static Outcome Run(Scene scene, params string[] arguments) => Run(scene, [arguments])[0];

    /// <summary>Runs command lines one after the other in a process of their own.</summary>
    internal static Outcome[] Run(Scene scene, params string[][] commands)
    {
        string[] lines = ShimChild.Run(scene, typeof(CommandChild), new Dictionary<string, string> { [Arguments] = string.Join(NextCommand, commands.Select(c => string.Join('\n', c))) });
        List<Outcome> outcomes = [];
        for (int at = 0, error, end; at < lines.Length; at = end + 1)
        {
            (error, end) = (Array.IndexOf(lines, ErrorFollows, at), Array.IndexOf(lines, End, at));
            outcomes.Add(new(int.Parse(lines[at]), lines[(at + 1)..error], lines[(error + 1)..end]));
        }
        Assert.Equal(commands.Length, outcomes.Count);
        return [.. outcomes];
    }

    private const string NextCommand = "\n\n", ErrorFollows = "--- error", End = "--- end";

    [Fact(Explicit = true)]
    public void Runs_in_a_child_process()
    {
        using SimDriver sim = Connect();
        List<string> lines = [];
        foreach (string command in Environment.GetEnvironmentVariable(Arguments)!.Split(NextCommand))
        {
            using var output = new MemoryStream();
            using var error = new StringWriter();
            int code = Cli.Cli.Run(command.Split('\n'), output, error);
            lines.AddRange([$"{code}", .. Lines(Encoding.UTF8.GetString(output.ToArray())), ErrorFollows, .. Lines(error.ToString()), End]);
        }
        Answer(lines);

        static string[] Lines(string text) => text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }
}
