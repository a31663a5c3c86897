"""A foreign loss as the trainer uses it: one module per member, called once per member and step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, final

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from losscope.core.errors import LosscopeError
from losscope.core.spec import Run, seed_of
from losscope.losses.foreign.building import ForeignLoss
from losscope.losses.foreign.sources import origin
from losscope.losses.foreign.state import changed, load_plain_state, other_state, parts_of, plain_state
from losscope.losses.objective import Hyperparameter, Objective, Traits
from losscope.pairs import Labels, Relation, Terms

# Whether a foreign loss's least value is above 0 is not known, so that epochs_to_90 is not said.
TRAITS = Traits(takes="anchors", normalised=True, hinge=False, counts=False, floor=True, reduction="own")


@final
class ForeignObjective(Objective):
    """Someone else's loss, a module per member, which gives a scalar that it has reduced itself.

    A member's scalar L stands as ``Terms`` of value L/B per row, valid 1 and active None: its sum is L, which
    is the member's loss, and counts and shares do not exist. The loss's own parameters live in the
    population's buffer; what else it keeps, and its random numbers, are each member's own.
    """

    traits = TRAITS
    hyperparameters: Mapping[str, Hyperparameter] = MappingProxyType({})
    force = None

    def __init__(self, runs: Sequence[Run], classes: Sequence[int], device: torch.device):
        spec, size = runs[0].loss, runs[0].protocol.embedding_size
        self.provenance = {"foreign": origin(spec.name)}
        self.seeds = [run.seed for run in runs]
        self.device = device
        self.steps = 0
        self.modules: list[ForeignLoss] = []
        for seed, own in zip(self.seeds, classes, strict=True):
            with seeded(seed_of(seed, "class_vectors"), device):
                self.modules.append(ForeignLoss(spec.name, classes=own, embedding_size=size).to(device))
        self.others = [other_state(module) for module in self.modules]
        shapes = [{name: value.shape for name, value in parts_of(module).items()} for module in self.modules]
        if any(shape != shapes[0] for shape in shapes):
            raise LosscopeError(
                f"the loss {spec.name!r} has one vector per class and the seeds' training classes differ "
                f"in number: {sorted(set(classes))}; train one seed at a time"
            )

    def initial(self, embedding_size: int) -> list[dict[str, np.ndarray]]:
        """The loss's own parameters of each member, as it initialises them under the member's seed."""
        return [
            {
                f"loss.{name}": value.detach().cpu().float().numpy().copy()
                for name, value in parts_of(module).items()
            }
            for module in self.modules
        ]

    def __call__(
        self, embeddings: Tensor, relation: Relation, extra: Mapping[str, Tensor]
    ) -> tuple[Terms, Tensor]:
        """Terms and the loss of every member, (M,)."""
        if not isinstance(relation, Labels):
            raise LosscopeError(f"a foreign loss wants class labels; the batch is given as {relation}")
        self.steps += 1
        own = {name.removeprefix("loss."): value.unbind(0) for name, value in extra.items()}
        values = []
        for member, (rows, seed) in enumerate(zip(embeddings.unbind(0), self.seeds, strict=True)):
            parameters = {name: value[member] for name, value in own.items()}
            with seeded(seed_of(seed, "foreign", self.steps), self.device):
                values.append(
                    functional_call(self.modules[member], parameters, (rows, relation.member(member)))
                )
        loss = torch.stack(values).to(embeddings.dtype)
        batch = embeddings.shape[1]
        value = (loss / batch).unsqueeze(-1).expand(-1, batch)
        return Terms(value, None, torch.ones_like(value, dtype=torch.int64)), loss

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps: steps, and each member's queues, moving means and counts.

        ``lost``: names of what the loss has changed and no checkpoint can hold.
        """
        pairs = zip(self.others, self.modules, strict=True)
        lost = {name for before, module in pairs for name in changed(before, other_state(module))}
        return {
            "steps": self.steps,
            "modules": [plain_state(module) for module in self.modules],
            "lost": sorted(lost),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from ``state``."""
        self.steps = state["steps"]
        for module, kept in zip(self.modules, state["modules"], strict=True):
            load_plain_state(module, kept)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Torch's and numpy's global generators from a seed, and afterwards as they were.

    Foreign losses and miners may draw from them; a member's numbers must not depend on its neighbours.
    """
    state = np.random.get_state()
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed % 2**63)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            np.random.set_state(state)
