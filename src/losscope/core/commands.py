"""The command that makes a study again, as the words of a shell, and the same with an option changed."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Sequence

from losscope.core.spec import Study

OPTIONS = {
    "protocol": "--protocol",
    "epochs": "--epochs",
    "batch_size": "--batch-size",
    "tuples": "--tuples",
    "embedding_size": "--embedding-size",
    "start": "--start",
    "transform": "--transform",
    "model": "--model",
    "backbone": "--backbone",
    "finetune": "--finetune",
    "backbone_rate": "--backbone-rate",
    "precision": "--precision",
    "goal": "--goal",
    "reference": "--reference",
    "indifference": "--indifference",
    "data_root": "--data-root",
    "device": "--device",
    "engine": "--engine",
    "devices": "--devices",
    "address": "--address",
    "keep": "--keep",
}
"""The fields of a study whose option is followed by their value."""
OF_DATA = (
    "train_labels",
    "group",
    "folds",
    "fold",
    "pairs",
    "triplets",
    "label_noise",
    "limit",
    "skip_bad",
    "skip_unlabelled",
    "ignore_label",
)
"""The loader's options that have one of their own on the command line."""


def arguments(study: Study, out: str) -> tuple[str, ...]:
    """The words of ``losscope compare`` for a study whose store is ``out``, without options at their default.

    Empty where no command says it: the first seed and the note stand in a file alone.

    >>> print(said(arguments(Study.of(losses="triplet(margin=0.2),contrastive", seeds=3), "runs")))
    losscope compare digits --losses 'triplet(margin=0.2),contrastive' --seeds 3 --out runs
    """
    usual = Study()
    if study.first_seed != usual.first_seed or study.note != usual.note:
        return ()
    words = [
        "losscope",
        "compare",
        study.data,
        "--losses",
        ",".join(study.losses),
        "--seeds",
        str(study.seeds),
    ]
    for field, option in OPTIONS.items():
        value = getattr(study, field)
        if field == "engine" and study.devices > 1:
            continue  # it follows from them
        if value != getattr(usual, field):
            words += [option, f"{value:g}" if isinstance(value, float) else str(value)]
    if study.augment:
        words += ["--augment", ",".join(study.augment)]
    if study.recompute:
        words.append("--recompute")
    if study.tune is not None:
        words.append("--tune" if study.tune else "--no-tune")
    if not study.closed_forms:
        words.append("--no-closed-forms")
    for option, seconds in (("--budget", study.budget), ("--run-limit", study.run_limit)):
        if seconds is not None:
            words += [option, f"{seconds:g}s"]
    for space in study.space:
        words += ["--space", space]
    if study.curves:
        words += ["--curves", ",".join(study.curves)]
    for plugin in study.plugins:
        words += ["--plugin", plugin]
    words += _of_data(study)
    return (*words, "--out", out)


def _of_data(study: Study) -> list[str]:
    words = list[str]()
    for name, value in study.options.items():
        if value is None:
            continue
        option = f"--{name.replace('_', '-')}"
        if name not in OF_DATA:
            words += ["-o", f"{name}={_literal(value)}"]
        elif isinstance(value, list):
            for each in value:
                words += [option, str(each)]
        elif value is True:
            words.append(option)
        elif value is not False:
            words += [option, str(value)]
    return words


def _literal(value: object) -> str:
    """A value as ``-o key=value`` reads it back: text as it is, unless it reads as something else."""
    if not isinstance(value, str):
        return repr(value)
    try:
        ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return value
    return repr(value)


def changed(words: Sequence[str], **options: str) -> tuple[str, ...]:
    """The words with some options set.

    >>> said(changed(("losscope", "compare", "digits", "--seeds", "10"), seeds="16", epochs="9"))
    'losscope compare digits --seeds 16 --epochs 9'
    """
    made = list(words)
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        if option in made:
            place = made.index(option)
            made[place : place + 2] = [option, value]
        else:
            made += [option, value]
    return tuple(made)


def said(words: Sequence[str]) -> str:
    """The words as they are typed into a shell."""
    return shlex.join(words)
