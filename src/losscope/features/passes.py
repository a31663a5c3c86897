"""One pass of a backbone over the rows of a data set: read, prepared and computed batch by batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np

from losscope.core.device import pick_device
from losscope.core.errors import LosscopeError, need, require
from losscope.data.readers.sounds import SOUNDS, read_sound
from losscope.data.trunks import Batch
from losscope.features.backbones import Backbone
from losscope.features.backbones.base import Takes
from losscope.features.backbones.memory import available
from losscope.features.shards import Origin, Shards

SHARD = 256
"""Rows of a shard, at least: what a process that is killed loses, at most."""
Progress = Callable[[int, int], None]


class Unreadable(Exception):
    """A row whose file cannot be read; its message is the reason."""


class Work(Protocol):
    """The rows that a backbone is to see, as a pass over them wants them."""

    takes: Takes

    def __len__(self) -> int: ...
    def name(self, row: int) -> str: ...
    def read(self, row: int) -> Any: ...
    def prepared(self, row: int, backbone: Backbone) -> np.ndarray: ...


class Rows:
    """The rows of a data set as a backbone's ``prepare`` wants them, read when asked for.

    ``inputs`` are ``Picture`` records (N,) of images or sounds in their files, or uint8 images
    (N, channels, height, width).
    """

    def __init__(self, name: str, inputs: np.ndarray):
        self.inputs = inputs
        self.filed = inputs.dtype == object
        images = inputs.dtype == np.uint8 and inputs.ndim == 4 and inputs.shape[1] in (1, 3)
        require(
            self.filed or images,
            f"{name} has rows of shape {inputs.shape[1:]} and type {inputs.dtype}; a backbone wants images "
            "or sounds, and a text model texts",
        )
        sounds = self.filed and len(inputs) and inputs[0].path is not None
        self.takes: Takes = "sounds" if sounds and inputs[0].path.suffix.lower() in SOUNDS else "images"

    def __len__(self) -> int:
        return len(self.inputs)

    def name(self, row: int) -> str:
        """A row's file name, or its number."""
        return self.inputs[row].name if self.filed else f"row {row}"

    def read(self, row: int) -> Any:
        """A Pillow image in RGB, or (samples, samples per second). Raises Unreadable with the reason."""
        try:
            if self.takes == "sounds":
                return read_sound(self.inputs[row].path)
            if self.filed:
                return self.inputs[row].open()
            from PIL import Image

            array = self.inputs[row]
            return Image.fromarray(array[0] if len(array) == 1 else array.transpose(1, 2, 0)).convert("RGB")
        except ImportError as error:
            package = "pillow" if error.name == "PIL" else str(error.name)
            extra = "'losscope[audio]'" if self.takes == "sounds" else "'losscope[hf]'"
            raise need(package, f"reading {self.takes}", extra) from None
        except Exception as error:  # Pillow, scipy and soundfile share no class for a broken file
            if isinstance(error, LosscopeError):
                raise Unreadable(str(error)) from error
            reason = "no such file" if isinstance(error, FileNotFoundError) else type(error).__name__
            raise Unreadable(reason) from error

    def prepared(self, row: int, backbone: Backbone) -> np.ndarray:
        """A row as the backbone takes it. Raises Unreadable where the row or its preparation fails."""
        content = self.read(row)
        if self.takes == "images":
            return backbone.prepare(content)
        samples, rate = content
        shortest = backbone.shortest
        if shortest is None:
            try:
                return backbone.prepare(content)
            except LosscopeError:
                raise
            except Exception as error:  # extractors have errors of their own for a sound below a window
                raise Unreadable(
                    f"{len(samples):,} samples at {rate:,} Hz, which {backbone.name} does not take"
                ) from error
        made = backbone.prepare(content)
        if made.shape[-1] < shortest:
            raise Unreadable(
                f"{len(samples):,} samples, too short for the backbone, which takes {shortest:,} or more"
            )
        return made


def compute(
    rows: Work,
    backbone: Backbone,
    shards: Shards,
    *,
    origin: Origin,
    device: str,
    batch_size: int,
    skip_bad: bool,
    progress: Progress | None,
) -> None:
    """Compute what is missing of the features of ``rows``, from the last whole shard on.

    Batches never reach over the end of a shard, so that a pass that was interrupted computes the same
    batches, and gives the same bits, as one that was not.

    Raises LosscopeError for rows that cannot be read unless ``skip_bad`` (then they are NaN), features that
    are not finite or too large for float16, and a backbone that needs more memory than there is.
    """
    require(batch_size > 0, f"the batch size is {batch_size}; it must be at least 1")
    first, total = shards.done(), len(rows)
    if first < total:
        device = pick_device(device)
        backbone.start()
        _check_memory(rows, backbone, device, min(batch_size, total))
        backbone.open(device)
    size = batch_size * max(1, SHARD // batch_size)
    if progress:
        progress(first, total)
    with ThreadPoolExecutor(max(1, min(8, os.cpu_count() or 1))) as pool:
        try:
            while first < total:
                stop = min(first + size, total)
                features = []
                for start, made in _batches(rows, backbone, pool, first, stop, batch_size):
                    _refuse_bad(rows, backbone, start, made, skip_bad)
                    features.append(_features(rows, backbone, start, made, device))
                    if progress:
                        progress(start + len(made), total)
                shards.add(first, np.concatenate(_same_width(features)))
                first = stop
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    shards.join(origin)


def _batches(
    rows: Work, backbone: Backbone, pool: ThreadPoolExecutor, first: int, stop: int, size: int
) -> Iterator[tuple[int, list[np.ndarray | Unreadable]]]:
    """Batches (first row, prepared rows), the next being prepared while one is computed."""

    def prepared(row: int) -> np.ndarray | Unreadable:
        try:
            return rows.prepared(row, backbone)
        except Unreadable as error:
            return error

    def submit(start: int) -> list[Future[Any]]:
        return [pool.submit(prepared, row) for row in range(start, min(start + size, stop))]

    waiting = submit(first)
    for start in range(first, stop, size):
        following = submit(start + size)
        yield start, [future.result() for future in waiting]
        waiting = following


def _refuse_bad(
    rows: Work, backbone: Backbone, start: int, made: list[np.ndarray | Unreadable], skip_bad: bool
) -> None:
    """Unless told to skip them, stop at the first row that cannot be read, having counted all of them."""
    if skip_bad or not any(isinstance(row, Unreadable) for row in made):
        return
    bad = []
    for row in range(start, len(rows)):
        try:
            if rows.takes == "sounds":
                rows.prepared(row, backbone)
            else:
                rows.read(row)
        except Unreadable as error:
            bad.append(f"{rows.name(row)} ({error})")
    raise unreadable(bad, len(rows), rows.takes)


def unreadable(bad: list[str], total: int, takes: str) -> LosscopeError:
    """The error that counts and names what cannot be read."""
    more = ", …" if len(bad) > 3 else ""
    return LosscopeError(
        f"{len(bad):,} of {total:,} {takes} cannot be read: {', '.join(bad[:3])}{more}; wanted: readable "
        f"{takes}, or --skip-bad to leave these out"
    )


def by_shape(made: Sequence[np.ndarray | Unreadable]) -> Iterator[Batch]:
    """Prepared rows of one shape, which go through a backbone together, without those that are unreadable."""
    shapes: dict[tuple[int, ...], dict[int, np.ndarray]] = {}
    for place, row in enumerate(made):
        if not isinstance(row, Unreadable):
            shapes.setdefault(row.shape, {})[place] = row
    for rows in shapes.values():
        yield Batch([*rows], np.stack([*rows.values()]))


def _features(
    rows: Work, backbone: Backbone, start: int, made: list[np.ndarray | Unreadable], device: str
) -> np.ndarray:
    """Features (rows, D) float16 of a batch; rows of one shape go through the backbone together."""
    import torch

    found: np.ndarray | None = None
    for places, prepared in by_shape(made):
        batch = torch.from_numpy(prepared).to(device)
        try:
            with torch.inference_mode():
                values = backbone(batch).float().cpu().numpy()
        except torch.cuda.OutOfMemoryError:
            raise LosscopeError(
                f"the backbone {backbone.name!r} ran out of the device's memory at batch size {len(made)}; "
                "give a smaller --batch-size"
            ) from None
        if found is None:
            found = np.full((len(made), values.shape[1]), np.nan, np.float16)
        top = np.abs(values).max(1)
        wrong = np.flatnonzero(~(top <= 65504))
        if len(wrong):
            raise LosscopeError(
                f"the backbone {backbone.name!r} gives {rows.name(start + places[wrong[0]])} features of "
                f"size {top[wrong[0]]:g}; wanted: finite numbers that float16 holds, up to 65,504"
            )
        found[places] = values
    return np.full((len(made), 0), np.nan, np.float16) if found is None else found


def _same_width(features: list[np.ndarray]) -> list[np.ndarray]:
    """Batches in which no row could be read get the width of the others."""
    width = max(1, *(block.shape[1] for block in features))
    return [
        block if block.shape[1] else np.full((len(block), width), np.nan, np.float16) for block in features
    ]


def _check_memory(rows: Work, backbone: Backbone, device: str, batch: int) -> None:
    """Raise before anything is computed if the backbone and one batch do not fit into memory."""
    for row in range(len(rows)):
        try:
            shape = rows.prepared(row, backbone).shape
            break
        except Unreadable:
            continue
    else:
        raise LosscopeError(f"none of {len(rows):,} {rows.takes} can be read; the first is {rows.name(0)}")
    weights, activations = backbone.needs(shape, batch)
    free = available(device)
    if weights + activations <= free:
        return
    fits = max(0, free - weights) // max(1, activations // batch)
    help_ = (
        f"give --batch-size at most {fits}"
        if fits
        else "take a smaller backbone, or a machine with more memory"
    )
    raise LosscopeError(
        f"the backbone {backbone.name!r} needs about {_size(weights + activations)} ({_size(weights)} for "
        f"its parameters, {_size(activations)} for a batch of {batch}) and {_size(free)} are free on the "
        f"{'GPU' if device.startswith('cuda') else 'machine'}; {help_}"
    )


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
