"""The contract tests themselves: our own items pass them, and planted faults do not."""

from __future__ import annotations

import numpy as np
import pytest

from losscope.core import registry
from losscope.testing import check_data, check_loss, check_measure, check_model

HEAD = """
import numpy as np
import torch
from losscope import Relation, Terms, register
from losscope.data.base import Draft
from losscope.models.networks import Architecture
"""
LOSS = """
@register("loss", "mine", {facts})
def mine(embeddings, relation, *, power: float = 2.0):
    '''A loss.'''
    positive, _ = relation.masks()
    squared = (embeddings.unsqueeze(-2) - embeddings.unsqueeze(-3)).square().sum(-1)
    valid = positive.sum(-1).expand(squared.shape[:-1])
    power = torch.as_tensor(power, dtype=squared.dtype)[..., None, None]
    near = squared.clamp_min(1e-12) ** (power / 2)
    {body}
"""
SOFT = "hinge=False, normalised=True, takes='pairs', form='mine'"
GOOD = "return Terms((near * positive).sum(-1), None, valid)"


@pytest.mark.parametrize(
    ("facts", "body", "said"),
    [
        (SOFT, "return (near * positive).sum()", "gave a Tensor; it must give Terms"),
        (SOFT.replace("False", "True", 1), GOOD, "gave active None, and is registered with hinge=True"),
        (SOFT, "return Terms((near * positive).sum(-1), None, valid.float())", "int64"),
        (SOFT, "return Terms((near * positive), None, valid)", "values of shape"),
        (SOFT, "return Terms(near.sum(-1), None, valid)", "does not depend on the labels"),
        (
            SOFT,
            "near = near.clone(); near[..., 0, :] *= 2; return Terms((near * positive).sum(-1), None, valid)",
            "depends on the order of the batch",
        ),
        (
            SOFT,
            "return Terms((near.mean() * near * positive).sum(-1), None, valid)",
            "treats a member of a population otherwise than alone",
        ),
        (
            SOFT,
            "return Terms((squared.sqrt() * positive).sum(-1), None, valid)",
            "is not finite, or its gradient",
        ),
        (
            SOFT,
            "return Terms((near * positive).sum(-1) / valid, None, valid)",
            "is not finite, or its gradient",
        ),
        (
            SOFT,
            "return Terms((near * positive).sum(-1) + near.sum(-1) + 1, None, valid)",
            "has no term and is not 0",
        ),
        (SOFT + ", positive=('power',), space=[{'power': -1.0}]", GOOD, "must be positive"),
        (SOFT + ", space=[{'power': 1.0}, {'power': 1.0}]", GOOD, "tries the same point of its space twice"),
    ],
)
def test_a_faulty_loss_is_found(tmp_path, facts, body, said):
    with registry.forgetting():
        _load(tmp_path, LOSS.format(facts=facts, body=body))
        with pytest.raises(AssertionError, match=said):
            check_loss("mine")


def test_a_sound_loss_passes(tmp_path):
    with registry.forgetting():
        _load(tmp_path, LOSS.format(facts=SOFT, body=GOOD))
        check_loss("mine")
        check_loss("mine", power=1.5)
        with pytest.raises(AssertionError, match="no hyperparameter 'margin'"):
            check_loss("mine", margin=1.0)


MEASURE = """
@register("measure", "mine", quantities=[{{"name": "mine", "definition": "d", "unit": "u", "better": "higher",
                                          "scale": "difference"}}])
def mine(embeddings, labels):
    '''A measure.'''
    return {{"mine": {value}}}
"""


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("embeddings[0].norm()", "mine depends on the order of the rows"),
        ("torch.rand(())", "mine of a member is another than alone"),
        ("embeddings.norm(dim=-1).mean()", None),
    ],
)
def test_a_faulty_measure_is_found(tmp_path, value, said):
    with registry.forgetting():
        _load(tmp_path, MEASURE.format(value=value))
        if said is None:
            check_measure("mine")
            return
        with pytest.raises(AssertionError, match=said):
            check_measure("mine")


MODEL = """
@register("model", "mine", inputs="vectors")
def mine(inputs, hidden, embedding_size):
    '''A network.'''
    size = int(np.prod(inputs))
    shapes = {{"weight": (size, embedding_size), "spare": (1,)}}
    def forward(parameters, x):
        x = x.flatten(2)
        return {out}
    return Architecture(shapes, {{"weight": size, "spare": 1}}, forward)
"""


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("x @ parameters['weight']", "the parameter spare has no finite gradient"),
        ("(x @ parameters['weight'])[..., :2] + parameters['spare'][..., None]", "is wanted"),
        (
            "x @ parameters['weight'].mean(0, keepdim=True).expand_as(parameters['weight']) "
            "+ parameters['spare'][..., None]",
            "other embeddings than alone",
        ),
        ("x @ parameters['weight'] + parameters['spare'][..., None]", None),
    ],
)
def test_a_faulty_network_is_found(tmp_path, out, said):
    with registry.forgetting():
        _load(tmp_path, MODEL.format(out=out))
        if said is None:
            check_model("mine")
            return
        with pytest.raises(AssertionError, match=said):
            check_model("mine")


@pytest.mark.parametrize("name", sorted(set(registry.entries("model")) - {"resnet18"}))
def test_our_networks_keep_the_contract(name):
    check_model(name)


def test_resnet_keeps_the_contract():
    pytest.importorskip("transformers")
    check_model("resnet18")


@pytest.mark.parametrize("name", ["digits", "synthetic"])
def test_the_data_that_come_along_keep_the_contract(name):
    check_data(name)


def test_data_registered_with_other_classes_are_found(tmp_path):
    code = (
        '@register("data", "mine", title="Mine", n=40, classes=3, modality="vectors", bundled=True)\n'
        "def mine(root):\n"
        "    '''Data.'''\n"
        "    labels = np.arange(40) % 2\n"
        "    points = np.random.default_rng(0).random((40, 3), np.float32)\n"
        '    return Draft("mine", "Mine", "vectors", points, labels)\n'
    )
    with registry.forgetting():
        _load(tmp_path, code)
        with pytest.raises(AssertionError, match="has 2 classes and is registered with 3"):
            check_data("mine")


def _load(folder, code: str) -> None:
    file = folder / f"mine{np.random.default_rng().integers(10**9)}.py"
    file.write_text(HEAD + code)
    registry.load_plugin(file)
