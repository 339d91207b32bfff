using System.Runtime.CompilerServices;

namespace Orthrus.Cli.Tests;

/// <summary>Keeps what tests cache out of the user's own folder; processes that tests start inherit it.</summary>
internal static class CacheFolder
{
    [ModuleInitializer]
    internal static void Set()
    {
        string folder = Directory.CreateTempSubdirectory("orthrus-cache-").FullName;
        Environment.SetEnvironmentVariable("ORTHRUS_CACHE", folder);
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(folder, recursive: true);
    }
}
