"""The answer that is read in ten seconds: each has a short headline, its numbers and a step."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

import losscope
import report_fixture as fixture
from losscope.cli.options import app
from losscope.cli.studies import asked
from losscope.core import commands, wording
from losscope.core.results import (
    BestGroup,
    Edge,
    Fault,
    Ground,
    OpenBy,
    Price,
    Provenance,
    Result,
    Settings,
    Trial,
    Tuned,
)
from losscope.core.spec import Study
from losscope.stats import Analysis, Measured, Standing, analyse

SHIFTS = np.array([0.3, -0.8, 0.5, 1.2, -0.4, 0.9, -1.1, -0.2, 0.1, -0.5])
WORDS = ("losscope", "compare", "digits", "--losses", "contrastive,triplet", "--seeds", "10", "--out", "runs")


def values(mean: float, spread: float, name: str, n: int = 10) -> list[float]:
    """Ten values of exactly this mean and standard deviation, in an order of the name's own."""
    draws = np.random.default_rng(sum(map(ord, name))).permutation(SHIFTS)
    return list(mean + spread * (draws - draws.mean()) / draws.std(ddof=1))[:n]


def kind_of(name: str) -> str:
    return (
        "baseline"
        if name in ("raw", "untrained")
        else "closed form"
        if name in ("whitened", "pca")
        else "loss"
    )


def planted(
    sides: dict[str, tuple[float, float]],
    validation: dict[str, float] | None = None,
    *,
    n: int = 10,
    lost: tuple[str, ...] = (),
    second: dict[str, float] | None = None,
    measure: str = "recall_at_1",
    tuned: bool | None = True,
    more: dict[str, Any] | None = None,
    **options: Any,
) -> Result:
    """A result of sides by (mean, standard deviation); ``lost``: sides whose first run failed."""
    made = []
    for name, (mean, spread) in sides.items():
        for seed, value in enumerate(values(mean, 0.0 if name == "raw" else spread, name, n)):
            own = {measure: value}
            if second is not None:
                own["map_at_r"] = second[name] + (value - mean)
            gone = name in lost and seed == 0
            made.append(
                Measured(
                    name,
                    seed,
                    dict.fromkeys(own) if gone else own,  # type: ignore[arg-type]
                    dict.fromkeys(own, "test"),
                    failed="diverged" if gone else None,
                    family=kind_of(name),  # type: ignore[arg-type]
                    **((more or {}).get(name, {})),
                )
            )
    settings = [
        Settings(loss=name, name=name, hyperparameters={"margin": 0.1}, tuned=tuned)
        for name in sides
        if kind_of(name) == "loss"
    ]
    if validation is not None:
        options["standings"] = [
            Standing(name, {measure: score}, Price(seconds=1.5, parameters=1000))
            for name, score in validation.items()
        ]
    found = analyse(made, measure=measure, settings=settings, **options)
    return result_of(found, settings, tuple(range(n)))


def result_of(found: Analysis, settings: list[Settings], seeds: tuple[int, ...]) -> Result:
    return fixture.of_analysis(
        found,
        settings,
        seeds,
        protocol=fixture.protocol(),
        store="runs",
        provenance=Provenance(arguments=WORDS),
    )


TWO = {"contrastive": (0.9, 0.004), "triplet": (0.93, 0.004)}
SAME = {"contrastive": (0.9, 0.002), "triplet": (0.901, 0.002)}
WIDE = {"contrastive": (0.9, 0.03), "triplet": (0.901, 0.03)}
LOW, HIGH = {"raw": (0.85, 0.0)}, {"raw": (0.96, 0.0)}
LED = {"contrastive": 0.5, "triplet": 0.6}
PLANTED = {
    "leads": planted({**TWO, **LOW}, {**LED, "raw": 0.4}),
    "either": planted({**SAME, **LOW}, {**LED, "raw": 0.4}),
    "raw is as good": planted({**TWO, "raw": (0.931, 0.0)}, {**LED, "raw": 0.4}),
    "raw is better": planted({**TWO, **HIGH}, {**LED, "raw": 0.7}),
    "whitened": planted({**TWO, **LOW, "whitened": (0.96, 0.004)}, {**LED, "raw": 0.4, "whitened": 0.8}),
    "whitened is as good": planted(
        {**TWO, **LOW, "whitened": (0.9305, 0.002)}, {**LED, "raw": 0.4, "whitened": 0.5}
    ),
    "seven": planted(
        {f"loss{place}": (0.9 - 0.02 * place, 0.003) for place in range(7)} | LOW,
        {f"loss{place}": 0.9 - 0.02 * place for place in range(7)},
    ),
    "seven alike": planted(
        {f"loss{place}": (0.9, 0.002) for place in range(7)} | LOW,
        {f"loss{place}": 0.9 - 0.02 * place for place in range(7)},
    ),
    "seeds": planted({**WIDE, **LOW}, {**LED, "raw": 0.4}),
    "few": planted({**TWO, **LOW}, {**LED, "raw": 0.4}, n=4),
    "failed": planted(TWO, LED, lost=("triplet",)),
    "measures": planted(
        {"triplet": (0.9, 0.002), "raw": (0.905, 0.0), "contrastive": (0.7, 0.002)},
        {"triplet": 0.6, "raw": 0.7, "contrastive": 0.3},
        second={"triplet": 0.3, "raw": 0.3, "contrastive": 0.6},
        goal="retrieval",
    ),
    "saturated": planted({"contrastive": (0.995, 0.02), "triplet": (0.994, 0.02)}, LED),
    "beaten": planted(
        {"triplet": (0.8, 0.02), "contrastive": (0.9, 0.02), "sup_con": (0.905, 0.02)},
        {"triplet": 0.9, "contrastive": 0.5, "sup_con": 0.5},
    ),
    "folds": planted(TWO, LED, folds=5),
    "undirected": planted(TWO, LED, measure="intra_variance"),
    # without validation
    "beats_reference": planted({**TWO, **LOW}),
    "reference_unbeaten": planted({"contrastive": (0.93, 0.004), "triplet": (0.9, 0.004), **LOW}),
    "train nothing": planted({**TWO, **HIGH}),
    "closed form": planted({**TWO, **LOW, "whitened": (0.96, 0.004)}),
    "open and alike": planted({**SAME, **LOW}),
    "open": planted(WIDE),
    "open and few": planted(TWO, n=4),
    "open and failed": planted(TWO, lost=("triplet",)),
    "single": planted({"triplet": (0.93, 0.004), **LOW}),
    "single and worse": planted({"triplet": (0.93, 0.004), **HIGH}),
    "single and alike": planted({"triplet": (0.93, 0.002), "raw": (0.9305, 0.0)}),
    "alone": planted({"triplet": (0.93, 0.004)}),
    "equal errors": planted(
        {"contrastive": (0.05, 0.004), "triplet": (0.02, 0.004)},
        {"contrastive": 0.5, "triplet": 0.1},
        measure="eer",
    ),
    "compact": planted(TWO, LED, measure="intra_inter_ratio"),
}
HEADLINES = {
    "leads": "Use triplet: it retrieves better than contrastive and raw inputs",
    "either": "Use either: triplet and contrastive retrieve equally well",
    "raw is as good": "Train nothing: raw inputs and triplet retrieve equally well",
    "raw is better": "Train nothing: raw inputs retrieve better than triplet",
    "whitened": "Use whitened: it retrieves better than both losses, training nothing",
    "whitened is as good": "Use whitened, training nothing: it and triplet retrieve equally well",
    "seven alike": "Use loss0, or any of 6 others: they retrieve equally well",
    "few": "No answer yet: triplet leads, 7 more seeds could decide",
    "failed": "No answer: runs of triplet, which led on validation, failed",
    "measures": "Undecided: Recall@1 favours raw inputs, MAP@R favours contrastive",
    "saturated": "Undecided: all are near the best possible Recall@1",
    "undirected": "No recommendation: neither more nor less intra-class variance is better",
    "beats_reference": "Use triplet: it retrieves better than contrastive and raw inputs",
    "single and worse": "Train nothing: raw inputs retrieve better than the loss",
    "single and alike": "Train nothing: raw inputs and triplet retrieve equally well",
    "alone": "No answer: triplet was compared with nothing",
    "equal errors": "Use triplet: it verifies better than contrastive",
}


def numbers(sure: str) -> list[float]:
    """The two means and their difference, as they are written."""
    found = re.search(r": \S+ ([\d.]+), \S+ ([\d.]+); difference (\S+)", sure)
    assert found is not None
    return [float(text.replace("−", "-")) for text in found.groups()]


@pytest.mark.parametrize("name", PLANTED)
def test_every_answer_has_a_short_headline_its_numbers_and_a_step(name: str) -> None:
    result = PLANTED[name]
    found = wording.headline(result)
    assert found.words <= wording.HEADLINE_WORDS
    assert found.text == HEADLINES.get(name, found.text)
    assert found.step is not None and found.step.text
    for text in (found.text, found.sure, str(found.step), found.caveat.text if found.caveat else ""):
        assert not re.search(r"None|nan|inf\b|  |,,|;;|\(\)|[{}]", text), text
    made = result.recommendation
    assert (made.loss is None) == (not re.match("Use |Train nothing", found.text) or name == "open and alike")
    if made.loss is not None:
        assert ("Train nothing" in found.text) == (made.loss == "raw")
    if made.rests_on is None:
        assert found.sure == ""
        return
    row = next(row for row in result.verdicts() or result.paired if (row.a, row.b) == made.rests_on)
    assert row.a in found.sure and row.b in found.sure and wording.label(row.measure) in found.sure
    if row.difference is not None and row.scale == "difference":
        a, b, size = numbers(found.sure)
        last = 10.0 ** -len(re.findall(r"\d+\.(\d+)", found.sure)[0])
        assert abs(a - b) == pytest.approx(abs(size), abs=1.01 * last), "the numbers that are shown agree"
        assert sorted((a, b)) == pytest.approx(sorted((row.mean_a or 0, row.mean_b or 0)), abs=6e-4)


ALIKE = {"contrastive": (0.9, 0.001), "triplet": (0.9005, 0.001)}


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (planted({**ALIKE, "circle": (0.9002, 0.001)}), "Use any of"),
        (
            planted({**ALIKE, "untrained": (0.95, 0.001)}),
            "No gain: untrained retrieves better than both losses",
        ),
        (planted({**ALIKE, "untrained": (0.95, 0.001)}, n=2), "No answer yet: untrained leads"),
        (planted({"triplet": (0.9, 0.001), "untrained": (0.95, 0.001)}), "Do not use triplet: untrained"),
    ],
    ids=["three alike", "untrained better", "untrained leads", "one loss"],
)
def test_without_validation_the_headline_names_every_equal_and_the_side_that_is_better(
    result: Result, text: str
) -> None:
    found = wording.headline(result)
    assert found.text.startswith(text) and found.words <= wording.HEADLINE_WORDS
    if "untrained" in found.text:
        assert "untrained 0.95" in found.sure
    if "better" in found.text:
        assert str(found.step) == "Train nothing, or try another loss."


def test_an_untrained_network_of_a_better_mean_is_the_caveat_of_a_loss_that_leads() -> None:
    sides = {**TWO, "untrained": (0.95, 0.004)}
    found = wording.headline(planted(sides, LED))
    assert found.caveat is not None and found.caveat.kind == "harm"
    assert found.caveat.text.endswith("Recall@1 0.950, triplet 0.930; described, not tested.")
    level = wording.headline(planted({**TWO, "untrained": (0.931, 0.004)}, LED)).caveat
    assert level is None or level.kind != "harm"


def test_the_headline_names_the_side_without_a_value_and_verdicts_stand_beside_the_answer() -> None:
    sides = {"contrastive": (0.9, 0.004), "triplet": (0.93, 0.004)}
    made = [
        Measured(name, seed, {"recall_at_1": None if (name, seed) == ("triplet", 3) else value}, {})
        for name, own in sides.items()
        for seed, value in enumerate(values(*own, name))
    ]
    found = analyse(made, measure="recall_at_1", settings=[])
    text = wording.headline(result_of(found, [], tuple(range(10)))).text
    assert text == "No answer: runs of triplet have no value"
    judged = result_of(found, [], tuple(range(10))).model_copy(
        update={"protocol": None, "provenance": Provenance(arguments=("losscope", "judge", "runs.csv"))}
    )
    assert step_of(judged) == "Run those trainings again, and judge again: losscope judge runs.csv"
    nothing = wording.beside(PLANTED["train nothing"])
    assert nothing.pivot == "raw" and set(nothing.words.values()) == {"worse"}


@pytest.mark.parametrize(
    ("more", "step"),
    [
        ({}, "Give triplet values of Recall@1, and judge again: losscope judge runs.csv"),
        (
            {"map_at_r": 0.5},
            "Choose another measure, such as MAP@R: losscope judge runs.csv --measure map_at_r",
        ),
    ],
)
def test_runs_from_elsewhere_without_a_value_are_judged_by_another_measure_if_there_is_one(
    more: dict[str, float], step: str
) -> None:
    made = [
        Measured(name, seed, {"recall_at_1": None if name == "triplet" else value, **more}, {})
        for name in TWO
        for seed, value in enumerate(values(*TWO[name], name))
    ]
    result = result_of(analyse(made, measure="recall_at_1", settings=[]), [], tuple(range(10)))
    words = Provenance(arguments=("losscope", "judge", "runs.csv"))
    assert step_of(result.model_copy(update={"protocol": None, "provenance": words})) == step


def step_of(result: Result) -> str:
    return str(wording.headline(result).step)


def test_braces_in_the_name_of_a_measure_are_letters() -> None:
    columns = {"loss": ["a"] * 8 + ["b"] * 8, "seed": [*range(8)] * 2, "m{x}": [0.5] * 16}
    result = losscope.judge(columns, measure="m{x}", declare=["m{x}:higher:difference:0.01"])
    assert wording.headline(result).text == "Use either: b and a are equal in m{x}"


def test_the_planted_results_reach_every_ground_and_everything_that_keeps_one_open() -> None:
    made = [result.recommendation for result in PLANTED.values()]
    assert {own.ground for own in made} == set(get_args(Ground))
    # "data" needs values of each test item: tests/test_advice.py plants it
    assert {own.open_by for own in made} >= set(get_args(OpenBy)) - {"data"} | {None}
    verdicts = {row.verdict for result in PLANTED.values() for row in result.verdicts()}
    assert verdicts >= {"failed", "too_few_seeds", "equivalent", "higher", "lower", "unresolved"}


def test_where_nothing_is_decided_the_step_is_a_command_with_so_many_seeds() -> None:
    for name in ("seeds", "few", "open", "open and few"):
        found = wording.headline(PLANTED[name])
        assert found.step is not None and not found.step.python
        words = shlex.split(found.step.line)
        wanted = int(words[words.index("--seeds") + 1])
        more = wanted - len(PLANTED[name].seeds)
        assert (
            more > 0 and f" {more:,} more seeds" in found.text and f" {more:,} more seeds" in found.step.text
        )
        assert (
            found.caveat is not None
            and found.caveat.kind == "seeds"
            and f"{wanted:,} in all" in found.caveat.text
        )


def test_what_matters_is_said_by_where_the_interval_lies() -> None:
    assert wording.headline(PLANTED["leads"]).sure.endswith("beyond the 0.01 that matters.")
    assert wording.headline(PLANTED["either"]).sure.endswith("inside the ±0.01 that would matter.")
    near = planted({"contrastive": (0.9, 0.004), "triplet": (0.91, 0.004)}, LED)
    assert wording.headline(near).sure.endswith("shown; whether it is beyond the 0.01 that matters is open.")
    assert "perhaps nothing, perhaps more than the 0.01" in wording.headline(PLANTED["seeds"]).sure


def test_of_so_few_seeds_that_their_spread_is_unknown_nothing_is_said_to_decide() -> None:
    found = wording.headline(planted(TWO, n=2))
    assert found.text == "No answer yet: triplet leads, testing takes 6 more seeds"
    assert re.match(r"Recall@1: triplet [\d.]+, contrastive [\d.]+; difference 0\.0", found.sure), (
        "the better first"
    )
    assert found.caveat is not None and found.caveat.text.endswith("8 in all can be tested.")


def test_a_name_stands_on_one_line() -> None:
    result = renamed(PLANTED["leads"], {"triplet": "a\nb  c", "contrastive": "{0}"})
    found = wording.headline(result)
    assert found.text.startswith("Use a b c: it retrieves better than {0} and") and "\n" not in found.sure


NAMES = some.text(some.characters(blacklist_categories=("Cs",)), min_size=1, max_size=90)


@given(names=some.lists(NAMES, min_size=7, max_size=7, unique=True), which=some.sampled_from(sorted(PLANTED)))
def test_a_headline_is_short_whatever_the_losses_are_called(names: list[str], which: str) -> None:
    result = PLANTED[which]
    kept = [side.name for side in result.baselines]
    call = dict(zip([side.name for side in result.losses], [own for own in names if own not in kept]))
    found = wording.headline(renamed(result, call))
    assert found.words <= wording.HEADLINE_WORDS
    assert len(found.text) <= 12 * (wording.HEADLINE_LETTERS + 12)
    assert all(len(name) <= wording.HEADLINE_LETTERS for name in found.names)
    assert all(name in found.text for name in found.names)


def renamed(result: Result, names: dict[str, str]) -> Result:
    """The result with its losses called otherwise."""

    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return names.get(value, value)
        if isinstance(value, dict):
            return {key: walk(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(map(walk, value))
        return value

    fields = result.model_dump(mode="json", by_alias=True)
    known = {key: walk(fields[key]) for key in ("losses", "settings", "paired", "recommendation")}
    return Result.from_json(json.dumps({**fields, **known}))


# --- the caveat ---------------------------------------------------------------------------------------------


def with_loss(result: Result, name: str, **fields: Any) -> Result:
    losses = tuple(fixture.changed(own, **fields) if own.name == name else own for own in result.losses)
    return fixture.changed(result, losses=losses)


def tuned_at(*edges: Edge, unstable: float | None = None) -> Tuned:
    return Tuned(hyperparameters={"margin": 0.3}, edge=edges, unstable=unstable)


def test_the_caveat_that_matters_most_comes_first() -> None:
    """Each of these is put on top of those before it, and is the one that is said."""
    result = PLANTED["leads"]
    result = fixture.changed(
        result,
        paired=tuple(row.model_copy(update={"low_data": -0.01, "high_data": 0.07}) for row in result.paired),
    )
    kinds = [caveat_of(result)]
    untuned = [own.model_copy(update={"tuned": False}) for own in result.settings]
    result = fixture.changed(result, settings=tuple(untuned))
    kinds.append(caveat_of(result))
    result = fixture.changed(
        result, settings=tuple(own.model_copy(update={"unsettled": True}) for own in untuned)
    )
    result = with_loss(result, "triplet", tuned=tuned_at(unstable=0.3))
    kinds.append(caveat_of(result))
    result = with_loss(result, "triplet", tuned=tuned_at(Edge(name="epoch", value=60), unstable=0.3))
    kinds.append(caveat_of(result))
    used = str(result.recommendation.loss)
    group = BestGroup(
        measure="recall_at_1", best=used, members=(used, "b"), out=("c",), tests=2, alpha=0.04, able=True
    )
    result = fixture.changed(result, group=group)
    kinds.append(caveat_of(result))
    fault = Fault(side="triplet", kind="stuck", runs=2, of=10)
    result = with_loss(result, "triplet", faults=(fault,))
    kinds.append(caveat_of(result))
    result = with_loss(result, "contrastive", failed=2)
    kinds.append(caveat_of(result))
    assert kinds == ["scope", "untuned", "unsettled", "edge", "rivals", "fault", "failed"]
    assert wording.headline(PLANTED["leads"]).caveat is None


def caveat_of(result: Result) -> str:
    found = wording.headline(result).caveat
    assert found is not None
    return found.kind


def test_an_edge_names_its_end_and_a_command_that_searches_wider() -> None:
    result = with_loss(
        PLANTED["leads"],
        "triplet",
        spec=Study.of(losses="triplet(margin=0.05)").loss_specs()[0],
        tuned=tuned_at(Edge(name="margin", value=0.05)),
        trials=tuple(Trial(hyperparameters={"margin": margin}) for margin in (0.05, 0.1, 0.2)),
    )
    found = wording.headline(result).caveat
    assert found is not None and found.kind == "edge"
    assert (
        found.text
        == "triplet's best margin 0.05 is the smallest that was tried: a wider search could do better."
    )
    assert found.line.endswith("--space triplet:margin=0.025,0.05,0.1,0.2")
    later = with_loss(PLANTED["leads"], "triplet", tuned=tuned_at(Edge(name="epoch", value=60)))
    found = wording.headline(later).caveat
    assert found is not None and shlex.split(found.line)[-2:] == ["--epochs", "120"]


# --- contrasts ----------------------------------------------------------------------------------------------


def test_losses_are_set_apart_by_what_differs_most_in_standard_deviations() -> None:
    result = fixture.result(2)
    found = wording.headline(result).contrasts
    assert 0 < len(found) <= 3 and len({own.measure for own in found}) == len(found)
    for own in found:
        assert own.measure != "recall_at_1", "what decides is in the headline"
        mean = {side.name: side.mean(own.measure) for side in result.losses}
        other = next(name for name in mean if name != own.name)
        a, b = mean[own.name], mean[other]
        assert a is not None and b is not None
        known = wording.measure(own.measure)
        if known.better in ("higher", "lower"):
            assert (a > b) == (known.better == "higher"), own
        assert other in own.detail
        if "×" in own.claim:
            shown = float(own.claim.partition("×")[0])
            assert shown == pytest.approx(max(a, b) / min(a, b), rel=0.06)


def test_losses_that_do_not_differ_are_not_set_apart() -> None:
    result = fixture.result(2)
    same = [fixture.changed(own, measures=result.losses[0].measures) for own in result.losses]
    assert wording.headline(fixture.with_losses(result, *same)).contrasts == ()


# --- the command --------------------------------------------------------------------------------------------


def read_back(words: tuple[str, ...]) -> Study:
    """The study that the command line makes of the words."""
    _, bound, _ = app.parse_args(list(words[1:]), exit_on_error=False, print_error=False)
    given = dict(bound.arguments)
    for no in ("dry_run", "json", "verbose"):
        given.pop(no, None)
    if "data" in given:
        (given["data"],) = given["data"]
    return asked(**given)


STUDIES = [
    {},
    {"losses": "triplet(margin=0.2, tuples='semihard'),contrastive", "seeds": 16, "goal": "verification"},
    {"epochs": 9, "batch_size": 32, "embedding_size": 8, "tune": False, "closed_forms": False, "keep": "all"},
    {"tune": True, "space": ["triplet:margin=0.05,0.1", "margin=0.3"], "indifference": 0.02, "budget": 90.0},
    {"protocol": "paper", "device": "cpu", "engine": "here", "reference": "triplet", "start": "pca"},
    {"data": "a folder/with 'quotes'.npz", "data_root": "/data", "options": {"group": "who", "limit": 20}},
    {
        "options": {
            "speaker_disjoint": True,
            "name": "true",
            "ignore_label": ["-100", "none"],
            "skip_bad": True,
        }
    },
    {"model": "mlp", "augment": ["flip", "crop4"], "transform": "l2", "tuples": "hard"},
]


@pytest.mark.parametrize("fields", STUDIES, ids=str)
def test_the_command_of_a_study_makes_that_study(
    fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOSSCOPE_DATA", raising=False)
    study = Study.of(**fields, out="my runs")
    words = commands.arguments(study, "my runs")
    assert tuple(shlex.split(commands.said(words))) == words
    assert read_back(words) == study


def test_a_study_that_no_command_says_has_none() -> None:
    assert commands.arguments(Study.of(first_seed=3), "runs") == ()
