namespace Orthrus.Mamba.Torch;

/// <summary>
/// Names that no checkpoint needs and that could run code, read files or open connections in Python. Nothing is called here in any case; a file that
/// mentions one was made to attack whoever loads it elsewhere, and says so instead of half-loading.
/// </summary>
internal static class ForbiddenGlobals
{
    private static readonly HashSet<string> Modules = new(StringComparer.Ordinal)
    {
        "os", "posix", "nt", "subprocess", "commands", "sys", "importlib", "runpy", "pickle", "_pickle", "cPickle", "shutil", "socket", "ctypes", "pty", "webbrowser",
        "operator", "_operator", "code", "codeop", "marshal", "multiprocessing", "asyncio", "threading", "_thread", "dill", "cloudpickle", "joblib", "timeit", "pdb", "bdb", "cProfile",
        "profile", "trace", "types", "inspect", "gc", "signal", "tempfile", "zipfile", "tarfile", "urllib", "http", "ftplib", "smtplib", "requests", "xmlrpc", "pip",
        "ensurepip", "venv", "distutils", "setuptools", "pkgutil", "imp", "zipimport", "site", "doctest", "antigravity", "idlelib", "lib2to3", "turtledemo",
    };

    // Plain containers in modules that otherwise make code.
    private static readonly HashSet<string> Harmless = new(StringComparer.Ordinal) { "types.SimpleNamespace", "types.MappingProxyType" };

    private static readonly HashSet<string> Builtins = new(StringComparer.Ordinal)
    {
        "eval", "exec", "execfile", "compile", "open", "file", "getattr", "setattr", "delattr", "__import__", "globals", "locals", "vars", "input", "raw_input", "breakpoint",
        "apply", "reload", "dir", "memoryview", "exit", "quit", "help",
    };

    private static readonly string[] Torch = ["load", "hub", "jit", "ops", "package", "serialization.load", "utils.cpp_extension", "distributed.rpc", "multiprocessing", "_dynamo", "_inductor"];

    internal static bool Contains(string module, string name)
    {
        // A dotted name reaches an attribute of an attribute: judged by its whole path.
        string path = module + "." + name;
        if (module is "builtins" or "__builtin__") return Builtins.Contains(name.Split('.')[0]);
        if (Modules.Contains(module.Split('.')[0])) return !Harmless.Contains(path);
        foreach (string t in Torch)
            if (path == "torch." + t || path.StartsWith("torch." + t + ".", StringComparison.Ordinal)) return true;
        // numpy.load and its kind read files; f2py and testing run commands.
        return path is "numpy.load" or "numpy.fromfile" or "numpy.memmap" or "numpy.loadtxt" or "numpy.genfromtxt"
            || path.StartsWith("numpy.f2py.", StringComparison.Ordinal) || path.StartsWith("numpy.testing.", StringComparison.Ordinal) || path.StartsWith("numpy.distutils.", StringComparison.Ordinal);
    }
}
