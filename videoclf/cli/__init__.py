"""The command line: one thin file a subcommand, over the public API."""
