"""The program, and the options that several commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Group, Parameter

from losscope import __version__

app = App(
    name="losscope",
    version=__version__,
    help="Which metric-learning loss should I use on my data, and what does it do to my embeddings and "
    "gradients?\n\n"
    "Start with `losscope compare`: it trains contrastive and triplet loss on handwritten digits, ten paired "
    "seeds each, and writes a page. Then `losscope compare features.npz` for your own.",
    help_format="markdown",
    suppress_keyboard_interrupt=False,
)
app.register_install_completion_command()

DATA = Group("Data", sort_key=1)
TRAIN = Group("Training", sort_key=2)
ANSWER = Group("Answer", sort_key=3)
OUTPUT = Group("Output", sort_key=4)

DataRoot = Annotated[str | None, Parameter(group=DATA, env_var="LOSSCOPE_DATA")]
Losses = Annotated[
    list[str] | None, Parameter(name="--losses", consume_multiple=True, negative="", group=TRAIN)
]
Options = Annotated[list[str] | None, Parameter(name=["--option", "-o"], negative="", group=DATA)]
Json = Annotated[bool, Parameter(name="--json", negative="", group=OUTPUT)]
Verbose = Annotated[bool, Parameter(name=["--verbose", "-v"], negative="", group=OUTPUT)]
Out = Annotated[Path | None, Parameter(name="--out", group=OUTPUT)]
Map = Annotated[Literal["pca", "tsne"] | None, Parameter(name="--map", group=OUTPUT)]
Plugin = Annotated[list[str] | None, Parameter(name="--plugin", group=TRAIN, negative="")]
Trust = Annotated[bool, Parameter(name="--trust", negative="", group=TRAIN)]


@Parameter(name="*")
@dataclass
class Data:
    """Which data.

    Parameters
    ----------
    data_root
        Folder with data sets in their original layouts.
    train_labels
        fine or coarse, where the data have both; detail is measured on the fine.
    group
        A column of groups (speakers, sites, …); the rows of a group are never torn apart by a split.
    folds
        Evaluate over so many class-balanced folds: a seed's test part is the fold seed mod N.
    fold
        A column or array with each row's fold, instead.
    pairs
        A file of explicit pairs: columns i, j, same.
    triplets
        A file of explicit triplets: columns anchor, positive, negative.
    label_noise
        The share of training labels that is redrawn at random.
    limit
        The number of rows to keep for training and validation, taken class by class.
    skip_bad
        Leave out files that cannot be read and rows without a text, and say how many.
    skip_unlabelled
        Leave out rows without a label, and say how many.
    ignore_label
        A label that is background, as -1 is, such as -100, 255 or unknown; may be given several times. The
        word none makes -1 a class.
    backbone
        A backbone of images, sounds or texts whose features are computed once: a Hugging Face name or a path.
        It stays as it is unless --finetune trains it.
    option
        Any other option of the data set, as key=value; may be given several times.
    """

    data_root: DataRoot = None
    train_labels: Annotated[Literal["fine", "coarse"] | None, Parameter(group=DATA)] = None
    group: Annotated[str | None, Parameter(group=DATA)] = None
    folds: Annotated[int | None, Parameter(group=DATA)] = None
    fold: Annotated[str | None, Parameter(group=DATA)] = None
    pairs: Annotated[str | None, Parameter(group=DATA)] = None
    triplets: Annotated[str | None, Parameter(group=DATA)] = None
    label_noise: Annotated[float | None, Parameter(group=DATA)] = None
    limit: Annotated[int | None, Parameter(group=DATA)] = None
    skip_bad: Annotated[bool | None, Parameter(group=DATA, negative="")] = None
    skip_unlabelled: Annotated[bool | None, Parameter(group=DATA, negative="")] = None
    ignore_label: Annotated[list[str] | None, Parameter(group=DATA, negative="")] = None
    backbone: Annotated[str | None, Parameter(group=DATA)] = None
    option: Options = None

    def options(self) -> dict[str, Any]:
        """The loader's options that were given."""
        from losscope.core.commands import OF_DATA

        given: dict[str, Any] = dict(key_value(text) for text in self.option or [])
        for name in OF_DATA:
            if getattr(self, name) is not None:
                given[name] = getattr(self, name)
        return given


@Parameter(name="*")
@dataclass
class Training:
    """How losses are trained.

    Parameters
    ----------
    protocol
        matched (the fair one), paper (as the paper's own code does it), or one of a plugin's.
    epochs
        Epochs for every loss, instead of the protocol's.
    batch_size
        Anchors per batch, instead of the protocol's.
    tuples
        all, random, hard, semihard or distance_weighted, instead of the protocol's.
    embedding_size
        Dimensions of an embedding, instead of the protocol's.
    start
        Where a head on features starts: random, pca or whitened, instead of what validation chooses.
    transform
        What is done to features first: none, l2, sqrt or standardise, instead of what validation chooses.
    model
        The network, instead of the protocol's (see `losscope list models`).
    augment
        Augmentations of training images, such as flip,crop4; not with a backbone, whose features are computed
        once from images as they are.
    finetune
        What of the backbone is trained too: head (nothing), last:K (its last K transformer blocks), lora or
        lora:RANK, all.
    backbone_rate
        The backbone's learning rate as a share of the head's: 0.01 for last:K and all, 0.1 for lora.
    precision
        The backbone's arithmetic: float32, or bfloat16 (mixed precision).
    recompute
        Compute the backbone's activations twice instead of keeping them (gradient checkpointing).
    tune
        Tune every loss with the same effort on validation data first; matched does, except for images and
        backbones that are trained.
    space
        What tuning tries of the losses' own numbers: 'margin=0.05,0.1,0.2' for each loss that has a margin,
        'triplet:margin=0.05,0.1' for one; may be given several times. Foreign losses too.
    closed_forms
        Set PCA, within-class whitening and the like, which train nothing, beside the losses.
    device
        auto, cpu or cuda.
    engine
        Where runs train: auto (processes for long work), here, processes (one per core), or dask (a cluster).
    devices
        Train each run on so many processes or GPUs of this machine together, each with its share of a batch.
    address
        A Dask cluster that is there, as tcp://host:8786; without it dask starts workers on this machine.
    run_limit
        The longest that a run may take, such as 10m; one that takes longer is recorded as failed and
        tried again by the next command.
    plugin
        A Python file that registers items of your own, of any kind that `losscope list` shows.
    trust
        Run the code of losses that are neither ours nor a known library's, as path/file.py:name.
    """

    protocol: Annotated[str, Parameter(group=TRAIN)] = "matched"
    epochs: Annotated[int | None, Parameter(group=TRAIN)] = None
    batch_size: Annotated[int | None, Parameter(group=TRAIN)] = None
    tuples: Annotated[str | None, Parameter(group=TRAIN)] = None
    embedding_size: Annotated[int | None, Parameter(group=TRAIN)] = None
    start: Annotated[str | None, Parameter(group=TRAIN)] = None
    transform: Annotated[str | None, Parameter(group=TRAIN)] = None
    model: Annotated[str | None, Parameter(group=TRAIN)] = None
    augment: Annotated[str | None, Parameter(group=TRAIN)] = None
    finetune: Annotated[str | None, Parameter(group=TRAIN)] = None
    backbone_rate: Annotated[float | None, Parameter(group=TRAIN)] = None
    precision: Annotated[Literal["float32", "bfloat16"] | None, Parameter(group=TRAIN)] = None
    recompute: Annotated[bool | None, Parameter(group=TRAIN, negative="")] = None
    tune: Annotated[bool | None, Parameter(negative="--no-tune", group=TRAIN)] = None
    space: Annotated[list[str] | None, Parameter(group=TRAIN, negative="")] = None
    closed_forms: Annotated[bool, Parameter(negative="--no-closed-forms", group=TRAIN)] = True
    device: Annotated[str, Parameter(group=TRAIN)] = "auto"
    engine: Annotated[Literal["auto", "here", "processes", "dask"], Parameter(group=TRAIN)] = "auto"
    devices: Annotated[int | None, Parameter(group=TRAIN)] = None
    address: Annotated[str | None, Parameter(group=TRAIN)] = None
    run_limit: Annotated[str | None, Parameter(group=TRAIN)] = None
    plugin: Annotated[list[str] | None, Parameter(group=TRAIN, negative="")] = None
    trust: Trust = False


@Parameter(name="*")
@dataclass
class Question:
    """What is asked of the losses.

    Parameters
    ----------
    goal
        retrieval, verification, classification, detail, compactness or cross-modal: which measure decides.
    reference
        A loss that each other loss is tested against too; the side that leads on validation always is.
    indifference
        The difference in the goal's measure that does not matter to you, such as 0.02, instead of the
        measure's own. Choose it before the first look at results.
    curves
        Also show the goal's measure over single numbers of each loss, the others as tuned: margin or another
        number of a loss, learning_rate, embedding_size, own (those with values to try) or all.
    budget
        Answer within this time, such as 60s or 5m; what is cut for it is said in the answer.
    """

    goal: Annotated[str, Parameter(group=ANSWER)] = "retrieval"
    reference: Annotated[str | None, Parameter(group=ANSWER)] = None
    indifference: Annotated[float | None, Parameter(group=ANSWER)] = None
    curves: Annotated[list[str] | None, Parameter(group=ANSWER, negative="", consume_multiple=True)] = None
    budget: Annotated[str | None, Parameter(group=ANSWER)] = None


def duration(text: str | None) -> float | None:
    """Seconds of ``90``, ``90s``, ``5m`` or ``1h``."""
    from losscope.core.errors import require, shown

    if text is None:
        return None
    number, unit = (text[:-1], text[-1]) if text.endswith(("s", "m", "h")) else (text, "s")
    try:
        seconds = float(number) * {"s": 1, "m": 60, "h": 3600}[unit]
    except ValueError:
        seconds = float("nan")
    require(
        0 <= seconds < float("inf"), f"cannot read the time {shown(text)}; it must be such as 90s, 5m or 1h"
    )
    return seconds


def key_value(text: str) -> tuple[str, Any]:
    """``key=value`` as a key and a Python value, or its text where it is none."""
    import ast

    from losscope.core.bounds import LETTERS, bounded_integers
    from losscope.core.errors import LosscopeError, require, shown

    require(
        len(text) <= LETTERS,
        f"the option {shown(text)} is {len(text):,} letters long; at most {LETTERS:,} are read",
    )
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise LosscopeError(
            f"cannot read the option {shown(text)}; it must be key=value, such as speaker_disjoint=True"
        )
    try:
        read = ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return key, value
    bounded_integers(read, f"the option {key}")
    return key, read


def listed(given: list[str] | None) -> list[str]:
    """Names separated by commas or spaces."""
    return [name.strip() for names in given or () for name in names.split(",") if name.strip()]


def load_plugins(plugin: list[str] | None) -> None:
    """Run the files given by ``--plugin``."""
    from losscope.core.registry import load_plugin

    for path in plugin or []:
        load_plugin(path)
