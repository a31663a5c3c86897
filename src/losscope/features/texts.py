"""Features of texts: each different text once, the longest first, so that texts of one length go together."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from losscope.core.errors import require
from losscope.data.download import cache_folder
from losscope.data.finish import finish
from losscope.data.loading import undecoded_texts
from losscope.features.backbones.base import Backbone, Takes
from losscope.features.backbones.text import TextModel, Tokens
from losscope.features.digests import digests
from losscope.features.made import FORMAT, Embedded, Pass, compute_missing, described, examined, planned
from losscope.features.shards import Counts, Shards
from losscope.features.trunk import BackboneTrunk

MANY = 50_000
"""Texts whose tokens take long enough to be told."""


class TextRows:
    """Texts with their prompts, in the order in which they are computed, as tokens."""

    takes: Takes = "texts"

    def __init__(self, texts: Sequence[tuple[str, str]], tokens: Sequence[np.ndarray]):
        self.texts, self.tokens = texts, tokens

    def __len__(self) -> int:
        return len(self.tokens)

    def name(self, row: int) -> str:
        """How a text begins."""
        return repr(self.texts[row][0][:40])

    def read(self, row: int) -> tuple[str, str]:
        """A text and the prompt in front of it."""
        return self.texts[row]

    def prepared(self, row: int, backbone: Backbone) -> np.ndarray:
        """The tokens, which are there already: their number decides the order."""
        return self.tokens[row]


def embed_texts(name: str, find: Callable[[], Backbone], work: Pass, options: Mapping[str, Any]) -> Embedded:
    """The features of the texts of a table, or of ``hf:owner/name``, by the text model that ``find`` makes.

    Raises LosscopeError for what holds no texts, empty ones, and what cannot be compared on.
    """
    backbone = find()
    assert isinstance(backbone, TextModel)
    found, shared = undecoded_texts(name, **options)
    require(
        len(found.texts) < 2**24,
        f"{name} has {len(found.texts):,} texts; at most {2**24:,} can be embedded at once",
    )
    table = finish(found.draft, **shared, examine=False)
    if found.of_pairs:
        require(
            not shared.get("label_noise"),
            f"{name} has pairs without classes; label_noise redraws classes and wants labels",
        )
        # Such texts lie in one space: they are measured as rows of one modality, whose classes are the items.
        table = dataclasses.replace(
            table, facts=dataclasses.replace(table.facts, by_item=False, of_pairs=True)
        )
    prompts = {side: backbone.prompt_of(side) for side in dict.fromkeys(found.sides)}
    used, places = np.unique(table.pool.inputs[:, 0].astype(np.int64), return_inverse=True)
    texts = [(found.texts[row], prompts[found.sides[row]]) for row in used.tolist()]
    own = table.pool.inputs[:, 0].astype(np.int64).tolist()
    table = dataclasses.replace(
        table,
        before=np.array([found.texts[row] for row in own], dtype=object),
        trunk=BackboneTrunk(find, lambda: TextRows(texts, ()), places, backbone.name, "texts"),
    )
    key = _key(texts, backbone, work)
    shards = Shards(cache_folder() / "features" / key[:40], len(texts))
    cached = shards.finished()
    notes = [
        f"each {side} has the prompt {prompt!r} in front"
        for side, prompt in prompts.items()
        if prompt and len(set(prompts.values())) > 1
    ]
    notes += backbone.notes
    if not cached:
        tokens = _tokens(texts, backbone, work)
        counts = Counts(
            backbone.most,
            sum(text.cut for text in tokens),
            sum(2 * text.unknown > text.values.shape[1] for text in tokens),
        )
        if not work.compute:
            return planned(table, backbone, key, shards, [*notes, *_said(counts, len(texts))])
        order = np.argsort([-text.values.shape[1] for text in tokens], kind="stable")
        rows = TextRows([texts[row] for row in order], [tokens[row].values for row in order])
        shards.order = order
        compute_missing(rows, backbone, shards, work, False, counts)
    counts = shards.counts()
    features = shards.open()
    if not np.array_equal(places, np.arange(len(features))):  # else as they lie on disk
        features = features[places]
    made = described(table, features, backbone, key, [*notes, *_said(counts, len(texts))])
    return Embedded(examined(made), key, shards.folder, backbone, cached)


def _key(texts: Sequence[tuple[str, str]], backbone: TextModel, work: Pass) -> str:
    """The hash of all that the features depend on: texts in their order, prompts, weights, settings."""
    seen = hashlib.sha256()
    for text, prompt in texts:
        for part in (prompt, text):
            content = part.encode("utf-8", "surrogatepass")
            seen.update(len(content).to_bytes(8, "little") + content)
    weights = digests(backbone.files, cache_folder() / "digests", work.say, keep=work.compute)
    names = [path.name for path in backbone.files]
    settings = json.dumps([FORMAT, seen.hexdigest(), names, weights, backbone.settings], sort_keys=True)
    return hashlib.sha256(settings.encode()).hexdigest()


def _tokens(texts: Sequence[tuple[str, str]], backbone: TextModel, work: Pass) -> list[Tokens]:
    """The tokens of all texts, whose numbers decide what is computed together."""
    if work.say and len(texts) > MANY:
        work.say(f"counting the tokens of {len(texts):,} texts")
    backbone.start()
    return backbone.tokens(texts)


def _said(counts: Counts, total: int) -> list[str]:
    """What a person should know of the texts as the model saw them."""
    said = [
        f"{counts.cut:,} of {total:,} different texts are longer than the {counts.most:,} tokens that the "
        "backbone takes and are cut"
        if counts.cut
        else f"no text is longer than the {counts.most:,} tokens that the backbone takes"
    ]
    if counts.unknown:
        said.append(
            f"{counts.unknown:,} of {total:,} different texts consist mostly of tokens that the backbone "
            "does not know"
        )
    return said
