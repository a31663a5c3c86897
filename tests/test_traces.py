"""The file of a run's trace: what is written is read back, and what is no trace is said to be damaged."""

from __future__ import annotations

import io

import numpy as np
import pytest

from losscope.run.files import Damaged
from losscope.run.trace import Trace, written

ROWS = [("train", 0, "loss", 1.0), ("validation", 1, "map_at_r", float("nan")), ("train", 1, "é\x1b", 2.5)]


def _table(**changed):
    import pyarrow as pa
    from pyarrow import parquet

    columns = {"split": ["train"], "epoch": [0], "name": ["loss"], "value": [1.0]} | changed
    held = io.BytesIO()
    parquet.write_table(pa.table({name: cells for name, cells in columns.items() if cells}), held)
    return held.getvalue()


def test_rows_come_back_as_they_were_and_pandas_reads_the_same():
    trace = Trace.read(written(ROWS), "here")
    read = list(zip(trace.split, trace.epoch, trace.name, trace.value, strict=True))
    assert str(read) == str([(a, np.int32(b), c, np.float64(d)) for a, b, c, d in ROWS])
    assert list(trace.frame.columns) == ["split", "epoch", "name", "value"]
    np.testing.assert_array_equal(trace.frame["value"], [1.0, np.nan, 2.5])


def test_other_widths_and_missing_values_are_read():
    trace = Trace.read(_table(epoch=[3], value=[None]), "here")  # 64-bit epochs, no value
    assert trace.epoch.tolist() == [3] and np.isnan(trace.value).all()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        written(ROWS)[:-9],
        _table(value=[]),
        _table(value=["1.0"]),
        _table(epoch=["0"]),
        _table(epoch=[None]),
        _table(name=[None]),
        _table(value=[[1.0]]),
    ],
    ids=["empty", "cut", "no value", "texts", "text epoch", "no epoch", "no name", "lists"],
)
def test_what_is_no_trace_is_damaged(content):
    with pytest.raises(Damaged, match=r"^here is damaged: .*run again$"):
        Trace.read(content, "here")
