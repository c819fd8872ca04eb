"""The command line: one short module for each subcommand, on top of the public API."""
