"""A disk that loses what was not synced: what a folder may hold after a power cut."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from losscope.run import files
from losscope.run import store as store_module


class Disk:
    """What is on the disk after a power cut: synced content under synced names, and a draw of the rest."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch):
        self.root, self.events = root, []
        write, sync = files.write_bytes, files.sync_folder
        rename, replace = os.rename, os.replace

        def writes(path: Path, content: bytes) -> None:
            write(path, content)
            self.events.append(("write", path, content))

        def renames(a: Path, b: Path) -> None:
            rename(a, b)
            self.events.append(("rename", Path(a), Path(b)))

        def replaces(a: Path, b: Path) -> None:
            replace(a, b)
            self.events.append(("rename", Path(a), Path(b)))

        def syncs(folder: Path) -> None:
            sync(folder)
            self.events.append(("sync", folder, None))

        for module in (files, store_module):
            monkeypatch.setattr(module, "write_bytes", writes)
            monkeypatch.setattr(module, "sync_folder", syncs)
        monkeypatch.setattr(files.os, "rename", renames)
        monkeypatch.setattr(files.os, "replace", replaces)

    def after(self, count: int, draw: random.Random, target: Path) -> None:
        """The folder as it may be after ``count`` events: a name that was not synced is there or not."""
        events = self.events[:count]
        synced: dict[Path, int] = {}
        for place, (kind, path, _) in enumerate(events):
            if kind == "sync":
                synced[Path(path)] = place
        names: dict[Path, bytes] = {}
        for place, (kind, path, more) in enumerate(events):
            if kind == "write":
                names[path] = more
            elif kind == "rename":
                lasts = synced.get(more.parent, -1) > place or draw.random() < 0.5
                moved = {
                    name: names.pop(name) for name in list(names) if name == path or path in name.parents
                }
                if lasts:
                    names |= {
                        more / name.relative_to(path) if name != path else more: c
                        for name, c in moved.items()
                    }
                elif draw.random() < 0.5:
                    names |= moved
        for name, content in names.items():
            place = target / name.relative_to(self.root)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
