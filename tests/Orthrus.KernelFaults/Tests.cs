using System.Diagnostics;
using System.Reflection;
using System.Runtime.ExceptionServices;
using Orthrus.TestSupport;
using Xunit;
using Xunit.Sdk;

namespace Orthrus.KernelFaults;

/// <summary>One row of one test method.</summary>
internal sealed record TestRow(string Name, MethodInfo Method, object?[] Arguments);

/// <summary>
/// The tests of the kernels, run in this process: the simulator checks every access, so that a faulty kernel cannot harm it. Tests that only count what kernels cost,
/// those of drivers and compilers, and those of what the simulator draws, are left out: a fault must show as a failed check, a wrong result or results that depend on the seed.
/// </summary>
internal static class Tests
{
    private static readonly HashSet<string> LeftOut =
    [
        "ByteBudgetTests", "TrafficTests", "KernelTests", "HeaderValuesTests", "DeviceErrorTests",
        "LinearTests.Tensor_cores_get_an_instruction_for_at_most_one_other", "LinearTests.Shared_memory_has_no_conflicts_in_any_tile", "ScanBudgetTests", "SimulatorSpeedTests",
        "OpTests.A_scan_is_within_its_bound_for_every_draw_of_the_special_functions",
        "SimilarityTests.Tiles_meet_in_no_bank_and_waste_no_sector", "SimilarityTests.Memory_grows_with_rows_times_width_not_with_their_square",
    ];

    // Of the driver's tests the one that judges the engine's use of it.
    private const string StagingClass = "CopyTests", Staging = "The_engine_s_staging_survives_every_order";

    internal static List<TestRow> Of(Assembly assembly)
    {
        List<TestRow> rows = [];
        foreach (var type in assembly.GetExportedTypes().Where(t => (t.Namespace == "Orthrus.Cuda.Tests" && !LeftOut.Contains(t.Name)) || t.Name == StagingClass))
            foreach (var method in type.GetMethods(BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static))
            {
                if (method.GetCustomAttribute<FactAttribute>() is null || (type.Name == StagingClass && method.Name != Staging) || LeftOut.Contains($"{type.Name}.{method.Name}") || IsLong(method) || IsLong(type)) continue;
                foreach (object?[] arguments in TheoryRows.Of(method))
                    rows.Add(new($"{type.Name}.{method.Name}({string.Join(", ", arguments)})", method, arguments));
            }
        return rows;
    }

    /// <summary>Runs a test; null where it passes, else the first line of what is wrong.</summary>
    internal static string? Run(TestRow test)
    {
        object? instance = null;
        try
        {
            instance = test.Method.IsStatic ? null : Make(test.Method.DeclaringType!);
            test.Method.Invoke(instance, test.Arguments);
            return null;
        }
        catch (TargetInvocationException e) when (e.InnerException is { } inner)
        {
            if (inner is SkipException) return null;
            if (inner is OutOfMemoryException) ExceptionDispatchInfo.Throw(inner);
            // The message of a failed assertion names the operator's problems behind its first line.
            return string.Join(' ', inner.Message.Split('\n').Select(l => l.Trim()).Where(l => l.Length > 0).Take(3));
        }
        finally
        {
            try
            {
                (instance as IDisposable)?.Dispose();
            }
            catch (Exception e) when (e is not OutOfMemoryException)
            {
                Debug.WriteLine(e);
            }
        }
    }

    // Classes of tests take nothing, or where to write to.
    private static object Make(Type type) => Activator.CreateInstance(type, type.GetConstructors().Single().GetParameters().Length == 0 ? [] : [new Silence()])!;

    private sealed class Silence : ITestOutputHelper
    {
        public string Output => "";

        public void Write(string message) { }

        public void Write(string format, params object[] args) { }

        public void WriteLine(string message) { }

        public void WriteLine(string format, params object[] args) { }
    }

    private static bool IsLong(MemberInfo member) => member.GetCustomAttributes<TraitAttribute>().Any(t => t is { Name: "tier", Value: "long" });
}
