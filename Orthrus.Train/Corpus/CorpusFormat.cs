namespace Orthrus.Train;

/// <summary>Part of a corpus.</summary>
public enum CorpusSplit : byte
{
    /// <summary>For training.</summary>
    Train = 0,
    /// <summary>For validation.</summary>
    Valid = 1,
    /// <summary>For the last test.</summary>
    Test = 2,
}

/// <summary>What is known of a transcript of a corpus.</summary>
[Flags]
public enum TranscriptFlags : byte
{
    /// <summary>Nothing particular.</summary>
    None = 0,
    /// <summary>Exon junctions are not known (NA): only the last base bears a splice mark.</summary>
    JunctionsUnknown = 1,
    /// <summary>The source does not say whether there is a CDS.</summary>
    CdsUnknown = 2,
    /// <summary>It has codon marks.</summary>
    Coding = 4,
    /// <summary>Its CDS was called as the longest open reading frame.</summary>
    CdsCalled = 8,
    /// <summary>It is a projection of a reference transcript onto another genome (TOGA).</summary>
    Projected = 16,
}

/// <summary>Names of the tensors of a corpus file and keys of its metadata.</summary>
internal static class CorpusFormat
{
    internal const string Kind = "orthrus-corpus", Version = "1";

    internal const string KeyFormat = "format", KeyVersion = "format_version", KeyCount = "transcripts", KeyTracksHash = "tracks_sha256", KeyIndexHash = "index_sha256",
        KeySources = "sources", KeyFilters = "filters", KeyHomology = "homology", KeySplits = "splits";

    internal const string Tracks = "tracks", Offset = "offset", IdOffset = "id_offset", Member = "gene_member", GeneFirst = "gene_first", GroupFirst = "group_first",
        Gene = "gene", FirstMark = "first_mark", LastMark = "last_mark", GeneGroup = "gene_group", GeneFamily = "gene_family", GeneSpecies = "gene_species",
        Flags = "flags", Split = "split", IdText = "id_text";

    /// <summary>Tables of names: NAME_offset (I64, one more than there are) and NAME_text (UTF-8).</summary>
    internal const string GeneId = "gene_id", GeneSymbol = "gene_symbol", GroupName = "group_name", FamilyName = "family_name", SpeciesName = "species_name";
}
