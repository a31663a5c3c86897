"""Text models: plain encoders of Hugging Face, and sentence-transformers folders with all their layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from losscope.core.errors import LosscopeError, need, require, shown, unknown
from losscope.features.backbones.base import Backbone
from losscope.features.backbones.huggingface import (
    first_line,
    quiet,
    transformers_package,
    version,
    with_weights,
    without_numbers,
)
from losscope.features.backbones.memory import forward_bytes, parameter_bytes
from losscope.features.backbones.sentences import POOLINGS, Step, layout

if TYPE_CHECKING:
    from torch import Tensor

KEYS = ("pool", "prompt", "max_seq_length")
UNUSED = ("pooler.", "position_ids", "lm_head.")
"""Parts of a model that may be missing from its file, since no feature depends on them."""
AFTER_PADDING = ("roberta", "camembert", "mpnet", "longformer", "esm", "xmod")
"""Types of models that count their positions from behind the number of the padding token."""
UNSAID = 512
"""Tokens at most of a model that does not say how many it takes."""
SOME = 1024
"""Texts that the tokenizer is given at once."""
TITLES = {"cls": "first token", "mean": "mean over tokens", "max": "largest over tokens"}
SIDES = {"query": ("query", "question"), "document": ("document", "passage", "corpus", "answer")}
"""Prompts, by the names that models give them, for texts that ask and for those that are searched."""


class Tokens(NamedTuple):
    """A text as the network takes it, int64 (2, L): token ids, and 1 where a token is pooled.

    ``cut``: it was longer than the model takes. ``unknown``: how many of its tokens the tokenizer lacks.
    """

    values: np.ndarray
    cut: bool
    unknown: int


class TextModel(Backbone):
    """A text model through ``AutoModel`` and ``AutoTokenizer``, with what its folder declares.

    A sentence-transformers folder has its pooling (mean, first token, …), dense layers, normalisation, tokens
    at most and prompts. A plain encoder declares no pooling: the mean over its tokens. Texts of one number of
    tokens are computed together, so that no text is padded, and its batch does not matter.

    Preprocessing keys: ``pool`` (names of poolings, with +), ``max_seq_length``, and ``prompt``: the name of
    a declared prompt, or a text that is put in front of every text.
    """

    def __init__(self, name: str, folder: Path, given: Mapping[str, Any]):
        for key in given:
            if key not in KEYS:
                raise unknown(f"preprocessing of {name}", key, KEYS)
        found = layout(name, folder)
        pooling = found.pooling
        if "pool" in given:
            pooling = tuple(str(given["pool"]).split("+"))
            for mode in pooling:
                if mode not in POOLINGS:
                    raise unknown("pool", mode, POOLINGS)
        require(
            pooling == found.pooling or not found.steps or len(pooling) == len(found.pooling),
            f"the layers behind the pooling of {name!r} take {len(found.pooling)} of them",
        )
        self.layout, self.pooling = found, pooling
        self.asked = given.get("max_seq_length")
        require(
            self.asked is None or (isinstance(self.asked, int) and self.asked >= 3),
            f"max_seq_length is {self.asked!r}; it is a number of tokens, at least 3",
        )
        self.prompt = _prompt(name, given.get("prompt"), found.prompts, found.prompt)
        self.chosen = "prompt" in given
        self.layers: list[Any] = []
        super().__init__(
            name,
            "texts",
            found.files,
            {
                "family": "text",
                "pool": "+".join(pooling),
                "prompt": self.prompt,
                "max_seq_length": self.asked,
                "transformers": version(),
            },
        )
        self.width = None if found.width is None else found.width * len(pooling) // len(found.pooling)
        if any(step.width for step in found.steps):
            self.width = found.width
        if not found.declared and "pool" not in given:
            self.notes.append(f"{name} declares no pooling: the mean over a text's tokens is taken")

    @property
    def preprocessing(self) -> str:
        """Tokens at most, pooling, layers and prompt in words."""
        pooled = " + ".join(TITLES.get(mode, mode) for mode in self.pooling)
        most = self.asked or self.layout.most
        cut = f"at most {most} tokens, " if most else ""
        behind = "".join(f", {step.said}" for step in self.layout.steps)
        return f"{cut}{pooled}{behind}" + (f", prompt {self.prompt!r}" if self.prompt else "")

    def prompt_of(self, side: str) -> str:
        """What is put in front of texts that ask (``query``), are searched (``document``), or neither.

        A prompt that was asked for, or that the model always has, stands before all alike.
        """
        if self.chosen or self.prompt:
            return self.prompt
        names = SIDES.get(side, ())
        return next((self.layout.prompts[name] for name in names if name in self.layout.prompts), "")

    def start(self) -> None:
        """Read the tokenizer."""
        transformers = transformers_package()
        with quiet():
            try:
                self.tokenizer = transformers.AutoTokenizer.from_pretrained(
                    str(self.layout.transformer), local_files_only=True, trust_remote_code=False
                )
            except ImportError as error:
                raise need(str(error.name or "tokenizers"), self.name, "'losscope[hf]'") from None
            except Exception as error:  # tokenizers and transformers each have their own
                raise LosscopeError(
                    f"the tokenizer of {self.name!r} cannot be read: {first_line(error)}"
                ) from None
        self.most = self._most()
        self.unknown = getattr(self.tokenizer, "unk_token_id", None)
        self._prompts: dict[str, int] = {}

    def _most(self) -> int:
        """Tokens of a text at most: the user's word, the folder's, the tokenizer's, the positions'."""
        config = self.layout.config
        positions = config.get("max_position_embeddings", config.get("n_positions"))
        positions = positions if isinstance(positions, int) and positions > 0 else None
        if positions and any(kind in str(config.get("model_type")) for kind in AFTER_PADDING):
            positions -= 1 + int(config.get("pad_token_id") or 0)
        told = int(self.tokenizer.model_max_length)
        found = [size for size in (self.layout.most, told, positions) if size and size < 1e9]
        require(
            self.asked is None or positions is None or self.asked <= positions,
            f"max_seq_length is {self.asked}, and {self.name!r} has {positions} positions; give at most that",
        )
        return self.asked or min(found, default=UNSAID)

    def tokens(self, rows: Sequence[tuple[str, str]]) -> list[Tokens]:
        """Texts with the prompts in front of them, each cut to the tokens that the model takes.

        From one thread: whether a tokenizer cuts is a state of its own.
        """
        texts = [self._text(prompt + text) for text, prompt in rows]
        whole = [self._numbers(texts[start : start + SOME]) for start in range(0, len(texts), SOME)]
        ids = [numbers for some in whole for numbers in some]
        long = [row for row, numbers in enumerate(ids) if len(numbers) > self.most]
        for start in range(0, len(long), SOME):
            some = long[start : start + SOME]
            cut = self._numbers([texts[row] for row in some], truncation=True, max_length=self.most)
            for row, numbers in zip(some, cut, strict=True):
                ids[row] = numbers
        nothing = [row for row, numbers in enumerate(ids) if not len(numbers)]
        require(
            not nothing,
            f"the tokenizer of {self.name!r} makes no token of {len(nothing):,} texts (such as "
            f"{shown(rows[nothing[0]][0] if nothing else '')}); wanted: texts in its language",
        )
        cuts = set(long)
        return [
            Tokens(
                np.stack([numbers, self._pooled(numbers, prompt)]),
                row in cuts,
                int((numbers == self.unknown).sum()) if self.unknown is not None else 0,
            )
            for row, (numbers, (_, prompt)) in enumerate(zip(ids, rows, strict=True))
        ]

    def _text(self, text: str) -> str:
        return text.lower() if self.layout.lower else text

    def _numbers(self, texts: list[str], **words: Any) -> list[np.ndarray]:
        return [np.array(ids, np.int64) for ids in self.tokenizer(texts, verbose=False, **words)["input_ids"]]

    def _pooled(self, ids: np.ndarray, prompt: str) -> np.ndarray:
        """1 where a token is pooled, which those of a prompt may not be."""
        pooled = np.ones_like(ids)
        if prompt and not self.layout.include_prompt:
            pooled[: min(self._length(prompt), len(ids) - 1)] = 0
        return pooled

    def _length(self, prompt: str) -> int:
        """Tokens of a prompt, without the special one at its end."""
        if prompt not in self._prompts:
            (ids,) = self._numbers([self._text(prompt)])
            special = len(ids) > 0 and int(ids[-1]) in self.tokenizer.all_special_ids
            self._prompts[prompt] = len(ids) - special
        return self._prompts[prompt]

    def prepare(self, row: Any) -> np.ndarray:
        """(2, L): the tokens of a text, or of a text and its prompt."""
        return self.tokens([(row, "") if isinstance(row, str) else row])[0].values

    def needs(self, shape: tuple[int, ...], batch: int) -> tuple[int, int]:
        """From a model without numbers (meta) of the same configuration."""
        self.model = model = without_numbers(self.name, self.layout.transformer)
        return parameter_bytes(model), forward_bytes(model, self, shape, batch)

    def open(self, device: str) -> None:
        """Read the weights in float32; any that is missing from the file, and matters, is an error."""
        model, missing = with_weights(self.name, self.layout.transformer, use_safetensors=True)
        allowed = (*UNUSED, "decoder.") if model.config.is_encoder_decoder else UNUSED
        lacking = [name for name in missing if not any(part in name for part in allowed)]
        require(
            not lacking,
            f"{len(lacking)} weights of {self.name!r} are not in its file and would be random "
            f"({', '.join(lacking[:3])}); save the model again",
        )
        self.model = model.to(device).eval()
        self.layers = [_layer(self.name, step, device) for step in self.layout.steps]

    def padded(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        """Tokens (2, L) of texts as one array (rows, 3, L) of the longest; the third row is 1 for a token."""
        fill = getattr(self.tokenizer, "pad_token_id", None)
        made = np.zeros((len(rows), 3, max(row.shape[1] for row in rows)), np.int64)
        made[:, 0] = 0 if fill is None else fill
        for own, row in zip(made, rows, strict=True):
            own[:2, : row.shape[1]] = row
            own[2, : row.shape[1]] = 1
        return made

    def module(self) -> Any:
        """The opened model, and the layers behind its pooling, as a module."""
        from losscope.features.backbones.module import Network

        return Network(self, self.model, self.layers)

    def __call__(self, batch: Tensor) -> Tensor:
        """(rows, 2, L), token ids and what is pooled, or (rows, 3, L) with what is a token, -> (rows, D)."""
        import torch

        ids, pooled = batch[:, 0].long(), batch[:, 1]
        mask = batch[:, 2] if batch.shape[1] == 3 else torch.ones_like(ids)
        network = self.model.get_encoder() if self.model.config.is_encoder_decoder else self.model
        found = network(input_ids=ids, attention_mask=mask).last_hidden_state
        features = torch.cat([pool(found, pooled, mode) for mode in self.pooling], dim=-1)
        for layer in self.layers:
            features = layer(features)
        return features


def pool(found: Tensor, counted: Tensor, mode: str) -> Tensor:
    """One vector per row, (rows, D), from one per token, (rows, L, D); ``counted`` (rows, L) is 1 or 0.

    >>> import torch
    >>> found = torch.tensor([[[1.0], [2.0], [6.0]]])
    >>> [float(pool(found, torch.ones(1, 3), mode)) for mode in ("cls", "mean", "max", "lasttoken")]
    [1.0, 3.0, 6.0, 6.0]
    """
    import torch

    weight = counted.to(found.dtype)[..., None]
    places = torch.arange(found.shape[1], device=found.device)
    if mode in ("cls", "lasttoken"):
        kept = torch.where(counted > 0, places, -1 if mode == "lasttoken" else found.shape[1])
        place = kept.amax(1) if mode == "lasttoken" else kept.amin(1)
        return found.gather(1, place[:, None, None].expand(-1, 1, found.shape[2]))[:, 0]
    if mode == "max":
        return found.masked_fill(weight == 0, float("-inf")).amax(1)
    if mode == "weightedmean":
        weight = weight * (places + 1)[:, None]
    total = (found * weight).sum(1)
    size = weight.sum(1)
    return total / (size.sqrt() if mode == "mean_sqrt_len_tokens" else size)


def _prompt(name: str, given: Any, prompts: Mapping[str, str], usual: str | None) -> str:
    """The text in front of every text: of the name given, as it was given, or the folder's usual one."""
    if given is None:
        return prompts.get(usual, "") if usual else ""
    text = str(given)
    if text in prompts:
        return prompts[text]
    if text and text.isidentifier():
        raise unknown(
            f"prompt of {name}",
            text,
            prompts or ["none is declared"],
            "; or the text itself, in quotes and with its colon or blank: prompt='query: '",
        )
    return text


def _layer(name: str, step: Step, device: str) -> Any:
    """A layer behind the pooling, with its weights."""
    import torch
    from safetensors.torch import load_file

    if step.kind == "normalise":
        return lambda features: torch.nn.functional.normalize(features, dim=-1)
    file = step.folder / "model.safetensors"
    try:
        own = {key.rpartition(".")[2]: tensor.float() for key, tensor in load_file(file).items()}
        weight, bias = own["weight"], own.get("bias")
    except Exception as error:  # safetensors has errors of its own, and a file may lack a weight
        raise LosscopeError(f"the weights of {name!r} cannot be read: {first_line(error)}") from None
    if step.kind == "layer_norm":
        layer: torch.nn.Module = torch.nn.LayerNorm(len(weight))
    else:
        require(
            (bias is not None) == step.bias and weight.shape[0] == step.width,
            f"the backbone {name!r} has other weights in {step.folder.name} than its config.json says; save "
            "the model again",
        )
        layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=step.bias)
    layer.load_state_dict(own)
    if step.kind == "dense":
        layer = torch.nn.Sequential(layer, getattr(torch.nn, step.activation)())
    return layer.to(device).eval()
