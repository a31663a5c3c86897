"""Where numbers come from: the data as they were read, and the command, versions and machine."""

from __future__ import annotations

from losscope.core.results.base import Frozen, Number


class Provenance(Frozen):
    """Where numbers come from: the command that makes them again, versions, machine and times.

    A field that differs between the runs of a study is a tuple of its values. ``arguments``: the words of the
    command as a shell hands them over, empty where no command makes them again. ``date``: the day on which
    the last of the runs started.
    """

    command: str | None = None
    arguments: tuple[str, ...] = ()
    date: str | None = None
    losscope: str | tuple[str, ...] | None = None
    python: str | tuple[str, ...] | None = None
    torch: str | tuple[str, ...] | None = None
    numpy: str | tuple[str, ...] | None = None
    machine: str | tuple[str, ...] | None = None
    host: str | tuple[str, ...] | None = None
    device: str | tuple[str, ...] | None = None
    threads: str | tuple[str, ...] | None = None
    runs: int | None = None
    seconds: Number | None = None


class DataDescription(Frozen):
    """The data as they were read: what they are, how many, and where they come from.

    Attributes:
        not_new: test items that stand in training too, equal or near, or that stand twice.
        modalities: the names of the two modalities, if there are two: ``map_audio_to_visual`` and its like
            are of the first and the second of them, whatever they are called.
        by_item: whether the data have no classes, so that each item belongs to its own partners only.
        folds: their number, where the test part of a seed is the fold seed mod their number; otherwise 0.
    """

    name: str
    title: str
    kind: str
    described: str
    edition: str = ""
    classes: int | None = None
    licence: str = ""
    origin: str = ""
    generated: bool = False
    disjoint: bool = False
    not_new: int = 0
    notes: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    by_item: bool = False
    folds: int = 0
    digest: str | None = None
