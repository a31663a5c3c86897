"""Contracts that every registered loss keeps, against naive loops in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import oracles
from loss_cases import (
    CLASSES,
    DEFINED,
    FREE,
    HINGES,
    LOSSES,
    PROXY,
    SIZE,
    SOUND,
    VARIANTS,
    call,
    extra,
    gradient,
    reduced,
    seeded,
    vectors,
)
from losscope.core.errors import LosscopeError
from losscope.core.registry import entry
from losscope.pairs import Pairs, Relation, Triplets, pair_distances, reduce
from losscope.testing import check_loss
from oracles import Case


def check_against_oracle(name: str, z: Tensor, case: Case, relation: Relation, **words: Any) -> None:
    """Value, counts and the gradient under arbitrary weights of the rows equal the loops'."""
    z = z.clone().requires_grad_()
    parameters = [z, *(w.requires_grad_() for w in words.values() if isinstance(w, Tensor) and w.dim() > 1)]
    terms = call(name, z, relation, **words)
    value, active, valid = getattr(oracles, name)(z, case, **words)
    assert terms.value.shape == value.shape
    assert torch.allclose(terms.value, value, rtol=1e-10, atol=1e-10)
    assert terms.valid.tolist() == valid and terms.valid.dtype == torch.int64
    if entry("loss", name).facts.hinge:
        assert terms.active is not None and terms.active.dtype == torch.int64
        assert terms.active.tolist() == active
    else:
        assert terms.active is None
    weight = torch.randn(value.shape, generator=seeded(7), dtype=value.dtype)
    found = torch.autograd.grad((terms.value * weight).sum(), parameters)
    expected = torch.autograd.grad((value * weight).sum(), parameters, materialize_grads=True)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def test_the_losses_of_the_definitions_and_one_known_fault() -> None:
    assert set(DEFINED) <= set(SOUND)
    assert entry("loss", "contrastive_label_blind").facts.faulty
    assert set(DEFINED) <= {name for name, _ in VARIANTS}


@pytest.mark.parametrize(("name", "words"), [*VARIANTS, *((name, {}) for name in LOSSES)])
def test_every_loss_keeps_the_contract(name: str, words: dict[str, Any]) -> None:
    check_loss(name, **words)


@pytest.mark.parametrize("name", [*DEFINED, "contrastive_label_blind"])
def test_declared_facts(name: str) -> None:
    """What the losses of the definitions say beyond the contract."""
    found = entry("loss", name)
    facts = found.facts
    assert facts.form in ("squared hinge", "linear hinge", "softmax", "log-sum-exp")
    assert facts.hinge == ("hinge" in facts.form)
    assert facts.held_weights == (name == "circle")
    assert facts.reductions[0] == "valid_mean"
    assert set(facts.defaults) == {"paper", "matched"}
    assert len(facts.space) == 6
    assert "Source:" in found.doc
    assert ">>>" in found.doc


@pytest.mark.parametrize("name", [name for name in SOUND if entry("loss", name).facts.space])
def test_defaults_lie_in_the_space(name: str) -> None:
    found = entry("loss", name)
    facts = found.facts
    matched = {**found.parameters, **facts.defaults.get("matched", {})}
    assert any(
        all(matched[word] == point[word] for word in point if word in matched) for point in facts.space
    )


@pytest.mark.parametrize(("name", "words"), VARIANTS)
@pytest.mark.parametrize(
    "labels",
    [[0, 1, 0, 2, 1, 0, 3, 2], [0, 0, 0], [0, 1, 2, 3], [2], [0, 0, 1, 1, 2, 2, 3, 3], [1, 1, 1, 1, 0]],
    ids=lambda labels: "".join(map(str, labels)),
)
def test_on_labels(name: str, words: dict[str, Any], labels: list[int]) -> None:
    case = Case(len(labels), labels=labels)
    check_against_oracle(name, vectors(len(labels), SIZE), case, case.relation(), **extra(name), **words)


@given(st.data())
def test_any_labels_any_points(data: st.DataObject) -> None:
    """Small integers make ties, duplicates and terms exactly at the margin common."""
    labels = data.draw(st.lists(st.integers(0, CLASSES - 1), min_size=1, max_size=7))
    rows = len(labels)
    point = st.lists(st.integers(-2, 2), min_size=SIZE, max_size=SIZE)
    z = torch.tensor(data.draw(st.lists(point, min_size=rows, max_size=rows)), dtype=torch.float64)
    modality = data.draw(st.none() | st.lists(st.integers(0, 1), min_size=rows, max_size=rows))
    margin = data.draw(st.sampled_from([0.25, 1.0, 2.0]))
    case = Case(rows, labels=labels, modality=modality)
    for name, words in VARIANTS:
        if name not in PROXY:  # their cosines want unit vectors
            words = {word: margin if word == "margin" else value for word, value in words.items()}
            check_against_oracle(name, z, case, case.relation(), **words)


PAIRS = [(0, 3, True), (1, 2, False), (0, 1, False), (2, 4, True), (0, 3, True), (4, 4, True), (3, 1, False)]
TRIPLETS = [(0, 1, 2), (0, 2, 1), (3, 4, 0), (0, 1, 2), (4, 3, 1)]


@pytest.mark.parametrize(("name", "words"), [case for case in VARIANTS if case[0] in FREE])
@pytest.mark.parametrize(
    "case", [Case(5, pairs=PAIRS), Case(5, triplets=TRIPLETS)], ids=["pairs", "triplets"]
)
def test_on_explicit_tuples(name: str, words: dict[str, Any], case: Case) -> None:
    if name == "contrastive_label_blind":
        ends = dict.fromkeys((i, j) for i, j, _ in case.listed())
        case = Case(case.rows, pairs=[(i, j, j in case.partners(i, True)) for i, j in ends])
    check_against_oracle(name, vectors(case.rows, SIZE), case, case.relation(), **words)


@pytest.mark.parametrize(("name", "words"), [case for case in VARIANTS if case[0] in FREE])
def test_aligned_rows_are_the_same_tuples(name: str, words: dict[str, Any]) -> None:
    pairs = Case(8, pairs=[(k, 4 + k, k != 2) for k in range(4)])
    triplets = Case(9, triplets=[(k, 3 + k, 6 + k) for k in range(3)])
    for case in (pairs, triplets):
        z = vectors(case.rows, SIZE)
        z[case.rows // 2] = z[0]
        check_against_oracle(name, z, case, case.aligned(), **words)


@pytest.mark.parametrize("name", FREE)
def test_tuples_that_are_not_valid_have_no_term(name: str) -> None:
    valid = torch.tensor([True, False, True, True])
    same = torch.tensor([True, True, False, True])
    keep = [k for k in range(4) if valid[k]]
    for whole, fewer, parts in (
        (Relation.from_partners(same, valid), Relation.from_partners(same[valid]), 2),
        (Relation.from_triples(4, valid), Relation.from_triples(3), 3),
        (_listed(Relation.from_partners(same), valid), Relation.from_partners(same[valid]), 2),
        (_listed(Relation.from_triples(4), valid), Relation.from_triples(3), 3),
    ):
        z = vectors(4 * parts, SIZE)
        rows = [4 * part + k for part in range(parts) for k in keep]
        first, second = call(name, z, whole), call(name, z[rows], fewer)
        assert torch.allclose(first.value[rows], second.value, atol=1e-12)
        assert torch.equal(first.valid[rows], second.valid)
        assert first.valid[1].sum() == 0 and first.value[1].sum() == 0
        found = gradient(name, z, whole)
        assert torch.allclose(found[rows], gradient(name, z[rows], fewer), atol=1e-12)
        left_out = [4 * part + 1 for part in range(parts)]
        if not entry("loss", name).facts.faulty:
            assert (found[left_out] == 0).all()


def _listed(relation: Pairs | Triplets, valid: Tensor) -> Relation:
    if isinstance(relation, Pairs):
        return Relation.from_pairs(*relation.columns, relation.same, rows=relation.rows, valid=valid)
    return Relation.from_triplets(*relation.columns, rows=relation.rows, valid=valid)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("rows", [12, 50])
def test_members_are_bitwise_the_same_alone(name: str, rows: int) -> None:
    """Float32 on one thread; 50 rows do not start on a cache line of memory."""
    z = vectors(4, rows, SIZE, dtype=torch.float32)
    z[:, 3] = z[:, 4]
    labels = torch.randint(CLASSES, (4, rows), generator=seeded(2))
    same = torch.rand(4, rows // 2, generator=seeded(2)) > 0.5
    more = extra(name, 4, dtype=torch.float32)

    def run(members: slice, relation: Relation, reduction: str) -> list[Tensor]:
        inputs = [
            z[members].clone().requires_grad_(),
            *(v[members].clone().requires_grad_() for v in more.values()),
        ]
        terms = call(name, inputs[0], relation, **dict(zip(more, inputs[1:], strict=True)))
        loss = reduce(terms, reduction)
        return [loss.detach(), *torch.autograd.grad(loss.sum(), inputs), terms.value.detach()]

    makers = [lambda m: Relation.from_labels(labels[m])]
    if name not in PROXY:
        makers.append(lambda m: Relation.from_partners(same[m]))
    for make in makers:
        for reduction in entry("loss", name).facts.reductions:
            whole = run(slice(None), make(slice(None)), reduction)
            for member in range(4):
                own = slice(member, member + 1)
                for ours, alone in zip(whole, run(own, make(own), reduction), strict=True):
                    assert torch.equal(ours[own], alone)


@pytest.mark.parametrize("name", LOSSES)
@given(seed=st.integers(0, 2**31))
def test_the_order_of_the_batch_and_a_rotation_change_nothing(name: str, seed: int) -> None:
    generator = seeded(seed)
    labels = torch.randint(CLASSES, (10,), generator=generator)
    z, more = vectors(10, SIZE, seed=seed), extra(name, seed=seed)
    loss = reduced(name, z, Relation.from_labels(labels), **more)
    order = torch.randperm(10, generator=generator)
    assert torch.allclose(
        reduced(name, z[order], Relation.from_labels(labels[order]), **more), loss, atol=1e-12
    )
    turn = torch.linalg.qr(torch.randn(SIZE, SIZE, generator=generator, dtype=torch.float64))[0]
    turned = {word: value @ turn for word, value in more.items()}
    assert torch.allclose(reduced(name, z @ turn, Relation.from_labels(labels), **turned), loss, atol=1e-10)


LATER = ("multi_similarity", "circle", "proxy_anchor", "proxy_nca")


@pytest.mark.parametrize(("name", "words"), [case for case in VARIANTS if case[0] in LATER])
@pytest.mark.parametrize("labels", [[0, 1, 0, 2, 1, 0, 3, 2], [1] * 6, [0, 1, 2, 3], [0, 0, 0, 0, 0, 1]])
def test_float32_is_near_the_loops_in_float64(name: str, words: dict[str, Any], labels: list[int]) -> None:
    """With a duplicate of a class, of two classes, and an antipode."""
    z = vectors(len(labels), SIZE, dtype=torch.float32)
    z[1], z[2], z[3] = z[0], z[0], -z[0]
    case, more = Case(len(labels), labels=labels), extra(name, dtype=torch.float32)
    inputs = [x.clone().requires_grad_() for x in (z, *more.values())]
    value = reduce(
        call(name, inputs[0], case.relation(), **dict(zip(more, inputs[1:])), **words), "valid_mean"
    )
    exact = [x.double().requires_grad_() for x in (z, *more.values())]
    terms, _, valid = getattr(oracles, name)(exact[0], case, **dict(zip(more, exact[1:])), **words)
    wanted = terms.sum() / max(1, sum(valid))
    assert torch.allclose(value.double(), wanted, rtol=1e-5, atol=1e-6)
    slopes = torch.autograd.grad(value, inputs, materialize_grads=True)
    steeps = torch.autograd.grad(wanted, exact, materialize_grads=True)
    for slope, steep in zip(slopes, steeps, strict=True):
        assert torch.allclose(
            slope.double(), steep, rtol=1e-4, atol=1e-5 * max(1.0, float(steep.abs().max()))
        )


@pytest.mark.parametrize("name", ["multi_similarity", "circle"])
def test_background_is_a_class_and_other_modalities_the_only_partners(name: str) -> None:
    labels, modality = [-1, 0, -1, 1, 0, 1, -1], [0, 0, 1, 1, 1, 0, 0]
    case = Case(7, labels=labels, modality=modality)
    for words in [words for other, words in VARIANTS if other == name]:
        check_against_oracle(name, vectors(7, SIZE), case, case.relation(), **words)


def test_proxy_anchor_is_the_paper_s_mean_over_classes_and_over_class_vectors() -> None:
    z, w, labels = vectors(5, SIZE), extra("proxy_anchor")["class_vectors"], [2, 0, 2, 0, 0]
    cosines = z @ (w / w.norm(dim=-1, keepdim=True)).T
    pulls = [
        1 + sum(torch.exp(-8 * (cosines[i, c] - 0.1)) for i in range(5) if labels[i] == c) for c in (0, 2)
    ]
    pushes = [
        1 + sum(torch.exp(8 * (cosines[i, c] + 0.1)) for i in range(5) if labels[i] != c) for c in range(4)
    ]
    wanted = torch.stack(pulls).log().mean() + torch.stack(pushes).log().mean()
    relation = Relation.from_labels(torch.tensor(labels))
    found = reduced("proxy_anchor", z, relation, class_vectors=w, margin=0.1, scale=8.0)
    assert torch.allclose(found, wanted, rtol=1e-12)


def test_positives_nearer_than_a_thousandth_are_not_active() -> None:
    z = vectors(1, SIZE) + torch.tensor([0.0, 4e-4, 1.6e-3])[:, None] * torch.eye(SIZE)[0]
    terms = call("contrastive", z, Relation.from_labels(torch.zeros(3, dtype=torch.int64)))
    assert terms.active is not None and terms.active.tolist() == [[1, 0], [1, 0], [2, 0]]
    assert terms.valid.tolist() == [[2, 0]] * 3


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_coincident_points_and_antipodes_have_finite_gradients_in_half_precision(
    name: str, dtype: torch.dtype
) -> None:
    z = vectors(8, SIZE).to(dtype)
    z[1], z[2], z[3], z[4] = z[0], z[0], -z[0], -z[0]
    more = extra(name)
    if more:
        more["class_vectors"][0], more["class_vectors"][1] = z[0].double(), -z[0].double()
    relation = Relation.from_labels(torch.tensor([0, 0, 1, 0, 1, 2, 2, 3]))
    for reduction in entry("loss", name).facts.reductions:
        inputs = z.clone().requires_grad_()
        more = {word: value.clone().to(dtype).requires_grad_() for word, value in more.items()}
        loss = reduce(call(name, inputs, relation, **more), reduction)
        slopes = torch.autograd.grad(loss, [inputs, *more.values()])
        assert torch.isfinite(loss)
        assert all(torch.isfinite(slope).all() for slope in slopes)


@pytest.mark.parametrize("name", LOSSES)
def test_all_points_in_one_place(name: str) -> None:
    z = vectors(1, SIZE, dtype=torch.float32).expand(8, SIZE).clone().requires_grad_()
    relation = Relation.from_labels(torch.tensor([0, 0, 1, 1, 2, 2, 3, 3]))
    loss = reduced(name, z, relation, **extra(name, dtype=torch.float32))
    (slope,) = torch.autograd.grad(loss, z)
    assert torch.isfinite(loss) and torch.isfinite(slope).all()
    if entry("loss", name).facts.hinge:
        assert (slope == 0).all(), "no direction, no force"


@pytest.mark.parametrize(("name", "words"), VARIANTS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_wider(name: str, words: dict[str, Any], dtype: torch.dtype) -> None:
    labels = torch.randint(CLASSES, (512,), generator=seeded(1))
    z, more = vectors(512, SIZE).to(dtype), {word: value.to(dtype) for word, value in extra(name).items()}
    relation = Relation.from_labels(labels)
    terms = call(name, z, relation, **more, **words)
    assert terms.value.dtype == torch.float32
    exact = call(name, z.double(), relation, **{word: v.double() for word, v in more.items()}, **words)
    error = (reduce(terms, "valid_mean") - reduce(exact, "valid_mean")).abs()
    scale = words.get("margin", words.get("temperature", 1.0))
    assert error <= 1e-2 * (reduce(exact, "valid_mean").abs() + 1e-2 * scale)
    assert torch.equal(terms.valid, exact.valid)
    if terms.active is not None:
        assert (terms.active - exact.active).abs().sum() <= 1e-5 * exact.valid.sum() + 2
    found = gradient(name, z, relation, **more, **words)
    assert found.dtype == dtype and torch.isfinite(found).all()


@pytest.mark.parametrize("name", HINGES)
def test_counts_are_exact_where_float32_is_not(name: str) -> None:
    rows = 4200  # more than 2²⁴ pairs, and per anchor more than 2²⁴ / 100 triplets
    labels = torch.arange(rows) % 2
    z = vectors(rows, 2, dtype=torch.float32)
    terms = call(name, z, Relation.from_labels(labels), margin=10.0)
    assert terms.active is not None
    if name == "triplet":
        assert terms.valid[0] == 2099 * 2100
        assert torch.equal(terms.active, terms.valid)
    elif name == "contrastive":
        assert terms.totals()[1].item() == rows * (rows - 1)
        assert torch.equal(terms.active[:, 1], terms.valid[:, 1])


@pytest.mark.parametrize("name", LOSSES)
def test_a_broken_member_is_not_quietly_fine(name: str) -> None:
    z = vectors(3, 8, SIZE, dtype=torch.float32)
    z[1, 2, 0] = torch.nan
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    relation = Relation.from_labels(labels)
    more = extra(name, 3, dtype=torch.float32)
    inputs = z.clone().requires_grad_()
    loss = reduced(name, inputs, relation, **more)
    (slope,) = torch.autograd.grad(loss.sum(), inputs)
    assert torch.isfinite(loss).tolist() == [True, False, True]
    assert not torch.isfinite(slope[1]).all()
    assert torch.isfinite(slope[[0, 2]]).all()


def test_distances_that_overflow_break_the_triplets_of_their_member_only() -> None:
    z = vectors(2, 6, SIZE, dtype=torch.float32)
    z[1, 2] *= 1e25
    loss = reduced("triplet", z, Relation.from_labels(torch.arange(6) % 2))
    slope = gradient("triplet", z, Relation.from_labels(torch.arange(6) % 2))
    assert torch.isfinite(loss).tolist() == [True, False]
    assert torch.isfinite(slope[0]).all() and not torch.isfinite(slope[1]).any()


@pytest.mark.parametrize("name", LOSSES)
def test_mistakes_are_told(name: str) -> None:
    z, more = vectors(4, SIZE), extra(name)
    with pytest.raises(LosscopeError, match="1 rows"):
        call(name, z, Relation.from_labels(torch.tensor([[0], [1], [0], [1]])), **more)
    with pytest.raises(LosscopeError, match="leading"):
        call(name, z, Relation.from_labels(torch.zeros(2, 4).long()), **more)
    if name in PROXY:
        with pytest.raises(LosscopeError, match="was given pairs of 4 rows; .* wants labels"):
            call(name, z, Relation.from_partners(torch.tensor([True, False])), **more)
        with pytest.raises(LosscopeError, match=r"labels go from -1 to 4; .* wants 0..3"):
            call(name, z, Relation.from_labels(torch.tensor([-1, 0, 4, 1])), **more)
        with pytest.raises(LosscopeError, match="class_vectors have shape"):
            call(name, z, Relation.from_labels(torch.arange(4)), class_vectors=torch.zeros(4, SIZE + 1))


@pytest.mark.parametrize(
    ("name", "reduction"),
    [
        (name, reduction)
        for name in LOSSES
        if entry("loss", name).force()
        for reduction in ("valid_mean", "balanced")
        if reduction in entry("loss", name).facts.reductions
    ],
)
def test_forces_are_the_derivatives_by_the_distances(name: str, reduction: str) -> None:
    """With one free distance a pair of (anchor, partner), L(d) from the loops' formulas, differentiated."""
    found = entry("loss", name)
    labels = [0, 1, 0, 2, 1, 0, 2]
    z = vectors(7, SIZE)
    if not found.facts.normalised:
        z = z * torch.linspace(0.5, 2.0, 7, dtype=z.dtype).unsqueeze(-1)
    d = pair_distances(z).requires_grad_()
    case = Case(7, labels=labels)
    squares = z.square().sum(-1)
    for words in [words for other, words in VARIANTS if other == name]:
        function = found.force()
        force = function(d.detach(), case.relation(), **words, embeddings=z, reduction=reduction)
        value, valid = _by_distances(name, d, squares, case, **words)
        if reduction == "balanced":
            loss = sum(value[..., side].sum() / valid[..., side].sum() for side in (0, 1))
        else:
            loss = value.sum()
        (slope,) = torch.autograd.grad(loss, d)
        ratio = force.sum() / slope.abs().sum()
        assert torch.allclose(force, ratio * slope.abs(), atol=1e-9)


def _by_distances(name: str, d: Tensor, squares: Tensor, case: Case, **words: Any) -> tuple[Tensor, Tensor]:
    """A loss as a function of a matrix of distances, of vectors with these squared lengths."""
    values: list[Any] = []
    counts: list[Any] = []
    for a in range(case.rows):
        ps, ns = case.partners(a, True), case.partners(a, False)
        zero, s = d.sum() * 0, (squares[a] + squares - d[a] ** 2) / 2 / words.get("temperature", 1.0)
        if name == "contrastive":
            gaps = [(words["margin"] - d[a, n]).clamp_min(0) ** 2 for n in ns]
            values.append(torch.stack((sum((d[a, p] ** 2 for p in ps), zero), sum(gaps, zero))))
            counts.append([len(ps), len(ns)])
            continue
        counts.append(len(ps) * len(ns))
        if name == "triplet":
            reach = d[a] ** 2 if words.get("squared") else d[a]
            values.append(
                sum(((reach[p] - reach[n] + words["margin"]).clamp_min(0) for p in ps for n in ns), zero)
            )
        elif name == "multi_similarity":
            alpha, beta, base = (words[word] for word in ("alpha", "beta", "base"))
            pull = torch.logsumexp(torch.cat((zero[None], alpha * (base - s[ps]))), 0) / alpha
            push = torch.logsumexp(torch.cat((zero[None], beta * (s[ns] - base))), 0) / beta
            values.append(pull + push)
        elif name == "circle":
            m = words["margin"]
            near = (1 + m - s[ps]).clamp_min(0).detach() * (1 - m - s[ps])
            far = (s[ns] + m).clamp_min(0).detach() * (s[ns] - m)
            both = torch.logsumexp(words["scale"] * near, 0) + torch.logsumexp(words["scale"] * far, 0)
            values.append(torch.nn.functional.softplus(both, threshold=60) if ps and ns else zero)
        elif name in ("info_nce", "n_pair"):
            values.append(sum((torch.logsumexp(s[[p, *ns]], 0) - s[p] for p in ps), zero))
        else:
            total = torch.logsumexp(s[ps + ns], 0)
            values.append(sum((total - s[p] for p in ps), zero) / max(1, len(ps)))
    return torch.stack(values), torch.tensor(counts)
