"""Shared by all tests: one torch thread, and where real data lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

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
