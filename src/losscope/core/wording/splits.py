"""What is said of a batch on several processes, or in micro-batches, beside the same batch whole."""

from __future__ import annotations

from collections.abc import Sequence

from losscope.core.results import ALARMS, AuditLine, AuditSeverity, SplitBatch

OFF = 1e-3
"""From here on a value, or the gradient of a loss's own parameters, is another."""

MEANING = {
    "labels unseen": "rows of other processes get the wrong class: gather the labels too",
    "classes by process": "positives are pushed away, the more the more devices there are: compare the "
    "labels of all processes",
    "labels collide": "different classes are pulled together: gather the labels that the whole data set has",
    "factor": "a learning rate fits one number of devices only, and other terms of the loss keep theirs",
    "gradient": "rows of other processes are constants to it: gather with a gradient, as "
    "losscope.Distributed does",
    "other": "what is trained depends on the number of devices",
}
FINDING = {
    "labels unseen": "labels stay behind: the value depends on the rows of other processes and not on their "
    "labels",
    "classes by process": "false negatives: rows of one class on different processes are negatives of "
    "each other",
    "labels collide": "labels collide: they are numbered from 0 on each process, so that different "
    "classes of two processes are taken for one",
    "gradient": "the value is that of one process, and rows of other processes do not get their gradient",
    "other": "another loss than on one process",
}


def split_lines(splits: Sequence[SplitBatch]) -> list[AuditLine]:
    """The lines of a card on what was split, the shared batch first.

    >>> split = SplitBatch(
    ...     by="processes", parts=2, batch="shared", rows=(8, 8), cause="factor", others=True,
    ...     error=0.5, factor=0.5, degrees=0.0, length=0.5, value=1.0,
    ... )
    >>> print(split_lines([split])[0].finding)  # doctest: +NORMALIZE_WHITESPACE
    the gradient is 1/2 of that of one process with all 16 rows: the gather lets none back from other
    processes, and the mean over processes divides by 2
    """
    plain = {split.batch: split for split in splits if not split.gathered}
    shared = plain.get("shared")
    if shared is None:
        return []
    lines = [_line(shared), *_parameters(shared), *_value(shared)]
    apart = plain.get("apart")
    if apart is not None and shared.cause not in ("own rows", "factor", "gradient"):
        lines.append(_line(apart))
    if shared.cause == "none" and (apart is None or apart.cause == "none"):
        lines += [_line(plain[batch]) for batch in ("lone", "uneven") if batch in plain]
    return [*lines, *_gathered([split for split in splits if split.gathered])]


def split_name(split: SplitBatch) -> str:
    """What the line of a split batch is called."""
    also = {"shared": "", "apart": ", classes apart", "lone": ", one without positives"}
    return f"{split.parts} {split.by}{also.get(split.batch, ', uneven rows')}"


def _line(split: SplitBatch) -> AuditLine:
    name, total = split_name(split), sum(split.rows)
    if split.cause == "none":
        said = f"{_rows(split)} give the gradient of {_whole(split)}, to {split.error:.0e}"
        if not split.others:
            said += ", although each sees its own rows only"
        use = "batches may be spread over devices"
        return _made("none", name, said, use if split.by == "processes" else "gradients may be accumulated")
    if split.cause == "own rows":
        return _own_rows(split, name)
    if split.cause == "factor":
        said = f"the gradient is {_times(split.factor, split.parts)} that of {_whole(split)}{_why(split)}"
        if split.by == "micro-batches":
            return _made("caution", name, said, "do not divide by their number as well")
        return _made("wrong", name, said, MEANING["factor"])
    said = f"{FINDING[split.cause]}: with {total} rows the gradient is {_turned(split)}"
    return _made("wrong", name, said, MEANING[split.cause])


def _own_rows(split: SplitBatch, name: str) -> AuditLine:
    each = "each process" if split.by == "processes" else "each micro-batch"
    if split.batch == "uneven":
        said = f"{_rows(split)} count alike: the gradient is {_turned(split)}"
        return _made("caution", name, said, "weigh the loss of each by its rows, or leave the last one out")
    said = f"{each} sees its own rows only: with {sum(split.rows)} rows the gradient is {_turned(split)}"
    if split.by == "processes":
        meaning = (
            "the batch is that of one device, however many there are; losscope.Distributed(loss) spans all"
        )
    else:
        meaning = "accumulation makes no larger batch: pairs across micro-batches are missing"
    return _made("caution", name, said, meaning)


def _parameters(split: SplitBatch) -> list[AuditLine]:
    """The line on the loss's own parameters, where it has any and they are not as the embeddings are."""
    if split.parameters is None or split.parameters_error is None or split.cause == "own rows":
        return []
    name = f"{split_name(split)}, own parameters"
    if split.parameters_error <= OFF:
        return [
            _made("none", name, "the loss's own parameters get their gradient once", "class vectors agree")
        ]
    said = (
        f"the gradient of the loss's own parameters is {_times(split.parameters, split.parts)} that of "
        f"{_whole(split)}"
    )
    return [
        _made("wrong", name, said, "class vectors learn at a rate that changes with the number of devices")
    ]


def _value(split: SplitBatch) -> list[AuditLine]:
    if split.cause != "none" or split.value is None or abs(split.value - 1) <= OFF:
        return []
    said = f"the value that is reported is {_times(split.value, split.parts)} that of one process"
    return [
        _made(
            "none",
            f"{split_name(split)}, value",
            said,
            "the gradient is right; curves of the loss change with the number of devices",
        )
    ]


def _gathered(splits: Sequence[SplitBatch]) -> list[AuditLine]:
    if not splits:
        return []
    name = f"{splits[0].parts} processes, gathered"
    other = next((split for split in splits if split.cause != "none"), None)
    if other is not None:
        said = f"inside losscope.Distributed too the gradient is {_turned(other)} ({_rows(other)})"
        return [_made("none", name, said, "it draws, keeps a state, or does not take every batch")]
    worst = max(split.error for split in splits)
    said = f"inside losscope.Distributed the gradient is that of one process, to {worst:.0e}"
    return [
        _made("none", name, f"{said}; with uneven rows too", "batches may be spread over devices that way")
    ]


def _made(severity: AuditSeverity, check: str, finding: str, meaning: str) -> AuditLine:
    passed = True if severity == "none" else False if severity in ALARMS else None
    return AuditLine(check=check, passed=passed, severity=severity, finding=finding, meaning=meaning)


def _whole(split: SplitBatch) -> str:
    whole = f"all {sum(split.rows)} rows"
    return f"one process with {whole}" if split.by == "processes" else f"one batch of {whole}"


def _rows(split: SplitBatch) -> str:
    if len(set(split.rows)) == 1:
        return f"{split.parts} {split.by} of {split.rows[0]} rows"
    return f"{split.by} of {', '.join(map(str, split.rows[:-1]))} and {split.rows[-1]} rows"


def _turned(split: SplitBatch) -> str:
    if split.degrees is None:
        return f"0, and that of {_whole(split)} is not"
    return f"{split.degrees:.0f}° from that of {_whole(split)} and {split.length:.2g} times as long"


def _times(factor: float, parts: int) -> str:
    if abs(factor / parts - 1) <= OFF:
        return f"{parts} times"
    return f"1/{parts} of" if abs(factor * parts - 1) <= OFF else f"{factor:.3g} times"


def _why(split: SplitBatch) -> str:
    """Where a factor comes from, as far as the value tells."""
    if not split.others:
        return f": a sum over rows, which the mean over {split.by} divides by {split.parts}"
    if split.value is None:
        return ""
    if abs(split.value / split.factor - 1) <= OFF:
        return ", and the value too"
    if abs(split.value - 1) <= OFF and split.factor < 1:
        divided = f"the mean over processes divides by {split.parts}"
        return f": the gather lets none back from other processes, and {divided}"
    return f"; the value is {_times(split.value, split.parts)} that of one process"
