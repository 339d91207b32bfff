using Orthrus.Mamba;
using Orthrus.Rna;

namespace Orthrus.Cli.Probing;

/// <summary>Models for labelled tables.</summary>
internal static class TaskModel
{
    /// <summary>Loads the model that fits a table.</summary>
    /// <param name="name">Path or name; of a built-in model the form for the marks is taken.</param>
    /// <param name="marks">Whether the rows have codon and splice marks, or are blank on purpose.</param>
    /// <param name="path">The table, for messages.</param>
    /// <exception cref="InputDataException">The model cannot be loaded, or wants marks that the table does not have.</exception>
    internal static OrthrusModel Load(string name, bool marks, string path)
    {
        name = BuiltInModels.ForInput(name, marks);
        var model = OrthrusModel.Load(name);
        RequireTracks(model, name, marks, path);
        return model;
    }

    /// <summary>Refuses a model that wants marks where there are none.</summary>
    internal static void RequireTracks(OrthrusModel model, string name, bool marks, string path)
    {
        if (model.Config.NTracks is not (4 or 6))
            throw new InputDataException(name, null, $"the model reads {model.Config.NTracks} tracks; transcripts have 4 or 6", "use a model with 4 or 6 tracks");
        if (model.Config.NTracks == 6 && !marks)
            throw new InputDataException(path, null, $"model {model.Name} reads 6 tracks, but the table has neither cds_start and cds_end nor exon_junctions",
                "give a 4-track model, --cds longest-orf, or --blank-tracks");
    }
}

/// <summary>Files that are written whole: aside first, then renamed.</summary>
internal static class WholeFile
{
    /// <summary>Writes a file.</summary>
    /// <exception cref="OutputException">It cannot be written.</exception>
    internal static void Write(string path, byte[] content)
    {
        try
        {
            string aside = path + ".partial";
            File.WriteAllBytes(aside, content);
            File.Move(aside, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw IoErrors.Writing(path, e, resumable: false);
        }
    }
}
