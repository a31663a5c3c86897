"""What the first screen of a page says beside its numbers: what open means, which level, what to do next."""

from __future__ import annotations

import re
import shlex

import pytest

import report_fixture as fixture
import test_headline as headlines
from losscope.comparing.spaces import dimensions
from losscope.core import wording
from losscope.core.results import Comparison, Edge, Provenance, Result, Trial
from losscope.core.spec import Study
from losscope.reporting import figure, page
from losscope.reporting.figure import Palette
from losscope.reporting.parts import fragment, in_words
from losscope.reporting.standing import standing

SEVEN = ("contrastive", "triplet", "info_nce", "sup_con", "arcface", "proxy_anchor", "multi_similarity")
LONG = (
    "losscope",
    "compare",
    "digits",
    "--losses",
    ",".join(SEVEN),
    "--seeds",
    "11",
    "--out",
    "/tmp/a-folder/runs",
)


def near() -> Result:
    """Seven losses of which one is inside the band, but not once corrected for the other tests."""
    sides = {name: (0.9 - 0.0003 * place, 0.002) for place, name in enumerate(SEVEN)}
    sides["contrastive"] = (0.896, 0.0065)
    result = headlines.planted(
        {**sides, **headlines.LOW},
        dict.fromkeys(SEVEN, 0.5) | {"triplet": 0.6},
        n=10,
    )
    return result.model_copy(update={"provenance": Provenance(arguments=LONG, command=" ".join(LONG))})


def row_of(result: Result, name: str) -> Comparison:
    return wording.beside(result).rows[name]


# --- words ------------------------------------------------------------------------------------------


def test_a_pair_that_is_probably_equivalent_is_not_promised_a_difference_that_matters() -> None:
    result = near()
    assert row_of(result, "contrastive").undecided == "corrected_outside"
    found = wording.headline(result)
    assert "probably too small to matter" in found.sure and found.caveat is not None
    assert "a difference that matters" not in found.caveat.text
    assert "in all would show a difference of 0.01, if there is one" in found.caveat.text


def test_open_beside_equivalent_is_explained_where_it_stands() -> None:
    result = near()
    words = wording.beside(result).words
    assert words["contrastive"] == "open" and list(words.values()).count("equivalent") == 5
    said = wording.how_to_read(wording.beside(result))
    assert said == (
        "Verdicts: beside triplet, the reference, by 96 % intervals of the differences, since all looks at "
        "these data share 5 % of error.",
        "Open: neither a difference nor equality is shown; contrastive is probably equivalent, but not once "
        "corrected for 7 tests.",
    )
    shown = standing(result, Palette(list(SEVEN), ["raw"]), "10 seeds")
    assert shown is not None and shown.read == said
    assert all(one in page.render(result) for one in said)


def test_nothing_is_said_of_open_where_nothing_is() -> None:
    (said,) = wording.how_to_read(wording.beside(headlines.PLANTED["leads"]))
    assert said.startswith("Verdicts: beside triplet, the reference, by 96 % intervals")
    said = wording.how_to_read(wording.beside(headlines.PLANTED["seeds"]))[1]
    assert said == "Open: neither a difference nor equality is shown."
    assert wording.how_to_read(wording.beside(headlines.PLANTED["alone"])) == ()


@pytest.mark.parametrize(
    ("alpha", "level"), [(0.05, ""), (0.04, "by 96 % intervals"), (0.008, "by 99.2 % intervals")]
)
def test_the_level_of_a_test_is_explained_where_it_is_not_the_usual_one(alpha: float, level: str) -> None:
    result = headlines.PLANTED["leads"]
    rows = tuple(row.model_copy(update={"alpha": alpha}) for row in result.paired)
    result = result.model_copy(update={"paired": rows})
    (said,) = wording.how_to_read(wording.beside(result))
    assert (level in said and "share 5 % of error" in said) if level else "interval" not in said
    assert page.render(result).count("share 5 % of error") == 2 * bool(level)  # here, and over the tests


def test_active_terms_are_said_so_that_who_knows_no_active_ratio_understands() -> None:
    result = fixture.result(2)
    (own,) = [own for own in wording.headline(result).contrasts if own.measure == "active_ratio"]
    assert re.fullmatch(r"([\d.,]+× )?more active terms", own.claim)
    assert re.fullmatch(r"a share of [\d.]+ has a loss above 0, \w+ [\d.]+", own.detail)


@pytest.mark.parametrize("names", [("image", "text"), ("a{0}", "b}{"), ("x" * 40, "y")])
def test_a_headline_over_one_direction_of_two_says_which(names: tuple[str, str]) -> None:
    made = headlines.planted(
        {"contrastive": (0.366, 0.004), "triplet": (0.386, 0.004)},
        headlines.LED,
        measure="map_audio_to_visual",
    )
    with wording.modalities(names):
        found = wording.headline(made)
    assert "→" in found.text and "better" in found.text
    assert found.words <= wording.HEADLINE_WORDS
    if names[0] == "image":
        assert found.text == "Use triplet: it retrieves image→text better than contrastive"


# --- the wider search --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tried", "best", "space"),
    [
        ((0.5, 1.0, 1.43), 1.43, "contrastive:margin=0.5,1,1.43,1.71"),  # 2.04 is beyond any distance
        ((0.5, 1.0), 1.0, "contrastive:margin=0.5,1,2"),
        ((0.5, 1.0, 2.0), 2.0, None),  # nothing is beyond the bound
    ],
)
def test_a_wider_search_stops_at_the_bound_of_a_margin(
    tried: tuple[float, ...], best: float, space: str | None
) -> None:
    result = headlines.with_loss(
        headlines.PLANTED["leads"],
        "contrastive",
        spec=Study.of(losses="contrastive(margin=0.5)").loss_specs()[0],
        tuned=headlines.tuned_at(Edge(name="margin", value=best)),
        trials=tuple(Trial(hyperparameters={"margin": margin}) for margin in tried),
    )
    found = wording.headline(result).caveat
    assert found is not None and found.kind == "edge" and found.text.startswith("contrastive's best margin")
    assert found.line.endswith(f"--space {space}") if space else not found.line


def test_a_search_that_was_widened_is_widened_again_by_a_command_that_compare_takes() -> None:
    spec = Study.of(losses="contrastive(margin=0.5)").loss_specs()[0]
    tried = (0.5, 1.0, 10 / 7, 1.4286)  # two of them are one in three digits
    made = headlines.with_loss(
        headlines.PLANTED["leads"],
        "contrastive",
        spec=spec,
        tuned=headlines.tuned_at(Edge(name="margin", value=tried[-1])),
        trials=tuple(Trial(hyperparameters={"margin": margin}) for margin in tried),
    )
    given = ("--space", "margin=0.5,1", "--space", "contrastive:margin=0.5,1,1.43", "--out", "runs")
    words = (*made.provenance.arguments, *given)
    result = made.model_copy(update={"provenance": made.provenance.model_copy(update={"arguments": words})})
    found = wording.headline(result).caveat
    assert found is not None and "best margin 1.43 is the largest" in found.text
    line = shlex.split(found.line)
    spaces = [line[place + 1] for place, word in enumerate(line) if word == "--space"]
    assert spaces[0] == "margin=0.5,1" and len(spaces) == 2 and "--out" in line
    dimensions(Study.of(losses="contrastive,triplet", space=spaces))  # each value once, each space once


# --- the look ----------------------------------------------------------------------------------------


def test_seven_losses_have_seven_colours_and_more_have_shapes_of_their_own() -> None:
    names = [f"loss{place}" for place in range(14)]
    looks = [Palette(names).look(name) for name in names]
    assert len({look.hex for look in looks[:7]}) == len({look.colour for look in looks[:7]}) == 7
    assert (
        len({(look.hex, look.symbol) for look in looks})
        == len({(look.hex, look.dash) for look in looks})
        == 14
    )
    # The figure of the first screen has them too.
    rings = [str(fragment("ring", look)) for look in looks]
    assert len(set(rings)) == 14 and "<circle" in rings[0] and "<rect" in rings[7]
    for colours in (figure.COLOURS, figure.DARK_COLOURS):
        assert len({*colours}) == 7


def test_the_words_of_a_command_are_those_that_are_copied() -> None:
    for line in (" ".join(LONG), "a,,b  --c='x y',\n<d>", ",", ""):
        made = str(in_words(line))
        assert (
            re.sub(r"<[^>]+>", "", made).replace("&lt;", "<").replace("&gt;", ">").replace("&#39;", "'")
            == line
        )
    assert "<d>" not in str(in_words("a <d>"))


@pytest.mark.parametrize("width", [1280, 390])
def test_a_command_breaks_between_words_and_what_is_next_looks_other_than_what_was(
    browser, tmp_path, width: int
) -> None:
    file = tmp_path / "page.html"
    file.write_text(page.render(near()), encoding="utf-8")
    opened = browser.new_context(viewport={"width": width, "height": 800}).new_page()
    opened.goto(file.as_uri())
    broken, looks = opened.evaluate(
        """() => {
          const codes = [...document.querySelectorAll(".step .copied code, .repeat .copied code")];
          const broken = codes.flatMap(code => [...code.querySelectorAll("span")].filter(one => {
            const range = document.createRange();
            range.selectNodeContents(one);
            return new Set([...range.getClientRects()].map(box => Math.round(box.top))).size > 1;
          }).map(one => one.textContent));
          const looks = codes.map(code => getComputedStyle(code)).map(one => one.background + one.borderLeft);
          return [broken, looks];
        }"""
    )
    opened.context.close()
    assert broken == [] and len(looks) == 2 and looks[0] != looks[1]
