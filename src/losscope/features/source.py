"""A data set's features by a frozen backbone as a data set of their own, computed once and kept."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from losscope import data
from losscope.core.errors import LosscopeError, require
from losscope.data.base import Draft, Source, Table, fingerprint
from losscope.data.deciding import check_classes, check_parts, held_whole, without_roles
from losscope.data.download import cache_folder
from losscope.data.finish import finish, searched
from losscope.data.loading import stamp, undecoded
from losscope.features.backbones import Backbone, find, parse_preprocess
from losscope.features.backbones.finding import takes_texts
from losscope.features.digests import digests
from losscope.features.made import FORMAT, Embedded, Pass, Say, compute_missing, described, examined, planned
from losscope.features.passes import Progress, Rows, unreadable
from losscope.features.shards import Shards
from losscope.features.texts import embed_texts
from losscope.features.trunk import BackboneTrunk

_cache: OrderedDict[str, Embedded] = OrderedDict()
_CACHED = 4


def load(name: str, root: str | Path | None = None, **options: Any) -> Source:
    """The data set of a name or path; with an option ``backbone``, that backbone's features of it.

    The other options are those of ``data.load`` and of ``embed``.

    >>> load("digits").facts.kind
    'vectors'
    """
    if options.get("backbone") is None:
        own = ("backbone", "preprocess", "device", "batch_size", "compute", "say", "progress")
        return data.load(name, root=root, **{key: value for key, value in options.items() if key not in own})
    return embed(name, root=root, **options).table


def embed(
    name: str,
    *,
    backbone: str,
    root: str | Path | None = None,
    preprocess: Sequence[str] | str | None = None,
    device: str = "auto",
    batch_size: int = 64,
    compute: bool = True,
    say: Say | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Embedded:
    """Features of a data set's images, sounds or texts by a frozen backbone, from the cache or computed now.

    Args:
        name: a registered data set, a folder, a manifest, an array file of images, a table of texts, or
            hf:owner/name.
        backbone: a Hugging Face id or folder, a MobileNetV2 file, or timm:NAME.
        root: the folder with real data sets.
        preprocess: changes of the backbone's preprocessing, as ``key=value``.
        device: auto, cpu or cuda.
        batch_size: rows computed at once.
        compute: False plans only: the facts are there, the features are not, and nothing is written.
        say: called with each sentence for a person.
        progress: called with (rows done, rows).
        **options: options of the data set.

    Raises:
        LosscopeError: for data of a kind that the backbone does not take, or that cannot be compared on; a
            backbone that cannot be found, read, or held in memory; rows that cannot be read, unless
            ``skip_bad``.
    """
    chosen = sorted(options.items())
    stamps = [stamp(value) for value in (name, backbone, *(value for _, value in chosen))]
    memo = repr((name, str(root), backbone, preprocess, chosen, stamps))
    if memo in _cache:
        return _cache[memo]
    settings = parse_preprocess(preprocess)
    work = Pass(device, batch_size, compute, say, progress)
    if takes_texts(backbone):
        result = embed_texts(name, partial(find, backbone, "texts", settings), work, options)
    else:
        result = _embed_files(name, backbone, root, settings, work, options)
    if result.complete:
        _cache[memo] = result
    while len(_cache) > _CACHED:
        _cache.popitem(last=False)
    return result


def _embed_files(
    name: str,
    backbone: str,
    root: str | Path | None,
    settings: dict[str, Any],
    work: Pass,
    options: dict[str, Any],
) -> Embedded:
    """The features of images or sounds."""
    draft, shared = undecoded(name, root, **options)
    require(draft.second is None, f"{draft.name} has two modalities; a backbone computes features of one")
    inputs = draft.inputs
    Rows(draft.name, inputs[:1])
    table = _numbered(draft, shared)
    chosen = table.pool.inputs[:, 0].astype(np.int64)
    rows = Rows(draft.name, inputs if len(chosen) == len(inputs) else inputs[chosen])
    again = partial(find, backbone, rows.takes, settings)
    found = again()
    memory = cache_folder() / "digests"
    if rows.filed:
        table = dataclasses.replace(table, before=rows.inputs)
        trunk = BackboneTrunk(again, lambda: rows, None, found.name, found.takes)
    else:  # images in memory are not kept twice: those of a data set are read again if they are wanted
        read = partial(_read_again, name, root, options)
        trunk = BackboneTrunk(again, read, chosen, found.name, found.takes)
    table = dataclasses.replace(table, trunk=trunk)
    key = _key(rows, found, memory, work.say, work.compute)
    shards = Shards(cache_folder() / "features" / key[:40], len(rows))
    cached = shards.finished()
    if not work.compute and not cached:
        return planned(table, found, key, shards)
    if not cached:
        compute_missing(rows, found, shards, work, bool(options.get("skip_bad")))
    made = _readable(table, rows, shards, found, key, bool(options.get("skip_bad")))
    return Embedded(made, key, shards.folder, found, cached)


def _read_again(name: str, root: str | Path | None, options: dict[str, Any]) -> Rows:
    """The images of a data set, all of them, in their order."""
    draft, _ = undecoded(name, root, **options)
    return Rows(draft.name, draft.inputs)


def _numbered(draft: Draft, shared: dict[str, Any]) -> Table:
    """The data set with row numbers as its only inputs: checked and split before anything is computed."""
    rows = np.arange(len(draft.inputs))
    require(
        len(rows) < 2**24, f"{draft.name} has {len(rows):,} rows; at most {2**24:,} can be embedded at once"
    )
    index = dataclasses.replace(draft, inputs=rows[:, None].astype(np.float32), kind="features")
    return finish(index, **shared, examine=False)


def _key(rows: Rows, backbone: Backbone, memory: Path, say: Say | None, keep: bool) -> str:
    """The hash of all that the features depend on: data in their order, weights, preprocessing.

    ``keep``: what files hold is remembered.
    """
    if rows.filed:
        files = [picture.path for picture in rows.inputs if picture.path is not None]
        of_file = iter(digests(files, memory, say, keep=keep))
        content = [
            [
                next(of_file) if picture.content is None else hashlib.sha256(picture.content).hexdigest(),
                picture.box,
                # How images that are not ordinary are read is part of what the features depend on.
                *([] if picture.look is None else [repr(picture.look), picture.shades]),
            ]
            for picture in rows.inputs
        ]
        what = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    else:
        what = fingerprint(rows.inputs)
    weights = digests(backbone.files, memory, say, keep=keep)
    text = json.dumps(
        [FORMAT, what, rows.takes, weights, backbone.settings],
        sort_keys=True,
        default=str,
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _readable(
    table: Table, rows: Rows, shards: Shards, backbone: Backbone, key: str, skip_bad: bool
) -> Table:
    """The table with the features as its inputs, without the rows that could not be read."""
    features = shards.open()
    bad = shards.unreadable()
    if not bad:
        return examined(described(table, features, backbone, key, []))
    names = [rows.name(row) for row in bad]
    if not skip_bad:
        raise unreadable(names, len(rows), rows.takes)
    good = np.setdiff1d(np.arange(len(rows)), bad)
    require(len(good) > 0, f"none of {len(rows):,} {rows.takes} can be read")
    more = ", …" if len(names) > 3 else ""
    notes = [
        f"{len(bad):,} of {len(rows):,} {rows.takes} cannot be read: {', '.join(names[:3])}{more}; left out"
    ]
    name, classes = table.facts.name, table.facts.class_names
    pool, role = dataclasses.replace(table.pool.take(good), rows=np.arange(len(good))), table.role[good]
    folds = table.folds
    if folds is not None:
        folds = dataclasses.replace(folds, of_row=folds.of_row[good])
    roles = [role] if folds is None else folds.roles
    for own in roles:
        check_classes(name, pool.labels, own, classes)
        check_parts(name, pool.labels, without_roles(pool.retrieval, own), classes)
    whole = None if table.whole is None else table.whole[good]
    if whole is None and (why := held_whole(name, pool.labels, roles)):
        whole = pool.labels
        notes.append(why)
    asked, told = searched(name, pool, role)
    require(asked is not None or table.facts.searched is None, f"{name}: no test query can be read")
    _, counted = searched(name, table.pool, table.role)
    facts = dataclasses.replace(
        table.facts,
        rows=len(good),
        classes=len(np.unique(pool.labels[pool.labels >= 0])),
        searched=asked,
        notes=(*(note for note in table.facts.notes if note not in counted), *told, *notes),
    )
    kept = dataclasses.replace(
        table,
        pool=pool,
        role=role,
        facts=facts,
        whole=whole,
        classwise=table.classwise or table.whole is None,
        folds=folds,
        before=None if table.before is None else table.before[good],
        trunk=table.trunk.kept(good) if isinstance(table.trunk, BackboneTrunk) else None,
    )
    return examined(described(kept, features[good], backbone, key, []))


def forget() -> None:
    """Forget what this process has read; the features on disk stay."""
    _cache.clear()


__all__ = ["Embedded", "LosscopeError", "embed", "forget", "load"]
