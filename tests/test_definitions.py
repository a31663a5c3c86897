"""``docs/definitions.md`` defines every quantity, and what the code cites of it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import losscope
from losscope.core.quantities import QUANTITIES
from losscope.core.registry import entries

REPOSITORY = Path(__file__).parents[1]
TEXT = (REPOSITORY / "docs" / "definitions.md").read_text(encoding="utf-8")
CITED = re.compile(r'docs/definitions\.md,\s+"([^"]+)"')


def test_every_quantity_and_every_loss_is_defined():
    wanted = {*QUANTITIES, *entries("loss")}
    assert not {name for name in wanted if f"`{name}`" not in TEXT}


def test_what_the_code_cites_is_a_section():
    headings = set(re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE))
    cited = {
        title
        for path in Path(losscope.__file__).parent.rglob("*.py")
        for title in CITED.findall(path.read_text(encoding="utf-8"))
    }
    assert cited
    assert cited <= headings
