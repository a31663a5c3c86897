"""The JSON Schemas of ``--json``, written as files: ``python -m losscope.core.schemas docs/schemas``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from losscope.core.results import schemas


def write(folder: str | Path) -> list[Path]:
    """Write the schema of each kind of document into a folder; the files."""
    written = []
    Path(folder).mkdir(parents=True, exist_ok=True)
    for kind, schema in schemas().items():
        path = Path(folder) / f"{kind.replace(' ', '-')}.json"
        path.write_text(json.dumps(schema, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        written.append(path)
    return written


if __name__ == "__main__":
    write(sys.argv[1])
