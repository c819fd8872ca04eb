"""The command line: one short module for each command, on top of the public API."""
