"""From what was read to a source: checked, numbered, split, described, in one place for all data."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from losscope.core.errors import LosscopeError, require
from losscope.core.queries import Searched, checked_roles
from losscope.data import health
from losscope.data import splits as rules
from losscope.data.base import TEST, TRAIN, VALIDATION, About, Draft, LeftOut, Part, Table, fingerprint
from losscope.data.checking import check_arrays, check_emptied, check_joint
from losscope.data.deciding import (
    background_notes,
    check_classes,
    check_kept,
    check_leak,
    check_parts,
    enough_items,
    held_whole,
    limited,
    mostly_unseen,
    shared_classes,
    torn_tuples,
    without_roles,
)
from losscope.data.folds import dealt, merged, without_split
from losscope.data.labels import Labels, understood
from losscope.data.listing import listed_again
from losscope.data.moments import channel_moments
from losscope.data.overlap import by_rarest, check_overlap
from losscope.data.roles import refuse_lone_part

TEST_SHARE = 0.3


class Names(NamedTuple):
    """The names that labels, fine labels and groups index, and the rows of background labels."""

    classes: tuple[str, ...]
    fine: tuple[str, ...]
    groups: tuple[str, ...]
    background: tuple[LeftOut, ...]


def finish(
    draft: Draft,
    *,
    train_labels: str | None = None,
    label_noise: float = 0.0,
    limit: int | None = None,
    limit_test: int | None = None,
    pairs: str | None = None,
    triplets: str | None = None,
    examine: bool = True,
    skip_unlabelled: bool = False,
    ignore_label: Any = (),
    folds: int | None = None,
    joint: bool = False,
) -> Table:
    """The source of a draft.

    ``train_labels``: "fine" or "coarse" where the data have both. ``label_noise``: share of the training
    labels redrawn uniformly, by seed. ``limit``: at most about so many training and validation rows, a
    fixed stratified choice; ``limit_test``: likewise of the test rows. ``pairs``, ``triplets``: files of
    explicit tuples over the rows. ``skip_unlabelled``: rows without a label are left out, not refused.
    ``ignore_label``: a label, or several, that are background like -1; "none" makes -1 a class.
    ``examine``: look for what is wrong with the rows (``health``). ``folds``: how many are drawn, of which a
    seed's test part is the fold seed mod their number; folds that the draft gives are used without it.
    ``joint``: both modalities are embeddings of one space.

    Raises LosscopeError for unequal lengths, NaN or infinity, missing labels, one class only, no class with
    two members, a part that can decide nothing, or splits that leak.
    """
    require(
        0 <= label_noise < 1, f"label_noise is {label_noise}; it is a share of the labels, from 0 to below 1"
    )
    require(
        draft.retrieval is None or draft.second is None,
        f"{draft.name} has two modalities, each of which searches the other, and queries and a gallery too; "
        "wanted: one of the two",
    )
    draft = without_split(draft, folds, (limit, limit_test))
    refuse_lone_part(draft)
    draft = by_rarest(draft, ignore=ignore_label, label_noise=label_noise, explicit=bool(pairs or triplets))
    if draft.second is not None:
        from losscope.data.readers.modalities import check_options

        check_options(draft, explicit=pairs or triplets, label_noise=label_noise)
    implied = draft.labels is None
    if pairs is not None or triplets is not None or implied:
        _add_tuples(draft, pairs, triplets)
    check_arrays(draft)
    check_joint(draft, joint)
    draft, size = _in_range(draft)
    labels = _labelled(draft, skip_unlabelled, ignore_label if draft.tags is None else ())
    pool, names = _pool(draft, labels, train_labels, ignore_label)
    items, zero = health.identities(pool.inputs, pool.second) if examine else health.unknown(len(pool))
    if len(again := listed_again(draft, pool, items)):
        keep = np.delete(np.arange(len(pool)), again)
        pool, items, zero = pool.take(keep), items[keep], zero[keep]
        draft.left_out.append(LeftOut(len(again), "rows", "that list a file again"))
    role, whole, split = _roles(draft, pool, names, implied)
    over = dealt(draft, pool.labels, whole, folds)
    if over is not None:
        role, split = over.role(0), over.said
    roles = [role] if over is None else over.roles
    paired = pool.second is not None
    alone = [
        check_classes(draft.name, pool.labels, own, names.classes, names.background, paired=paired)
        for own in roles
    ]
    notes = [*draft.notes, *(over.notes if over else ()), *alone[0], *background_notes(pool.labels, role)]
    if items_whole := implied and whole is None and enough_items(pool.labels, roles):
        whole = pool.labels
    elif whole is None and (why := held_whole(draft.name, pool.labels, roles)):
        whole = pool.labels
        notes.append(why)
    if pool.fine_labels is not None and draft.disjoint:
        notes.append(shared_classes(pool.labels, role))
    checksum = _checksum(pool, role)
    before, apart = role, False
    for rows, tested in ((limit, False), (limit_test, True)):
        if rows is not None:
            keep, note, small = limited(
                draft.name, pool.labels, (role == TEST) == tested, rows, tested, draft.by_item
            )
            pool, role, whole = pool.take(keep), role[keep], None if whole is None else whole[keep]
            items, zero, notes, apart = items[keep], zero[keep], notes + note, apart or small
    if len(role) < len(before):
        roles = [role]
        check_kept(draft.name, before, role)
        check_classes(f"{draft.name}, reduced,", pool.labels, role, names.classes, paired=paired)
    if whole is None and (why := held_whole(draft.name, pool.labels, roles)):
        whole, apart = pool.labels, True
        notes.append(why)
    for own in roles:
        unasked = without_roles(pool.retrieval, own)
        check_parts(draft.name, pool.labels, unasked, names.classes, paired=paired)
        if pool.tags is not None:
            check_overlap(draft.name, pool.tags, unasked)
    if label_noise:
        notes.append(f"{label_noise:.0%} of the training labels are redrawn at random")
    pool = dataclasses.replace(pool, rows=np.arange(len(pool)))
    asked, more = searched(draft.name, pool, role)
    notes += more
    seen = pool.labels[(role != TEST) & (pool.labels >= 0)]
    disjoint = not np.isin(pool.labels[role == TEST], seen).any()
    facts = _facts(draft, pool, role, names, split=split, disjoint=disjoint, checksum=checksum, notes=notes)
    folded = 0 if over is None else over.count
    facts = dataclasses.replace(facts, searched=asked, folds=folded, implied=implied, joint=joint)
    if examine:
        facts = facts.examined(merged([health.of(pool, own == TEST, items, zero, size) for own in roles]))
    options: tuple[Any, ...] = (draft.name, train_labels, label_noise, limit, draft.by_group, split)
    options += ("by item",) if draft.by_item else ()
    options += () if over is None else ("folds", fingerprint(over.of_row))
    # The quality curve of labelled pairs once ranked both modalities together: older runs are not theirs.
    options += ("across",) if paired and not draft.by_item else ()
    options += () if limit_test is None else ("limit_test", limit_test)
    options += ("small classes whole",) if apart else ()
    options += ("items whole",) if items_whole else ()
    classwise = whole is not None and not draft.by_group
    digest = fingerprint(more=repr((checksum, options)))
    table = Table(pool, role, facts, digest, label_noise, whole, classwise, over)
    torn = torn_tuples(draft, table)
    if torn:
        facts = dataclasses.replace(facts, notes=(*facts.notes, torn))
    for name in ("inputs", "labels", "fine_labels", "groups", "second"):
        if (array := getattr(pool, name)) is not None:
            array.setflags(write=False)
    return dataclasses.replace(table, facts=facts)


def _checksum(pool: Part, role: np.ndarray) -> str:
    """The content of all rows; without roles and items that of the arrays that there were before these."""
    later = {"retrieval", *(name for name in ("items", "tags") if getattr(pool, name) is None)}
    arrays = [getattr(pool, field.name) for field in dataclasses.fields(pool) if field.name not in later]
    if (roles := pool.retrieval) is None:
        return fingerprint(*arrays, role)
    return fingerprint(*arrays, role, roles.query, roles.gallery, roles.camera, more=roles.same_camera)


def searched(name: str, pool: Part, role: np.ndarray) -> tuple[Searched | None, list[str]]:
    """How many rows of the test part ask and are searched; raise for a part with roles that answers none."""
    if pool.retrieval is None:
        return None, []
    found, notes = None, []
    for part, what in ((TEST, "test"), (VALIDATION, "validation")):
        rows = np.flatnonzero(role == part)
        if (roles := pool.retrieval.take(rows)) is not None:
            notes += checked_roles(name, roles, pool.labels[rows], what)
            found = roles.searched(pool.labels[rows]) if part == TEST else found
    return found, notes


def _in_range(draft: Draft) -> tuple[Draft, tuple[str, ...]]:
    """The draft with numbers that float32 holds, and phrases on their size."""
    inputs, said = health.scaled(draft.name, "inputs", draft.inputs)
    if draft.second is None:
        return dataclasses.replace(draft, inputs=inputs), said
    second, more = health.scaled(draft.name, "second modality's values", draft.second)
    return dataclasses.replace(draft, inputs=inputs, second=second), (*said, *more)


def _add_tuples(draft: Draft, pairs: str | None, triplets: str | None) -> None:
    """Read explicit tuples, and make labels of them where the data have none."""
    from losscope.data.readers.tuples import implied_labels, read_tuples

    rows = len(draft.inputs)
    if pairs is not None:
        draft.pairs, notes = read_tuples(Path(pairs), "pairs", draft.names, rows)
        draft.notes += notes
    if triplets is not None:
        draft.triplets, notes = read_tuples(Path(triplets), "triplets", draft.names, rows)
        draft.notes += notes
    if draft.labels is None:
        require(draft.pairs is not None or draft.triplets is not None, draft.no_labels)
        draft.labels, notes = implied_labels(draft.pairs, draft.triplets, rows)
        draft.notes += notes


def _labelled(draft: Draft, skip_unlabelled: bool, ignore: Any) -> Labels:
    """The labels of a draft, which has a label in each row afterwards, and knows whether it is disjoint."""
    of = f"labels of {draft.name}"
    labels = understood(draft.labels, of, names=draft.class_names, ignore=ignore)
    finest = labels
    if draft.fine_labels is not None:
        finest = understood(draft.fine_labels, f"finer {of}", names=draft.fine_names)
    lacking, finer = labels.missing | finest.missing, finest.numbers
    if skip_unlabelled and lacking.any():
        count = int(lacking.sum())
        check_emptied(draft, lacking)
        draft.left_out.append(LeftOut(count, "row" if count == 1 else "rows", "without a label"))
        _keep(draft, ~lacking)
        finer = finer[~lacking]
        labels = understood(draft.labels, of, names=draft.class_names, ignore=ignore)
    labels.complete(of, "a label in each row, or --skip-unlabelled to leave these rows out")
    draft.notes += labels.notes
    if draft.disjoint is None:
        assert draft.role is not None
        # Of coarse classes both sides may have some where the finer ones are disjoint.
        role = np.asarray(draft.role)
        draft.disjoint = mostly_unseen(finer, role)
        if draft.disjoint and not mostly_unseen(labels.numbers, role):
            draft.split += ", of unseen finer classes"
    return labels


def _keep(draft: Draft, keep: np.ndarray) -> None:
    """Leave the other rows out of every array of a draft; tuples with such a row fall away, counted."""
    rows = np.flatnonzero(keep)
    for name in ("inputs", "labels", "fine_labels", "groups", "second", "names", "items", "role", "fold"):
        if (array := getattr(draft, name)) is not None:
            setattr(draft, name, array[keep])
    if draft.retrieval is not None:
        draft.retrieval = draft.retrieval.take(rows)
    if draft.tags is not None:
        draft.tags = draft.tags.take(keep)
    for name, columns in (("pairs", 2), ("triplets", 3)):
        if (tuples := getattr(draft, name)) is not None:
            left = rules.remap(tuples, rows, len(keep), columns=columns)
            setattr(draft, name, left)
            if left is not None and (lost := len(tuples) - len(left)):
                draft.left_out.append(LeftOut(lost, f"explicit {name}", "with such a row"))


def _pool(draft: Draft, found: Labels, train_labels: str | None, ignore: Any) -> tuple[Part, Names]:
    """All rows as one part, with the wanted level of labels, and the names of classes and groups."""
    require(
        train_labels in (None, "fine", "coarse"), f"train_labels is {train_labels!r}; choices: fine, coarse"
    )
    labels, class_names, background = found.numbers, found.names, found.background
    fine: np.ndarray | None = None
    groups: np.ndarray | None = None
    fine_names: tuple[str, ...] = ()
    group_names: tuple[str, ...] = ()
    if draft.fine_labels is not None:
        of = f"finer labels of {draft.name}"
        level = train_labels or draft.level
        finer = understood(
            draft.fine_labels, of, names=draft.fine_names, ignore=ignore if level == "fine" else ()
        )
        finer.complete(of, "a finer label in each row, or --skip-unlabelled to leave these rows out")
        fine, fine_names = finer.numbers, finer.names
        if level == "fine":
            labels, class_names, fine, fine_names = fine, fine_names, None, ()
            background = finer.background
    elif train_labels == "coarse":
        raise LosscopeError(
            f"{draft.name} has one kind of labels only; --train-labels coarse wants data with finer labels "
            "too"
        )
    if draft.groups is not None:
        groups, group_names = _grouped(draft)
    second = None if draft.second is None else as_inputs(draft.second)
    pool = Part(
        as_inputs(draft.inputs),
        labels,
        fine,
        groups,
        second,
        draft.names,
        np.arange(len(labels)),
        draft.pairs,
        draft.triplets,
        draft.retrieval,
        draft.items,
        None if draft.tags is None else draft.tags.table,
    )
    return pool, Names(class_names, fine_names, group_names, background)


def _grouped(draft: Draft) -> tuple[np.ndarray, tuple[str, ...]]:
    """Numbers and names of groups; a row of no group (-1, or missing) is one of its own, said."""
    found = understood(draft.groups, f"groups of {draft.name}")
    alone = np.flatnonzero(found.numbers < 0)
    if not len(alone):
        return found.numbers, found.names
    draft.notes.append(
        f"{len(alone):,} of {len(found.numbers):,} rows are of no group (-1, or missing): each is a group of "
        "its own"
    )
    numbers = found.numbers.copy()
    numbers[alone] = len(found.names) + np.arange(len(alone))
    return numbers, (*found.names, *(f"row {row}, of no group" for row in alone))


def _facts(
    draft: Draft,
    pool: Part,
    role: np.ndarray,
    names: Names,
    *,
    split: str,
    disjoint: bool,
    checksum: str,
    notes: Sequence[str],
) -> About:
    (mean, std), (second_mean, second_std) = (
        channel_moments(array, role == TRAIN) for array in (pool.inputs, pool.second)
    )
    return About(
        name=draft.name,
        title=draft.title,
        kind=draft.kind,
        classes=len(np.unique(pool.labels[pool.labels >= 0]))
        if pool.tags is None
        else int(pool.tags.any(axis=0).sum()),
        rows=len(pool),
        shape=pool.inputs.shape[1:],
        split=split,
        edition=draft.edition,
        origin=draft.origin,
        licence=draft.licence,
        disjoint=disjoint,
        tuples=pool.pairs is not None or pool.triplets is not None,
        by_item=draft.by_item,
        several=pool.tags is not None,
        checksum=checksum,
        class_names=names.classes,
        fine_names=names.fine,
        group_names=names.groups,
        modalities=draft.modalities,
        second_shape=() if pool.second is None else pool.second.shape[1:],
        mean=mean,
        std=std,
        second_mean=second_mean,
        second_std=second_std,
        picture=draft.picture,
        left_out=tuple(draft.left_out),
        background=names.background,
        notes=tuple(notes),
    )


def as_inputs(array: np.ndarray) -> np.ndarray:
    """Float32; uint8 images, and features that lie on disk in half precision, as they are."""
    mapped = isinstance(array, np.memmap) and array.dtype == np.float16
    return array if mapped or (array.dtype == np.uint8 and array.ndim == 4) else np.asarray(array, np.float32)


UNSEEN = "test of unseen classes, fixed, because most classes have fewer than 4 rows"


def _roles(
    draft: Draft, pool: Part, names: Names, implied: bool
) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Each row's part; what is held out whole for validation, if anything; and the split in words."""
    require(
        not draft.by_group or pool.groups is not None,
        f"{draft.name} has no groups to split by; wanted: a group column",
    )
    whole = pool.groups if draft.by_group else None
    if draft.disjoint:
        # Classes are disjoint at the finest level, whatever is trained on.
        finest = pool.labels if pool.fine_labels is None else pool.fine_labels
        whole = finest if whole is None else whole
    kind = "group" if draft.by_group else "class"
    if whole is None and (draft.by_item or pool.items is not None):
        from losscope.data.readers.modalities import item_groups

        whole, kind = pool.labels if pool.items is None else item_groups(pool.items), "item"
    if draft.role is not None:
        role = np.asarray(draft.role, np.int8)
        for part, what in ((TRAIN, "training"), (TEST, "test")):
            require(
                bool(np.any(role == part)), f"{draft.name} has no {what} rows; wanted: training and test rows"
            )
        if whole is not None:
            check_leak(draft.name, kind, whole, role, names.groups if draft.by_group else ())
        if draft.names is not None:
            check_leak(draft.name, "file", draft.names, role)
        return role, whole, draft.split or "split as given"
    tuples = draft.pairs is not None or draft.triplets is not None
    if whole is None and tuples:
        from losscope.data.readers.tuples import holding_units

        whole = holding_units(draft.pairs, draft.triplets, len(pool))
        if whole is None and implied and enough_items(pool.labels, [np.full(len(pool), TRAIN)]):
            whole, kind = pool.labels, "item"  # tuples of rows that are different may fall away
    rng = rules.generator(0, "test split")
    counts = np.bincount(pool.labels[pool.labels >= 0])
    counts = counts[counts > 0]
    if whole is not None:
        held, split = rules.hold_out_whole(whole, TEST_SHARE, rng), "test of whole groups, fixed"
        if kind == "item":
            split = "test of whole items, fixed"
        elif not draft.by_group:
            split = "test tears no tuple apart, fixed"
    elif np.median(counts) < 4 and len(counts) >= 5:
        whole = pool.labels
        held, split = rules.hold_out_whole(whole, TEST_SHARE, rng), UNSEEN
    else:
        held, split = rules.hold_out_stratified(pool.labels, TEST_SHARE, rng), "test stratified, fixed"
    return np.where(held, TEST, TRAIN).astype(np.int8), whole, split
