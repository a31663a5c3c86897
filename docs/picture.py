"""The picture of README and of the site's first page: the first screen of a real study, light and dark.

``python docs/picture.py STUDY`` takes it of the folder of a study with Chromium, ``make picture`` of the
comparison on digits.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import losscope

sys.path.insert(0, str(Path(__file__).parent))
from making.gallery import photograph

HERE = Path(__file__).parent


def main(study: str) -> None:
    """Both pictures of a study's page."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        losscope.load(study).report(page)
        for look in ("light", "dark"):
            if not photograph(page, HERE / f"page-{look}.png", dark=look == "dark"):
                raise SystemExit("no Chromium was found; wanted: chromium or google-chrome on the path")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("give the folder of a study: python docs/picture.py losscope-runs")
    main(sys.argv[1])
