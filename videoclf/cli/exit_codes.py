"""What the command says to the shell when it ends."""

EXIT_FAILED = 1
"""An input failed; the others were done."""

EXIT_USAGE = 2
"""Wrong usage."""

EXIT_INTERRUPTED = 130
"""By Ctrl-C."""
