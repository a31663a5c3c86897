"""Pages written from the package itself at every build of the site: the API, the commands, the registry.

``conf.py`` calls ``write``. A page that is as it was is not written again, so that a second build is quick.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import losscope
from losscope.cli import app
from losscope.comparing.listing import Item, ListedLoss, items
from losscope.core import registry, wording
from losscope.core.facts import Bound
from losscope.core.quantities import QUANTITIES, Quantity

HERE = Path(__file__).parent
if str(HERE) not in sys.path:  # also where this file is loaded by its path
    sys.path.insert(0, str(HERE))

import ledger  # noqa: E402
from making import forces, multiverses, peers, reasons  # noqa: E402
from making import measures as cases  # noqa: E402

API = {
    "The commands as functions": (
        [
            "compare",
            "judge",
            "inspect",
            "audit",
            "reproduce",
            "multiverse",
            "atlas",
            "report",
            "embed",
            "bench",
        ],
        "Each does what the command of its name does, and returns what the command prints with `--json`.",
    ),
    "In your own loop": (
        ["loss", "cached", "Distributed", "Probe", "probing", "load_probe"],
        "A loss as a module, on one device or over the rows of many, a loss of a batch too large for "
        "memory, and a record of what any loss does in a training of your own.",
    ),
    "Data and measures": (
        ["read", "retrieval", "geometry", "classification", "verification", "cross_modal"],
        "Measures take lists, NumPy arrays or tensors.",
    ),
    "What comes back": (
        ["Result", "load", "embedder", "LosscopeError"],
        "A comparison's result, its best side as a function that embeds new rows, and the one error.",
    ),
    "A study, typed": (["Study", "LossSpec", "Protocol"], "What a comparison is made of."),
    "To write a loss or a measure": (
        ["register", "Relation", "Labels", "Pairs", "Triplets", "Terms"],
        "[Adding an item](../architecture.md#adding-an-item) has an example of each kind.",
    ),
}
"""Every public name under one heading, in the order of the page."""

KINDS = {
    "data": "Data sets",
    "models": "Networks",
    "closed_forms": "Closed forms",
    "protocols": "Protocols",
    "claims": "Claims of papers",
    "papers": "Papers",
    "sections": "Sections of the page",
}
"""The kinds that share the page of the registry; losses and measures have pages of their own."""

HIDDEN = {"name", "summary", "title", "parameters", "here", "files", "hidden", "defaults", "like", "order"}
"""Facts that are not shown as lines: they head the entry, or speak to the program and not to a reader."""

SAID = {"n": "items", "of": "belongs to"}
"""Facts whose names say little to a reader."""

DIRECTIONS = {
    "higher": "higher is better",
    "lower": "lower is better",
    "neither": "neither direction is better",
}


BESIDE = {"CHANGELOG.md": "changelog", "CONTRIBUTING.md": "contributing", "SECURITY.md": "security"}
"""Files beside ``docs`` that are pages of the site too."""
FOLDERS = {"gallery": "gallery", "ledger": "ledger", "ledger/multiverses": "multiverses"}
"""Folders of ``docs`` of which a page is made, and its name: a link to one leads to that page."""


def write(folder: Path) -> None:
    """All generated pages, into ``folder``, which lies in ``docs``."""
    root = folder.parent.parent
    folder.mkdir(parents=True, exist_ok=True)
    pages = {
        "api": api(),
        "commands": commands(),
        "losses": losses(),
        "measures": measures(),
        "registry": others(),
        "ledger": ledger.page(),
        "multiverses": multiverses.page(),
        **{name: beside(root / file) for file, name in BESIDE.items()},
        **{f"notebook-{path.stem}": notebook(path) for path in (root / "docs/notebooks").glob("*.ipynb")},
    }
    for name, text in pages.items():
        keep(folder / f"{name}.md", text)


def beside(path: Path) -> str:
    """A file beside ``docs``, with its links into ``docs`` as a page of the site has them."""
    return path.read_text(encoding="utf-8").replace("](docs/", "](../")


def keep(path: Path, text: str) -> None:
    """Write a page, unless it is as it was."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def notebook(path: Path) -> str:
    """A notebook as a page, with the outputs that it was stored with."""
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"````python\n{source}\n````")
        parts += [printed(output) for output in cell["outputs"]]
    title, *rest = parts
    return page([title, f"[The notebook](../notebooks/{path.name}), to run it yourself.", *rest])


def printed(output: dict[str, Any]) -> str:
    """What a cell printed or showed: its HTML where it has some, else its text."""
    kinds = {"text/plain": output.get("text", ""), **output.get("data", {})}
    if html := "".join(kinds.get("text/html", "")):
        return f"````{{raw}} html\n{html}\n````"
    return f"````text\n{''.join(kinds['text/plain']).rstrip()}\n````"


def inside(text: str) -> str:
    """A page's text with its figures drawn, and links to files on GitHub turned to pages of the site.

    >>> inside("see [SECURITY.md](../SECURITY.md)")
    'see [SECURITY.md](/generated/security.md)'
    """
    for file, name in BESIDE.items():
        text = text.replace(f"](../{file})", f"](/generated/{name}.md)")
    for folder, name in FOLDERS.items():
        text = text.replace(f"]({folder})", f"](/generated/{name}.md)")
    made = {"figure": reasons.FIGURES, "table": reasons.TABLES}
    mark = r"^<!-- (figure|table): (\w+) -->$"
    return re.sub(mark, lambda found: made[found[1]][found[2]](), text, flags=re.M)


def api() -> str:
    """The public names, each drawn by autodoc from its docstring."""
    parts = [
        "# Python",
        "`import losscope` imports neither torch nor pandas; a name is imported at its first use.",
    ]
    for heading, (names, about) in API.items():
        parts += [f"## {heading}", about]
        for name in names:
            kind = directive(getattr(losscope, name))
            members = "\n   :members:" if kind == "autoclass" else ""
            parts += [f"### {name}", f"```{{eval-rst}}\n.. {kind}:: losscope.{name}{members}\n```"]
    return page(parts)


def directive(found: object) -> str:
    """The directive of autodoc for a public name."""
    if not isinstance(found, type):
        return "autofunction"
    return "autoexception" if issubclass(found, Exception) else "autoclass"


def commands() -> str:
    """The help of every command, from the program itself."""
    text = app.generate_docs(output_format="markdown")
    text = re.sub(r"^(losscope[\w ]*) -m \S+", r"\1", text, flags=re.M)  # as which the site's builder runs
    text = re.sub(r"## Table of Contents\n.*?(?=\*\*Commands\*\*)", "", text, flags=re.S)
    text = re.sub(r"^## losscope --install-completion\n.*?(?=^## )", "", text, flags=re.S | re.M)
    text = text.replace("[`--install-completion`](#losscope-install-completion)", "`--install-completion`")
    return text.replace("# losscope\n", "# The command line\n", 1)


def losses() -> str:
    """Each loss: its formula, source, hyperparameters, and its force where it has one."""
    parts = [
        "# Losses",
        "What each loss says of itself; `losscope list losses --json` prints the same. "
        "[Definitions](../definitions.md#losses) has the terms in full and says how they are reduced.",
        peers.versions(),
    ]
    found = items("losses").losses or ()
    for row in sorted(found, key=lambda row: (row.faulty, row.name)):
        parts += loss(row)
    return page(parts)


def loss(row: ListedLoss) -> Iterator[str]:
    """One loss."""
    entry = registry.entry("loss", row.name)
    terms = formulas()
    formula, *rest = re.split(r"\n\s*\n", entry.doc.strip())
    yield f"## {row.name}"
    yield plain(formula)
    if row.name in terms:
        yield f"Term: {terms[row.name]}."
    yield from (plain(text) for text in rest[: next(i for i, text in enumerate(rest) if starts(text))])
    yield definitions(
        [
            (
                "Source",
                plain(next(text for text in rest if text.startswith("Source:")).removeprefix("Source:")),
            ),
            ("One term for each", {"pairs": "pair", "triplets": "triplet", "anchors": "anchor"}[row.takes]),
            ("Form of the value", row.form),
            ("Embeddings", "L2-normalised" if row.normalised else "as they are"),
            ("Reductions", ", ".join(f"`{name}`" for name in row.reductions)),
            ("One vector per class", "yes, learned with the network" if row.class_vectors else "no"),
            ("Force on a pair", force(entry)),
        ]
    )
    yield (
        "| hyperparameter | default | unit | allowed | protocol paper |\n|---|---|---|---|---|\n"
        + "\n".join(
            f"| `{name}` | {value!r} | {row.units.get(name, '–')} | {allowed(row, name)} | "
            f"{row.defaults.get('paper', {}).get(name, value)!r} |"
            for name, value in row.parameters.items()
        )
    )
    if row.space:
        yield (
            f"Tuning tries {len(row.space)} points: " + "; ".join(point(point_) for point_ in row.space) + "."
        )
    yield forces.drawn(row.name)
    yield peers.table(row.name)


def formulas() -> dict[str, str]:
    """The term of each loss, from the table of the definitions.

    >>> formulas()["contrastive"]
    'positive d²; negative max(0, m − d)² (the hinge is on d, the square outside)'
    """
    text = (HERE / "definitions.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| [^|]*\|$", text.split("## Losses")[1].split("### ")[0], re.M)
    return dict(rows)


def starts(text: str) -> bool:
    """Whether a paragraph of a docstring opens its formal part."""
    return text.lstrip().startswith(("Args:", "Returns:", "Source:", ">>>"))


def force(entry: Any) -> str:
    """What the loss's force says of itself."""
    found = entry.force()
    return (
        "none declared: the greedy shares are null"
        if found is None
        else plain(found.__doc__.split("\n\n")[0])
    )


def allowed(row: ListedLoss, name: str) -> str:
    """The bounds of a hyperparameter, in words."""
    said = [words(bound) for bound in row.bounds if bound.of == name]
    return "; ".join([*(["above 0"] if name in row.positive else []), *said]) or "any"


def words(bound: Bound) -> str:
    """One bound."""
    ends = ((bound.at_least, "at least"), (bound.at_most, "at most"))
    text = " and ".join(f"{word} {end:.5g}" for end, word in ends if end is not None)
    return text + "".join(f" with `{key}={value}`" for key, value in bound.where.items())


def point(values: Any) -> str:
    """A point of a tuning space."""
    return "`" + ", ".join(f"{key}={value}" for key, value in values.items()) + "`"


def measures() -> str:
    """Each quantity with its definition, unit and direction, under its group."""
    parts = [
        "# Measures",
        "Every quantity that a comparison records. A difference below the *indifference* does not matter: "
        "on the scale of differences it is in the quantity's unit, on the scale of ratios it is the log of a "
        "ratio (0.0953 is 10 %). "
        "[Definitions](../definitions.md) says how each is computed. Below each stand planted cases "
        "with its value on "
        "them, computed when this page was built.",
    ]
    for group in dict.fromkeys(quantity.group for quantity in QUANTITIES.values()):
        rows = [wording.measure(name) for name, quantity in QUANTITIES.items() if quantity.group == group]
        parts += [f"## {group[0].upper()}{group[1:]}", *map(measure, rows)]
    return page(parts)


def measure(quantity: Quantity) -> str:
    """One quantity: its definition, how it is compared, and a figure of what makes it rise and fall."""
    scale = "difference" if quantity.scale == "difference" else "log of a ratio"
    facts = f"Unit: {quantity.unit}; {DIRECTIONS[quantity.better]}; compared by the {scale}"
    facts += f", indifference {quantity.delta:.3g}"
    limits = {
        "": "",
        "hinge": "; only hinge losses have it",
        "form": "; comparable between losses of one form only",
    }[quantity.limits]
    picture = cases.drawn(quantity.name)
    said = f"`{quantity.name}`: {plain(quantity.definition)}."
    return f"### {quantity.label}\n\n{said}\n\n{facts}{limits}.\n\n{picture}"


def others() -> str:
    """The other kinds: data sets, networks, closed forms, protocols, claims, papers, sections."""
    parts = ["# The registry", "The other items that can be named, as `losscope list` shows them."]
    for kind, rows in items().kinds.items():
        if kind in KINDS:
            parts += [f"## {KINDS[kind]}", *map(item, rows)]
    return page(parts)


def item(row: Item) -> str:
    """One item with the facts that a reader wants."""
    about = getattr(row, "statement", "") or getattr(row, "summary", "")
    facts = {
        key: value
        for key, value in row
        if key not in {*HIDDEN, "statement"} and value not in ("", (), None, {})
    }
    said = "; ".join(
        f"{SAID.get(key, key.replace('_', ' '))}: {shown(value)}" for key, value in facts.items()
    )
    return f"`{row.name}`\n: {plain(about)}" + (f"\n\n  {said}." if said else "")


def shown(value: Any) -> str:
    """A fact as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return plain(f"{value:,}" if isinstance(value, int) else str(value))


def plain(text: str) -> str:
    """A passage of a docstring as Markdown, on one line."""
    text = " ".join(text.split()).replace("``", "`")
    return re.sub(r"(?<![`\w])([|*_])", r"\\\1", text)


def definitions(rows: Sequence[tuple[str, str]]) -> str:
    """A list of terms with what each is."""
    return "\n".join(f"- **{term}**: {text.strip().removesuffix('.')}." for term, text in rows)


def page(parts: Sequence[str]) -> str:
    """Passages with an empty line between them."""
    return "\n\n".join(parts) + "\n"
