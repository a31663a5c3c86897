"""The command line, called in this process."""

from __future__ import annotations

import shlex

import pytest

from losscope.cli import main


def call(*arguments: str) -> int:
    """Run the command line here; its exit code."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def typed(command: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The exit code of a command as it is typed, and all that is printed."""
    code = call(*shlex.split(command))
    said = capsys.readouterr()
    return code, said.err + said.out
