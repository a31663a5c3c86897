"""``losscope.compare`` as Python calls it: data by name or as arrays, losses by text or as objects."""

from __future__ import annotations

import os
from typing import Any

from losscope.comparing import given, running, several
from losscope.comparing.planning import Say
from losscope.core.errors import require
from losscope.core.results import Result
from losscope.core.spec import Study
from losscope.run import launch


def compare(
    data: Any = "digits",
    labels: Any = None,
    *,
    losses: Any = ("contrastive", "triplet"),
    seeds: int = 10,
    say: Say | None = None,
    activity: launch.ACTIVITY | None = None,
    **options: Any,
) -> Result:
    """Train losses side by side over paired seeds, measure them, and say which is better at what.

    Args:
        data: a registered data set or a path; or arrays (N, D), images, or a data frame, with ``labels``. A
            list of names or paths is compared on each of them, with one answer over all.
        labels: (N,), of arrays.
        losses: names with optional hyperparameters, as a list or one comma-separated string; among them may
            be objects: instances of pytorch-metric-learning's losses, also as (loss, miner), functions of
            (embeddings, labels) and modules (docs/inputs.md, "In Python").
        seeds: paired seeds, 0 … seeds − 1.
        say: called with each sentence for a person before and while runs train (what they show is in the
            result's ``notes``); activity: called as epochs end.
        **options: any field of ``Study``: protocol, epochs, batch_size, goal, reference, out, data_root, …

    Returns:
        A Result; its ``json()`` is what ``losscope compare --json`` prints.

    Raises:
        LosscopeError: for any mistake in what was given, before anything is trained.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     result = compare("synthetic", protocol="paper", seeds=2, epochs=1, out=folder)
    >>> len(result.verdicts())
    2
    """
    texts, notes = given.losses_of(losses)
    if given.objects(texts):
        engine = options.setdefault("engine", "here")
        require(
            engine in ("here", "auto"),
            f"the engine is {engine}, and a loss that is a Python object is known to this process alone; "
            "wanted: engine='here', or the loss by its text",
        )
        options["engine"] = "here"
        require(
            options.get("devices") in (None, 1),
            f"devices is {options.get('devices')}, and a loss that is a Python object is known to this "
            "process alone; wanted: devices=1, or the loss by its text",
        )
    if isinstance(data, list | tuple) and labels is None and all(map(_named, data)):
        names = [os.fspath(each) for each in data]
        study = Study.of(data=names[0] if names else "", losses=texts, seeds=seeds, **options)
        result = several.run(several.studies_of(study, names), say=say, activity=activity)
    else:
        place = given.data_of(data, labels, options.get("out"))
        study = Study.of(data=place, losses=texts, seeds=seeds, **options)
        result = running.run(study, say=say, activity=activity)
    return result.model_copy(update={"notes": (*result.notes, *notes)}) if notes else result


def _named(data: Any) -> bool:
    """Whether data are given by a name or a path."""
    return isinstance(data, str | os.PathLike)
