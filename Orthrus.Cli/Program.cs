using System.CommandLine;
using Orthrus.Cli;

// One verb, one file. The order is the order of `orthrus --help`.
var root = new RootCommand("Embeddings of mature RNA transcripts with Orthrus, on any machine.");
foreach (var verb in Verbs.All()) root.Subcommands.Add(verb);
root.Options.Add(Errors.Verbose);
return Errors.Run(root, args);
