"""How a command ends: its exit status, and one line for input that cannot be used."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


def status_of(command: Callable[[], int]) -> int:
    """Run a command; input that it cannot use is one line on stderr.

    Args:
        command: Does the work and returns its exit status.

    Returns:
        That status; 2 for a ValueError, an OSError or a RuntimeError, which with
        HEALSWIN_TRACEBACK in the environment are raised instead; 1 if nobody reads the output any
        more (``healswin models list | head``).
    """
    try:
        status = command()
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes stdout once more when it ends, and would complain of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError, RuntimeError) as error:
        if os.environ.get("HEALSWIN_TRACEBACK"):
            raise
        print(f"healswin: error: {error}", file=sys.stderr)
        return 2
    return status
