namespace Orthrus.Tensor;

/// <summary>Whether a kernel may move four floats at once.</summary>
internal static class Quads
{
    private const int Bytes = 16;

    /// <summary>1 where rows of a width that begin at some addresses, or-ed together, all begin at 16 bytes and consist of quads; else 0.</summary>
    internal static int Fit(long width, nint addresses) => width % 4 == 0 && addresses % Bytes == 0 ? 1 : 0;
}
