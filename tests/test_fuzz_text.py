"""Arbitrary text gives a value or a LosscopeError, nothing else; and a short, fixed run of the fuzzer."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import fuzz
from losscope.cli.options import duration, key_value
from losscope.core.errors import LosscopeError
from losscope.core.loss_spec import LossSpec, split_losses
from losscope.core.spec import Study
from losscope.core.wording import cell, printable

NEAR = st.lists(
    st.sampled_from(
        [
            "triplet",
            "contrastive",
            "pml:",
            "x.py:",
            "(",
            ")",
            "[",
            "]",
            "{",
            "=",
            ",",
            "margin",
            "0.2",
            "-",
            "+",
            "1e999",
            "9" * 400,
            "0x",
            "'",
            '"',
            "\\",
            "*",
            "**a",
            "lambda:",
            "None",
            "nan",
            "tuples",
            "\n",
            "\0",
            "é",
            ".",
            "#",
            "seeds",
            "losses",
            "1979-05-27",
            "inf",
            "true",
            "\x1b[31m",
            "\u202e",
            "\ud800",
            "h",
            "m",
        ]
    ),
    max_size=12,
).map("".join)
TEXT = st.one_of(st.text(max_size=60), NEAR)
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def only_said(read, *given):
    try:
        return read(*given)
    except LosscopeError:
        return None


@given(TEXT)
@example("triplet(margin=" + "9" * 400 + ")")
@example("triplet(margin=" + "(" * 5000 + ")" * 5000 + ")")
@example("triplet(margin=" + "-" * 9000 + "1)")
@example("triplet(margin=0x" + "f" * 9000 + ")")
@example("pml:A(x=" + "[" * 3000 + "]" * 3000 + ")")
@example("pml:" + "A+" * 5000 + "A")
@example("triplet" * 10_000)
@QUICK
def test_losses(text):
    for part in only_said(split_losses, text) or []:
        found = only_said(LossSpec.parse, part)
        if found is not None:
            assert LossSpec.parse(found.label).label == found.label


@given(TEXT)
@example("a=" + "[" * 9000)
@example("a=" + "9" * 9000)
@example("a=" + "1," * 9000)
@example("a={[]: 1}")
@example("1e999h")
@example("nan")
@QUICK
def test_options_and_times(text):
    only_said(key_value, text)
    seconds = only_said(duration, text)
    assert seconds is None or 0 <= seconds < float("inf")


@given(st.one_of(TEXT, NEAR.map(lambda text: f"seeds = {text}"), NEAR.map(lambda text: f"losses = [{text}]")))
@example("data = 'digits'\n[options]\nx = 1979-05-27")
@example("seeds = true\nlosses = []")
@QUICK
def test_study_files(text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "study.toml")
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        only_said(Study.read, path)


@given(TEXT)
@example("\x9b31m\x07\x7f\u2066a\u2069\r")
@QUICK
def test_no_control_character_is_shown(text):
    shown = printable(text)
    shown.encode()
    assert not set(shown) & {
        chr(code) for code in (*range(9), *range(11, 32), *range(127, 160), 0x202E, 0x200F)
    }
    assert printable(shown) == shown
    assert str(cell(text))[:1] not in ("=", "+", "@", "\t", "\r")


@pytest.fixture(scope="module")
def readers():
    fuzz.imported()
    return fuzz.readers()


@pytest.mark.parametrize("cases", [4, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "name",
    [
        "toml",
        "loss",
        "option",
        "npz",
        "npz member",
        "npy",
        "csv",
        "parquet",
        "hdf5",
        "idx",
        "pairs",
        "scores",
        "embeddings",
        "manifest",
        "cifar",
        "png",
        "jpeg",
        "gif",
        "bmp",
        "tiff",
        "webp",
        "wav",
    ],
)
def test_damaged_files_are_a_value_or_a_sentence(readers, name, cases):
    reader, draw = readers[name], random.Random(name)
    for file, content in reader.seeds:
        assert fuzz.attempt(reader, file, content) == "value"
    for case in range(cases):
        file, content = reader.seeds[case % len(reader.seeds)]
        damaged = fuzz.mutated(content, draw)
        assert fuzz.attempt(reader, file, damaged) in ("value", "said"), (name, case)
