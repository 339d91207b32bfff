return Orthrus.Cli.Cli.Run(args);
