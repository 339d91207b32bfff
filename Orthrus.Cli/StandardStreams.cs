using System.Runtime.InteropServices;
using System.Text;

namespace Orthrus.Cli;

/// <summary>What may be amiss with the streams that a process is started with.</summary>
internal static partial class StandardStreams
{
    internal const int Input = 0, Output = 1, Error = 2;

    private const int GetFlags = 1, CloseOnExec = 1;

    /// <summary>
    /// False where the process was started with this descriptor closed (`2>&-`). The runtime then opens files of its own under the number,
    /// which a descriptor that came through exec can be told from: those are not marked to be closed on exec.
    /// </summary>
    internal static bool IsGiven(int descriptor)
    {
        if (OperatingSystem.IsWindows()) return true;
        int flags = Control(descriptor, GetFlags);
        return flags >= 0 && (flags & CloseOnExec) == 0;
    }

    /// <summary>stderr that never fails: what cannot be said must not end the work.</summary>
    internal static TextWriter OpenError() => IsGiven(Error) ? new Forgiving(Console.Error) : TextWriter.Null;

    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static partial int Control(int descriptor, int command);

    /// <summary>A writer whose medium may be full or gone.</summary>
    internal sealed class Forgiving(TextWriter inner) : TextWriter
    {
        public override Encoding Encoding => inner.Encoding;

        public override void Write(char value) => Try(() => inner.Write(value));

        public override void Write(char[] buffer, int index, int count) => Try(() => inner.Write(buffer, index, count));

        public override void Write(string? value) => Try(() => inner.Write(value));

        public override void WriteLine(string? value) => Try(() => inner.WriteLine(value));

        public override void Flush() => Try(inner.Flush);

        private static void Try(Action write)
        {
            try
            {
                write();
            }
            catch (IOException)
            {
            }
        }
    }
}
