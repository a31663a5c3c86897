"""Brackets and other marks in names are shown as they are, whatever the terminal makes of markup."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

import losscope

LOSS = """
from torch import nn


class Mine(nn.Module):
    def forward(self, embeddings, labels):
        return embeddings.square().mean()
"""


@pytest.mark.parametrize("folder", ["[draft]", "[/x]", "[bold red]", "[link=x]"])
def test_a_loss_in_a_folder_of_brackets_is_audited_under_its_name(tmp_path: Path, folder: str) -> None:
    place = tmp_path / folder.replace("/", "")
    if folder == "[/x]":  # the sign between folders is part of what looks like a closing mark
        place = tmp_path / "[" / "x]"
    place.mkdir(parents=True)
    (place / "mine.py").write_text(LOSS)
    card = losscope.audit(f"{place}/mine.py:Mine", trust=True)
    shown = io.StringIO()
    Console(file=shown, width=400, no_color=True).print(card.table())
    assert f"{place}/mine.py:Mine" in shown.getvalue()
