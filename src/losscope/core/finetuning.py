"""What of a backbone is trained beside the head: nothing, its last blocks, low-rank changes, or all of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from losscope.core.errors import LosscopeError, shown

Mode = Literal["head", "last", "lora", "all"]
Precision = Literal["float32", "bfloat16"]

RANK = 8
"""The rank of ``lora`` where none is given (Hu et al. 2022 use 4 and 8)."""
SHARES: dict[Mode, float] = {"head": 0.0, "last": 0.01, "all": 0.01, "lora": 0.1}
"""The backbone's learning rate over the head's: 1e-5 and 1e-4 beside a head's usual 1e-3.

Pretrained transformers are trained at 2e-5 to 5e-5 (Devlin et al. 2019), and low-rank changes at about ten
times the rate of whole weights (Hu et al. 2022, appendix D; Biderman et al. 2024).
"""
EPOCHS = 10
"""Epochs of a study that trains a backbone, where the protocol has more and none are given."""
CHOICES = "head, last:K (its last K transformer blocks), lora or lora:RANK, all"
_FORM = re.compile(r"(head|all)|(last):([1-9][0-9]{0,3})|(lora)(?::([1-9][0-9]{0,3}))?")


@dataclass(frozen=True)
class FineTune:
    """What of a backbone is trained: ``count`` are the blocks of ``last``, the rank of ``lora``.

    >>> FineTune.read("last:2"), FineTune.read("lora").text
    (FineTune(mode='last', count=2), 'lora:8')
    """

    mode: Mode
    count: int = 0

    @classmethod
    def read(cls, text: str) -> FineTune:
        """The way that a text names.

        Raises:
            LosscopeError: it names none; with the choices.
        """
        found = _FORM.fullmatch(text.strip())
        if found is None:
            raise LosscopeError(f"cannot fine-tune {shown(text)} of a backbone; choices: {CHOICES}")
        whole, last, blocks, lora, rank = found.groups()
        if lora:
            return cls("lora", int(rank or RANK))
        if last:
            return cls("last", int(blocks))
        return cls("all" if whole == "all" else "head")

    @property
    def text(self) -> str:
        """As it is written, with nothing implicit."""
        return f"{self.mode}:{self.count}" if self.count else self.mode

    @property
    def share(self) -> float:
        """The usual learning rate of the backbone over the head's."""
        return SHARES[self.mode]

    @property
    def said(self) -> str:
        """What is trained, as a sentence names it.

        >>> FineTune.read("last:1").said, FineTune.read("lora").said
        ('the last transformer block of the backbone', 'low-rank changes (rank 8) of the backbone')
        """
        if self.mode == "last":
            blocks = "transformer block" if self.count == 1 else f"{self.count} transformer blocks"
            return f"the last {blocks} of the backbone"
        if self.mode == "lora":
            return f"low-rank changes (rank {self.count}) of the backbone"
        return "the whole backbone" if self.mode == "all" else "nothing of the backbone"
