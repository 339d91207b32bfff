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

    /// <summary>Runs a command line.</summary>
    internal static Outcome Run(Scene scene, params string[] arguments)
    {
        string[] lines = ShimChild.Run(scene, typeof(CommandChild), new Dictionary<string, string> { [Arguments] = string.Join('\n', arguments) });
        int error = Array.IndexOf(lines, "--- error");
        return new Outcome(int.Parse(lines[0]), lines[1..error], lines[(error + 1)..]);
    }

    [Fact(Explicit = true)]
    public void Runs_in_a_child_process()
    {
        using SimDriver sim = Connect();
        using var output = new MemoryStream();
        using var error = new StringWriter();
        int code = Cli.Cli.Run(Environment.GetEnvironmentVariable(Arguments)!.Split('\n'), output, error);
        Answer([$"{code}", .. Lines(Encoding.UTF8.GetString(output.ToArray())), "--- error", .. Lines(error.ToString())]);

        static string[] Lines(string text) => text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }
}
