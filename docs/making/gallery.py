"""The gallery: each script of ``docs/gallery`` is run, and its page, what it printed and a picture are shown.

A script is run again when it or the package has changed. The picture is taken by Chromium where there is one;
otherwise the gallery links to the page alone.
"""

from __future__ import annotations

import ast
import hashlib
import html
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import losscope

SCRIPTS = Path(__file__).parents[1] / "gallery"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SIZE = (1280, 800)
"""The first screen of a page, in CSS pixels."""


@dataclass(frozen=True)
class Example:
    """A script of the gallery, and the folder in which it was run."""

    script: Path
    folder: Path

    @property
    def name(self) -> str:
        """The name of its page."""
        return self.script.stem

    @cached_property
    def text(self) -> tuple[str, str, str]:
        """Its title, what it says, and its code."""
        whole = self.script.read_text(encoding="utf-8")
        tree = ast.parse(whole)
        title, _, about = (ast.get_docstring(tree) or self.name).partition("\n")
        return title, about.strip(), "\n".join(whole.splitlines()[tree.body[0].end_lineno :]).strip()

    @property
    def page(self) -> Path:
        """The page that the script wrote."""
        return self.folder / "page.html"

    @property
    def picture(self) -> Path:
        """The picture of its first screen, if a browser took one."""
        return self.folder / "picture.png"

    def run(self, state: str) -> None:
        """Run the script in its folder, unless it was run in this state already."""
        stamp = self.folder / "state"
        if stamp.exists() and stamp.read_text(encoding="utf-8") == state:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        command = [sys.executable, "-W", "ignore", str(self.script)]
        paths = os.pathsep.join([str(Path(losscope.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": paths},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or not self.page.exists():
            raise RuntimeError(f"{self.script.name} of the gallery failed:\n{done.stderr}")
        (self.folder / "said.txt").write_text(done.stdout, encoding="utf-8")
        photograph(self.page, self.picture)
        stamp.write_text(state, encoding="utf-8")


def examples(folder: Path) -> list[Example]:
    """The scripts in the order of their names, each with a folder of its own below ``folder``."""
    return [Example(script, folder / script.stem) for script in sorted(SCRIPTS.glob("*.py"))]


def photograph(page: Path, picture: Path, size: tuple[int, int] = SIZE, dark: bool = False) -> bool:
    """A picture of a page's first screen by the browser of this machine; whether there is one."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        return False
    with tempfile.TemporaryDirectory() as profile:  # of its own: two browsers at once would share one
        command = [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--hide-scrollbars",
            "--virtual-time-budget=3000",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            f"--user-data-dir={profile}",
            f"--window-size={size[0]},{size[1]}",
            f"--screenshot={picture.resolve()}",
            page.resolve().as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    return not done.returncode and picture.exists()


def state(script: Path) -> str:
    """A digest of a script and of all that it runs."""
    found = hashlib.sha256(script.read_bytes())
    for path in sorted(Path(losscope.__file__).parent.rglob("*")):
        if path.suffix in (".py", ".css", ".js", ".html"):
            found.update(path.read_bytes())
    return found.hexdigest()


def build(work: Path, site: Path) -> str:
    """Run what has to be run, put the pages into ``site``, and give the text of the gallery."""
    found = examples(work)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(lambda example: example.run(state(example.script)), found))
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir(parents=True)
    for example in found:
        shutil.copy(example.page, site / f"{example.name}.html")
        if example.picture.exists():
            shutil.copy(example.picture, site / f"{example.name}.png")
    return text(found)


def wrapped(said: str) -> str:
    """What a script printed, in lines that fit the page."""
    return "\n".join(textwrap.fill(line, 84) if line[:1] != "|" else line for line in said.splitlines())


def text(found: list[Example]) -> str:
    """The page of the gallery; with what the scripts printed where they were run."""
    parts = [
        "# Gallery",
        "Each example was run when this site was built, on small data that it makes itself, and its "
        "page was made then. "
        "A click opens the page. They are small so that they take seconds: read them for what losscope "
        "shows, "
        "not for which loss is better.",
    ]
    shown = [example for example in found if example.picture.exists()]
    if shown:
        tiles = "".join(
            f'<a href="../gallery/{example.name}.html"><img src="../gallery/{example.name}.png" '
            f'alt="First screen of the page: {html.escape(example.text[0])}">'
            f"{html.escape(example.text[0])}</a>"
            for example in shown
        )
        parts.append(f'<div class="gallery">{tiles}</div>')
    for example in found:
        title, about, code = example.text
        parts += [f"## {title}", about, f"```python\n{code}\n```"]
        if example.page.exists():
            said = (example.folder / "said.txt").read_text(encoding="utf-8").strip()
            parts.append(f'<p><a href="../gallery/{example.name}.html">The page that it writes</a></p>')
            parts.append(f"It prints:\n\n```text\n{wrapped(said)}\n```")
    return "\n\n".join(parts) + "\n"
