using System.Security.Cryptography;
using System.Text;

namespace Orthrus.Tensor.Cuda;

/// <summary>
/// Finds the image of a kernel for a device: the cubin in the user's cache; NVRTC for this architecture, which fills the cache; the PTX that comes with
/// the engine, which the driver finishes. Without NVRTC a cubin counts whichever version made it. A simulated device takes PTX: what comes with the engine, or NVRTC's where that is older than its source.
/// </summary>
internal static class CudaImages
{
    /// <summary>Environment variable: folder of the cubin cache.</summary>
    internal const string CacheVariable = "ORTHRUS_CACHE";

    /// <summary>Origin of an image: NVRTC made it now, NVRTC made it earlier, or it comes with the engine.</summary>
    internal const string FromNvrtc = "NVRTC", FromCache = "cache", FromEmbedded = "embedded PTX";

    private const int Checksum = 32;

    /// <summary>The image, closed by a zero byte as the driver wants PTX.</summary>
    /// <param name="source">The source.</param>
    /// <param name="architecture">Compute capability of the device times ten.</param>
    /// <param name="bfloat16">BF16 activations.</param>
    /// <param name="takesMachineCode">False for a simulated device.</param>
    /// <param name="origin">Where it came from, for reports.</param>
    /// <exception cref="CudaException">There is no way to an image; the message says why each failed.</exception>
    internal static byte[] Find(CudaSource source, int architecture, bool bfloat16, bool takesMachineCode, out string origin)
    {
        if (bfloat16 && architecture < 80) throw new DeviceException($"BF16 needs a device of compute capability 8.0 or newer; this one has {architecture / 10}.{architecture % 10}: use --dtype f32");
        var embedded = CudaVariant.Embedded.Last(v => v.Architecture <= architecture && v.BFloat16 == bfloat16);
        if (!takesMachineCode)
        {
            if (Embedded(source, architecture, bfloat16) is { } own)
            {
                origin = FromEmbedded;
                return own;
            }
            return Cached(source, embedded, machineCode: false, out origin);
        }
        // An NVRTC that does not know the device yet makes PTX for the newest that it knows; one that no longer knows any as old makes nothing.
        if (Nvrtc.IsAvailable && Nvrtc.Architectures.LastOrDefault(a => a <= architecture) is > 0 and var known)
            return Cached(source, new(known, bfloat16), machineCode: known == architecture, out origin);
        if (!Nvrtc.IsAvailable && Newest(source, new(architecture, bfloat16)) is { } earlier)
        {
            origin = FromCache;
            return earlier;
        }
        origin = FromEmbedded;
        return Embedded(source, architecture, bfloat16)
            ?? throw new CudaException("image", $"cuda/{source.Name}.cu has no compiled form inside the program, and {Nvrtc.WhyNot ?? $"NVRTC {Nvrtc.Version} does not compile for {architecture / 10}.{architecture % 10}"}; install NVRTC (libnvrtc of CUDA 11.8 to 13)");
    }

    /// <summary>What comes with the engine for an architecture, or null.</summary>
    internal static byte[]? Embedded(CudaSource source, int architecture, bool bfloat16) => EmbeddedPtx(source, architecture, bfloat16) is { } ptx ? Text(ptx) : null;

    /// <summary>The newest embedded form that the architecture runs; forms that would be the same as an older one are left out.</summary>
    private static string? EmbeddedPtx(CudaSource source, int architecture, bool bfloat16) =>
        CudaVariant.Embedded.Where(v => v.Architecture <= architecture && v.BFloat16 == bfloat16).Reverse().Select(v => CudaResources.Ptx(source, v)).FirstOrDefault(p => p is not null);

    /// <summary>Folder of the cache: $ORTHRUS_CACHE, or the user's cache folder.</summary>
    internal static string CacheFolder()
    {
        if (Environment.GetEnvironmentVariable(CacheVariable) is { Length: > 0 } chosen) return chosen;
        string? root = OperatingSystem.IsWindows() ? Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData) : Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
        if (string.IsNullOrEmpty(root)) root = Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
        return Path.Combine(root, "orthrus", "kernels");
    }

    private static byte[] Cached(CudaSource source, CudaVariant variant, bool machineCode, out string origin)
    {
        string path = PathOf(source, variant, machineCode, Nvrtc.Version.ToString());
        origin = FromCache;
        if (Read(path) is { } image) return image;
        origin = FromNvrtc;
        byte[] made = CudaResources.Compile(source, variant, machineCode).Image;
        image = machineCode ? made : [.. made, 0];
        Write(path, image);
        return image;
    }

    // The name holds everything that an image depends on: architecture, activations, a hash of source and options, NVRTC's version.
    private static string PathOf(CudaSource source, CudaVariant variant, bool machineCode, string version) =>
        Path.Combine(CacheFolder(), $"{source.Name}.{variant}.{CudaResources.Key(source, variant.Options(machineCode))[..32]}.{version}.{(machineCode ? "cubin" : "ptx")}");

    /// <summary>The cubin of the newest NVRTC that is in the cache, or null.</summary>
    private static byte[]? Newest(CudaSource source, CudaVariant variant)
    {
        try
        {
            string all = Path.GetFileName(PathOf(source, variant, machineCode: true, "*"));
            return !Directory.Exists(CacheFolder()) ? null : Directory.GetFiles(CacheFolder(), all)
                .OrderByDescending(f => Version.TryParse(Path.GetFileName(f)[(all.IndexOf('*', StringComparison.Ordinal))..^".cubin".Length], out var v) ? v : new Version()).Select(Read).FirstOrDefault(image => image is not null);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Takes a kernel's images for an architecture out of the cache: the driver refuses them.</summary>
    internal static void Forget(CudaSource source, int architecture, bool bfloat16)
    {
        if (Nvrtc.IsAvailable && Nvrtc.Architectures.LastOrDefault(a => a <= architecture) is > 0 and var known)
            TryDelete(PathOf(source, new(known, bfloat16), known == architecture, Nvrtc.Version.ToString()));
    }

    /// <summary>A cache entry, or null where it is missing or damaged: an entry ends with the SHA-256 of what stands before.</summary>
    internal static byte[]? Read(string path)
    {
        try
        {
            byte[] file = File.ReadAllBytes(path);
            if (file.Length <= Checksum || !SHA256.HashData(file.AsSpan(0, file.Length - Checksum)).AsSpan().SequenceEqual(file.AsSpan(file.Length - Checksum))) return null;
            return file[..^Checksum];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Writes an entry aside and renames it: two processes may fill the cache at once. A folder that cannot be written is no error, only slower.</summary>
    internal static bool Write(string path, byte[] image)
    {
        string aside = $"{path}.{Environment.ProcessId}.{Guid.NewGuid():N}";
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllBytes(aside, [.. image, .. SHA256.HashData(image)]);
            File.Move(aside, path, overwrite: true);
            return true;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            TryDelete(aside);
            return false;
        }
    }

    /// <summary>Why the cache folder cannot be written, or null where it can.</summary>
    internal static string? WhyNotWritable()
    {
        try
        {
            string folder = CacheFolder();
            Directory.CreateDirectory(folder);
            using var probe = new FileStream(Path.Combine(folder, $"probe.{Environment.ProcessId}.{Guid.NewGuid():N}"), FileMode.CreateNew, FileAccess.Write, FileShare.None, 1, FileOptions.DeleteOnClose);
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return e.Message;
        }
    }

    private static void TryDelete(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Its folder cannot be written; then there is nothing to delete either.
        }
    }

    private static byte[] Text(string ptx) => [.. Encoding.UTF8.GetBytes(ptx), 0];
}
