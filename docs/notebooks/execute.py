"""Run notebooks as they stand and keep their outputs.

``python docs/notebooks/execute.py [--out FOLDER] NAME...``. Each runs in an empty folder of its own, so that
it finds nothing of another and leaves nothing behind. What it prints to standard error is not kept. Without
names all notebooks of this folder run.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
SECONDS = 120
"""A cell that takes longer fails."""


def execute(path: Path, out: Path) -> None:
    """Run one notebook, and write it with its outputs."""
    os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")
    import nbformat
    from nbclient import NotebookClient

    book = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            book, timeout=SECONDS, startup_timeout=5 * SECONDS, resources={"metadata": {"path": folder}}
        ).execute()
        for cell in book.cells:
            cell.metadata.pop("execution", None)  # the time of day
            if cell.cell_type == "code":
                cell.outputs = [
                    kept(output, folder) for output in cell.outputs if output.get("name") != "stderr"
                ]
    book.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(book, out / path.name)


def kept(output: dict, folder: str) -> dict:
    """An output without the name of the folder that it ran in."""
    for holder, key in [
        (output, "text"),
        *((output.get("data", {}), kind) for kind in output.get("data", {})),
    ]:
        if isinstance(holder.get(key), str):
            holder[key] = holder[key].replace(f"{os.path.realpath(folder)}/", "").replace(f"{folder}/", "")
    return output


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="of this folder, without .ipynb")
    parser.add_argument("--out", type=Path, default=HERE, help="where they are written")
    given = parser.parse_args()
    for name in given.names or sorted(path.stem for path in HERE.glob("*.ipynb")):
        execute(HERE / f"{name}.ipynb", given.out)
