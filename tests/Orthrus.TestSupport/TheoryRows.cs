using System.Collections;
using System.Reflection;
using Xunit;

namespace Orthrus.TestSupport;

/// <summary>Rows of test methods, for code that calls them itself.</summary>
public static class TheoryRows
{
    /// <summary>Arguments of each row; one empty row for a fact.</summary>
    public static IEnumerable<object?[]> Of(MethodInfo method)
    {
        if (method.GetCustomAttribute<TheoryAttribute>() is null) return [[]];
        var members = method.GetCustomAttributes<MemberDataAttribute>().SelectMany(a => Member(method.DeclaringType!, a).Cast<object?>());
        return method.GetCustomAttributes<InlineDataAttribute>().Select(a => a.Data).Concat(members.Select(r => r switch
        {
            ITheoryDataRow row => row.GetData(),
            object?[] values => values,
            _ => [r],
        })).Select(r => Fitting(method, r));
    }

    private static IEnumerable Member(Type type, MemberDataAttribute data)
    {
        const BindingFlags All = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.FlattenHierarchy;
        object? value = type.GetProperty(data.MemberName, All) is { } property ? property.GetValue(null) : type.GetMethod(data.MemberName, All)?.Invoke(null, data.Arguments);
        return (IEnumerable?)value ?? throw new InvalidOperationException($"{type.Name} has no {data.MemberName}");
    }

    // Inline data have the compiler's types: an int literal goes to a parameter of type long or float.
    private static object?[] Fitting(MethodInfo method, object?[] row) =>
        [.. row.Zip(method.GetParameters(), (value, p) => value is null || p.ParameterType.IsInstanceOfType(value) || p.ParameterType.IsEnum ? value : Convert.ChangeType(value, Nullable.GetUnderlyingType(p.ParameterType) ?? p.ParameterType))];
}
