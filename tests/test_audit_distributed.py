"""The audit on several processes and in micro-batches: planted faults are named, correct losses are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import losscope
import shared_faults
from gloo import on_processes
from losscope.auditing import processes
from losscope.auditing.processes import alone
from losscope.auditing.splitting import over_micro_batches, told
from losscope.auditing.subjects import subject
from losscope.core import registry
from losscope.core.errors import LosscopeError
from losscope.core.results import AuditLine, AuditResult, SplitBatch

WORLD = 2
PEERS = {
    "pml": "pml:DistributedLossWrapper(loss='TripletMarginLoss()')",
    "pml efficient": "pml:DistributedLossWrapper(loss='TripletMarginLoss()', efficient=True)",
    "pml vectors": "pml:DistributedLossWrapper(loss='ArcFaceLoss()')",
    "st": "sentence_transformers:MultipleNegativesRankingLoss()",
    "st gathered": "sentence_transformers:MultipleNegativesRankingLoss(gather_across_devices=True)",
}
PLANTED = [loss for losses in [shared_faults.CORRECT, *shared_faults.FAULTS.values()] for loss in losses]


def asked() -> dict[str, Any]:
    pytest.importorskip("pytorch_metric_learning")
    pytest.importorskip("sentence_transformers")
    ours = {name: name for name, entry in registry.entries("loss").items() if not entry.facts.faulty}
    inside = losscope.Distributed(losscope.loss("arcface", num_classes=6, embedding_size=32))
    return {loss.__name__: loss for loss in PLANTED} | PEERS | ours | {"inside": inside}


def each(rank: int, world: int, folder: str, losses: dict[str, Any]) -> None:
    """What the audit's own processes do, for many losses after each other; unequal shapes end processes."""
    import warnings

    warnings.simplefilter("ignore")
    for name, loss in losses.items():
        place = Path(folder) / name
        place.mkdir(exist_ok=True)
        processes.keep(place, processes.START, rank, {})
        try:
            processes.look(subject(loss), rank, world, place, uneven=False)
        except Exception as error:
            (place / f"{rank}.txt").write_text(f"process {rank} raised {type(error).__name__}: {error}")


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict[str, tuple[dict[str, AuditLine], list[SplitBatch]]]:
    """For each loss the lines by name, and what was split."""
    folder = tmp_path_factory.mktemp("audit")
    losses = asked()
    on_processes(WORLD, folder, each, str(folder), losses)
    made = {}
    with alone():
        for name, loss in losses.items():
            own = subject(loss)
            done = processes.collected(own, WORLD, folder / name)
            lines, splits = told(own, [split for split in done if not split.failed])
            assert [split.batch.kind for split in done if split.failed] == ["uneven"], name
            made[name] = {line.check: line for line in lines}, splits
    return made


@pytest.mark.parametrize("loss", [loss.__name__ for loss in shared_faults.CORRECT])
def test_a_correct_loss_has_no_flaw(found, loss) -> None:
    lines, splits = found[loss]
    assert {line.severity for line in lines.values()} == {"none"}, lines
    shared = splits[0]
    assert shared.cause == "none" and shared.error < 1e-12
    assert shared.others == (loss != "rows_alone")
    assert ("2 processes, value" in lines) == (loss == "own_kept_times_processes")


@pytest.mark.parametrize(
    ("kind", "loss"),
    [(kind, loss.__name__) for kind, losses in shared_faults.FAULTS.items() for loss in losses],
)
def test_a_planted_fault_is_named(found, kind, loss) -> None:
    lines, splits = found[loss]
    shared, apart = splits[:2]
    line = lines["2 processes"]
    if kind in ("N", "1/N"):
        assert shared.cause == "factor" and line.severity == "wrong"
        assert shared.factor == pytest.approx(2 if kind == "N" else 0.5, rel=1e-9)
        assert line.finding.startswith(
            f"the gradient is {'2 times' if kind == 'N' else '1/2 of'} that of one"
        )
    elif kind == "labels collide":
        # Where every process has every class, sorted numbers from 0 are the classes' own.
        assert shared.cause == (kind if loss == "numbered_in_a_dictionary" else "none")
        assert apart.cause == kind
        assert lines["2 processes, classes apart"].severity == "wrong"
    else:
        assert shared.cause == kind, line
        assert line.severity == ("caution" if kind == "own rows" else "wrong")
    if kind == "own rows":
        assert "each process sees its own rows only" in line.finding
        assert lines["2 processes, gathered"].passed and "is that of one process" in (
            lines["2 processes, gathered"].finding
        )


def test_where_a_factor_comes_from(found) -> None:
    said = {name: found[name][0]["2 processes"].finding for name in found if "2 processes" in found[name][0]}
    assert "the gather lets none back from other processes" in said["only_own_in_the_graph"]
    assert said["times_processes"].endswith("rows, and the value too")
    assert "a sum over rows, which the mean over processes divides by 2" in said["own_sum"]


def test_our_losses_see_their_own_rows_and_all_rows_inside_distributed(found) -> None:
    for name, entry in registry.entries("loss").items():
        if entry.facts.faulty:
            continue
        lines, splits = found[name]
        gathered = [split for split in splits if split.gathered]
        assert len(gathered) == 4 and all(split.cause == "none" for split in gathered), name
        assert max(split.error for split in gathered) < 1e-10
        assert max(split.parameters_error or 0.0 for split in gathered) < 1e-10
        assert lines["2 processes"].severity in ("none", "caution")


def test_class_vectors_inside_distributed(found) -> None:
    lines, splits = found["inside"]
    assert {line.severity for line in lines.values()} == {"none"}, lines
    assert lines["2 processes, own parameters"].passed and splits[0].parameters_error < 1e-6


def test_what_it_says_of_the_wrappers_of_others(found) -> None:
    """pytorch-metric-learning 2.9.0 and sentence-transformers 6.2.0."""
    lines, splits = found["pml"]
    assert lines["2 processes"].passed and splits[0].value == pytest.approx(2)
    # Its mean is over the active triplets of each process, and other rows are constants.
    assert [split.cause for split in found["pml efficient"][1][:2]] == ["other", "other"]
    lines, splits = found["pml vectors"]
    assert lines["2 processes"].passed and lines["2 processes, own parameters"].severity == "wrong"
    assert splits[0].parameters == pytest.approx(2, rel=1e-3)
    # Called once for each pair of a class: with every class on every process these are the calls of one.
    assert [split.cause for split in found["st"][1][:2]] == ["none", "own rows"]
    assert found["st"][0]["2 processes, gathered"].passed
    lines, splits = found["st gathered"]
    assert [split.cause for split in splits[:2]] == ["classes by process", "none"]


# Micro-batches.


def halves_agree(z: Tensor, labels: Tensor) -> Tensor:
    return shared_faults.rows_alone(z, labels)


@pytest.mark.parametrize(
    ("loss", "cause", "uneven"),
    [
        ("triplet", "own rows", None),
        (halves_agree, "none", "own rows"),
        (shared_faults.own_sum, "factor", None),
        (shared_faults.own_softmax, "own rows", None),
    ],
)
def test_accumulation(loss, cause, uneven) -> None:
    lines, splits = over_micro_batches(subject(loss), 4)
    assert splits[0].cause == cause and splits[0].by == "micro-batches" and splits[0].parts == 4
    assert splits[0].rows == (8,) * 4 and splits[1].rows == (8, 8, 8, 2)
    assert lines[0].severity == ("none" if cause == "none" else "caution")
    if cause == "factor":
        assert splits[0].factor == pytest.approx(0.25) and "1/4 of that of one batch" in lines[0].finding
    if uneven:
        assert splits[1].cause == uneven and lines[1].severity == "caution"


def test_a_micro_batch_that_is_not_finite() -> None:
    def of_negatives(z: Tensor, labels: Tensor) -> Tensor:
        return (1 - torch.cdist(z, z)).clamp_min(0)[labels[:, None] != labels].mean()

    lines, splits = over_micro_batches(subject(of_negatives), 2)
    assert len(splits) == 1 and lines[-1].severity == "unsafe"
    assert lines[-1].finding == "micro-batches of 8 and 2 rows: value or gradient of part 1 is not finite"


# As it is called.


def test_the_command_finds_a_fault_in_a_file(tmp_path, capsys) -> None:
    from losscope.cli import app

    text = f"{Path(shared_faults.__file__)}:only_own_in_the_graph"
    with pytest.raises(SystemExit) as ended:
        app(["audit", text, "--trust", "--distributed", "2", "--accumulate", "2", "--strict", "--json"])
    assert ended.value.code == 1
    card = AuditResult.from_json(capsys.readouterr().out)
    (line,) = (line for line in card.lines if line.check == "2 processes")
    assert line.severity == "wrong" and "1/2 of" in line.finding
    assert {split.by for split in card.splits} == {"processes", "micro-batches"}
    (line,) = (line for line in card.lines if line.check == "2 processes, uneven rows")
    assert line.severity == "unsafe" and line.finding.startswith("8 and 2 rows: ")
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"distributed": 1}, "distributed is 1; a number from 2 to 16 is wanted"),
        ({"distributed": True}, "distributed is True"),
        ({"distributed": 17}, "from 2 to 16"),
        ({"accumulate": 0}, "accumulate is 0; a number from 2 to 64 is wanted"),
        ({"accumulate": 2.5}, "accumulate is 2.5"),
    ],
)
def test_numbers_that_cannot_be_tried(more, said) -> None:
    with pytest.raises(LosscopeError, match=said):
        losscope.audit("triplet", **more)


def test_a_loss_that_other_processes_cannot_load() -> None:
    with pytest.raises(LosscopeError, match="cannot load .*its text, such as"):
        processes._packed(lambda z, labels: z.sum())


def test_the_schema_reads_what_it_wrote(found) -> None:
    split = found["whole"][1][0]
    assert SplitBatch.model_validate(json.loads(split.json_text())) == split
