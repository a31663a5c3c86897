"""The command line: parsing, progress and printing only. What a command does is in ``losscope.comparing``."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator

from losscope.cli import (  # noqa: F401  (they register theirs)
    atlases,
    inspections,
    items,
    judgements,
    multiverses,
    reproductions,
    stores,
    studies,
)
from losscope.cli.options import app
from losscope.cli.output import say_aside
from losscope.cli.torchrun import silence_followers

__all__ = ["app", "main"]


def main(arguments: Iterator[str] | list[str] | None = None) -> None:
    """The entry point: mistakes are one sentence and exit code 2, Ctrl-C keeps what is done (130)."""
    from losscope.core.errors import LosscopeError

    silence_followers()
    if sys.stdout is None:  # closed by whoever started us
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    try:
        app(arguments)
    except LosscopeError as error:
        say_aside(f"losscope: {error}")
        sys.exit(2)
    except KeyboardInterrupt:
        print(
            "losscope: stopped; what is finished is kept, the same command goes on from here", file=sys.stderr
        )
        sys.exit(130)
    except BrokenPipeError:
        # Python flushes what is left once more as it ends, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        # What is read and written has sentences of its own; this is for a path that none of them foresaw.
        if error.filename is None:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                raise
            # Files of ours have a sentence of their own: this is what was printed.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            say_aside(f"losscope: the output cannot be written: {error.strerror}; what is finished is kept")
            sys.exit(2)
        why = error.strerror or type(error).__name__
        say_aside(f"losscope: cannot use the path {str(error.filename)!r}: {why}; give another")
        sys.exit(2)
