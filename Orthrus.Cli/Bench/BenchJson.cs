using System.Runtime.InteropServices;
using System.Text.Json;
using Orthrus.Tensor.Cpu;

namespace Orthrus.Cli.Bench;

/// <summary>Writes figures as one JSON object that begins with what they were measured on.</summary>
internal static class BenchJson
{
    internal static void Write(string path, Action<Utf8JsonWriter> figures)
    {
        string aside = path + ".part";
        try
        {
            using (var file = File.Create(aside))
            using (var json = new Utf8JsonWriter(file, new JsonWriterOptions { Indented = true }))
            {
                json.WriteStartObject();
                json.WriteString("orthrus", Embed.EmbedRun.Version);
                json.WriteString("runtime", RuntimeInformation.FrameworkDescription);
                json.WriteString("architecture", RuntimeInformation.ProcessArchitecture.ToString());
                json.WriteNumber("processors", Environment.ProcessorCount);
                json.WriteNumber("vector_bits", VectorWidths.Default);
                figures(json);
                json.WriteEndObject();
            }
            File.Move(aside, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw IoErrors.Writing(path, e, resumable: false);
        }
    }
}
