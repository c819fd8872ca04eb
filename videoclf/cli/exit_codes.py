"""Exit codes of the command."""

EXIT_FAILED = 1
"""An input failed; the others were processed."""

EXIT_USAGE = 2
"""Wrong usage."""

EXIT_INTERRUPTED = 130
"""Interrupted by Ctrl-C."""
