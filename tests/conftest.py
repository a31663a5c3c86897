"""Shared by all tests: one torch thread, and where real data lie."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
torch.set_num_threads(1)
settings.register_profile("losscope", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("losscope")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data, from LOSSCOPE_DATA; tests that need it skip without it."""
    root = os.environ.get("LOSSCOPE_DATA")
    if not root or not Path(root).is_dir():
        pytest.skip("LOSSCOPE_DATA does not name a folder with the real data sets")
    return Path(root)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium, which CHROMIUM may name; tests of pages skip without it."""
    sync = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("there is no Chromium on this machine")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=found, args=flags)
        yield opened
        opened.close()


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """A cache of features of the test's own."""
    from losscope.features.source import forget

    monkeypatch.setenv("LOSSCOPE_CACHE", str(tmp_path / "cache"))
    forget()
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """A MobileNetV2 of random numbers in a file."""
    import embed_fixture

    return embed_fixture.mobilenet(tmp_path_factory.mktemp("weights") / "mobile.npz")


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> Path:
    """48 images of different sizes in three class folders."""
    import embed_fixture

    return embed_fixture.photos(tmp_path_factory.mktemp("data") / "photos")


@pytest.fixture(scope="session")
def vit(tmp_path_factory) -> Path:
    """A small vision transformer of random numbers in a folder."""
    import embed_fixture

    return embed_fixture.small_vit(tmp_path_factory.mktemp("models") / "vit")
