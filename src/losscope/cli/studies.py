"""Commands that train: compare, run, reproduce, embed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from losscope.cli.carrying import carry_out, carry_out_each
from losscope.cli.options import (
    ANSWER,
    DATA,
    OUTPUT,
    TRAIN,
    Data,
    DataRoot,
    Json,
    Losses,
    Map,
    Options,
    Out,
    Question,
    Training,
    Trust,
    Verbose,
    app,
    duration,
    key_value,
)
from losscope.cli.output import (
    put,
    refuse_unwritable,
    row_progress,
    say_aside,
)

if TYPE_CHECKING:
    from losscope.core.spec import Study


@app.command
def compare(
    data: Annotated[list[str] | None, Parameter(negative="")] = None,
    *,
    losses: Losses = None,
    seeds: Annotated[int | None, Parameter(group=TRAIN)] = None,
    source: Data | None = None,
    training: Training | None = None,
    question: Question | None = None,
    multiverse: Annotated[int | None, Parameter(group=ANSWER)] = None,
    dry_run: Annotated[bool, Parameter(negative="", group=ANSWER)] = False,
    out: Out = None,
    keep: Annotated[Literal["none", "last", "all"], Parameter(group=OUTPUT)] = "last",
    map: Map = None,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Train losses side by side over paired seeds, measure them, and say which is better at what.

    If it is interrupted (Ctrl-C, kill), the same command continues where it stopped. Everything is kept in
    --out.

    Examples:

    `losscope compare` - digits, contrastive and triplet, about a minute

    `losscope compare synthetic --protocol paper --seeds 10 --json` - the paper's own experiment

    `losscope compare features.npz --losses 'triplet(margin=0.2),contrastive' --goal detail`

    `losscope compare features.npz --curves own,learning_rate` - and how much each number matters

    `losscope compare digits mnist birds.npz` - each of them, and one answer over all

    Parameters
    ----------
    data
        A name (see `losscope list data`) or a path: features.npz, table.parquet, a folder of class folders;
        digits otherwise. Of several each is compared, and one answer stands over all; to test two losses
        takes nine, or eight with --no-closed-forms.
    losses
        Losses with optional hyperparameters, separated by commas: 'triplet(margin=0.2),contrastive'.
    seeds
        The number of paired seeds, 10 otherwise; two losses beside baselines and closed forms need at least
        8.
        Of a multiverse those of each setting, 3 otherwise.
    multiverse
        Instead, draw so many settings around the study's own, and say where which loss is better.
    dry_run
        Say what it would cost and what it could show, and stop.
    out
        The folder for runs and pages; losscope-runs otherwise.
    keep
        What to keep of each run: none, last (weights and test embeddings), all (weights of every epoch too).
    map
        How the page's maps place embeddings: pca (principal components) or tsne, which takes seconds for each
        side.
    verbose
        Print each test, what would change the answer, and every note, too.
    json
        Print one JSON object, and nothing else, on standard output; of a dry run on several data sets a list.
    """
    names = data or ["digits"]
    study = asked(
        names[0],
        losses=losses,
        seeds=seeds,
        source=source,
        training=training,
        question=question,
        out=out,
        keep=keep,
    )
    if multiverse is not None:
        from losscope.cli.multiverses import around
        from losscope.core.errors import require

        require(len(names) == 1, f"{len(names)} data sets are given; a multiverse is of one")
        require(
            not study.curves,
            "--curves vary one number, and --multiverse varies all of them; leave out one of the two",
        )
        around(study, multiverse, seeds, json=json, dry_run=dry_run)
    elif len(names) == 1:
        carry_out(study, json=json, dry_run=dry_run, verbose=verbose, map=map)
    else:
        carry_out_each(study, names, json=json, dry_run=dry_run, verbose=verbose, map=map)


def asked(
    data: str = "digits",
    *,
    losses: list[str] | None = None,
    seeds: int | None = None,
    source: Data | None = None,
    training: Training | None = None,
    question: Question | None = None,
    out: Path | None = None,
    keep: str = "last",
) -> Study:
    """The study that the options of ``compare`` ask for."""
    from losscope.core.errors import require
    from losscope.core.spec import Study

    source, training, question = source or Data(), training or Training(), question or Question()
    require(
        question.curves is None or any(text.strip(", ") for text in question.curves),
        "--curves names no number; wanted: such as --curves margin,learning_rate, or own, or all",
    )
    return Study.of(
        data=data,
        losses=losses,
        seeds=seeds,
        options=source.options(),
        data_root=source.data_root,
        backbone=source.backbone,
        goal=question.goal,
        reference=question.reference,
        indifference=question.indifference,
        curves=question.curves,
        budget=duration(question.budget),
        keep=keep,
        out=None if out is None else str(out),
        plugins=training.plugin,
        augment=training.augment.split(",") if training.augment else None,
        run_limit=duration(training.run_limit),
        **{
            key: value
            for key, value in vars(training).items()
            if key not in ("plugin", "augment", "run_limit")
        },
    )


@app.command(name="run")
def run_file(
    study: Path,
    *,
    out: Out = None,
    data_root: DataRoot = None,
    trust: Trust = False,
    seeds: Annotated[int | None, Parameter(group=TRAIN)] = None,
    devices: Annotated[int | None, Parameter(group=TRAIN)] = None,
    engine: Annotated[Literal["auto", "here", "processes", "dask"] | None, Parameter(group=TRAIN)] = None,
    address: Annotated[str | None, Parameter(group=TRAIN)] = None,
    run_limit: Annotated[str | None, Parameter(group=TRAIN)] = None,
    dry_run: Annotated[bool, Parameter(negative="", group=ANSWER)] = False,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Run a study from a TOML file. If it is interrupted, the same command continues where it stopped.

    Examples:

    `losscope run study.toml`

    `torchrun --nproc-per-node 2 -m losscope run study.toml` - each run on two processes or GPUs together

    Parameters
    ----------
    study
        A TOML file with the options of `compare` as keys: data, losses, seeds, protocol, goal, …
    out
        The folder for runs and pages, instead of the file's.
    data_root
        Folder with data sets in their original layouts, unless the file says.
    trust
        Run the plugins and the foreign losses that the file names.
    seeds
        The number of paired seeds, instead of the file's.
    devices
        Train each run on so many processes or GPUs of this machine together, instead of the file's.
    engine
        Where runs train, instead of the file's: auto, here, processes or dask.
    address
        A Dask cluster that is there, as tcp://host:8786, instead of the file's.
    run_limit
        The longest that a run may take, such as 10m, instead of the file's.
    dry_run
        Say what it would cost and what it could show, and stop.
    verbose
        Print each test, what would change the answer, and every note, too.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from losscope.core.spec import Study

    read = Study.read(study, trust=trust)
    changes: dict[str, Any] = {} if out is None else {"out": str(out)}
    if data_root is not None and read.data_root is None:
        changes["data_root"] = data_root
    given = {
        "seeds": seeds,
        "devices": devices,
        "engine": engine,
        "address": address,
        "run_limit": duration(run_limit),
    }
    instead = {key: value for key, value in given.items() if value is not None}
    if engine in ("here", "processes"):
        read = read.model_copy(update={"address": None})
    elif address is not None:  # whatever engine the file has
        instead["engine"] = "dask"
    if instead:
        read = Study.of(**{**read.model_dump(), **instead, "trust": trust})
    carry_out(read.model_copy(update=changes), json=json, dry_run=dry_run, verbose=verbose)


@app.command
def embed(
    data: str,
    *,
    backbone: str,
    out: Out = None,
    preprocess: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True)] = None,
    device: str = "auto",
    batch_size: int = 64,
    data_root: DataRoot = None,
    option: Options = None,
    group: Annotated[str | None, Parameter(group=DATA)] = None,
    skip_bad: Annotated[bool, Parameter(negative="", group=DATA)] = False,
    skip_unlabelled: Annotated[bool, Parameter(negative="", group=DATA)] = False,
    ignore_label: Annotated[list[str] | None, Parameter(group=DATA, negative="")] = None,
    json: Json = False,
) -> None:
    """Compute the features of images, sounds or texts by a frozen backbone, once.

    They are cached by the content of data, weights and preprocessing: a second call computes nothing, and one
    that was killed continues where it stopped. `compare DATA --backbone B` uses the same cache.

    Examples:

    `losscope embed photos/ --backbone openai/clip-vit-base-patch32 --out photos.npz`

    `losscope embed cub200 --backbone mobilenetv2.npz --preprocess size=160 fit=crop`

    `losscope embed reviews.csv --backbone sentence-transformers/all-MiniLM-L6-v2`

    Parameters
    ----------
    data
        A name, a folder of class folders, a manifest (CSV, parquet), an array file, a table of texts, or
        hf:owner/name.
    backbone
        A Hugging Face id, a saved model's folder, a MobileNetV2 file (.npz, .safetensors), or timm:NAME.
    out
        Write features, labels and splits to this .npz file; otherwise they are only cached.
    preprocess
        Changes to the backbone's own preprocessing, as key=value.
    device
        auto, cpu or cuda.
    batch_size
        How many images, sounds or texts are computed at once.
    data_root
        Folder with data sets in their original layouts.
    option
        An option of the data set, as key=value; may be given several times.
    group
        A column of groups (speakers, sites, …); the rows of a group are never torn apart by a split.
    skip_bad
        Leave out what cannot be read, and say how many.
    skip_unlabelled
        Leave out rows without a label, and say how many.
    ignore_label
        A label that is background, as -1 is, such as -100, 255 or unknown; may be given several times. The
        word none makes -1 a class.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from losscope.features.embedding import embed as embed_data

    refuse_unwritable(out)
    options: dict[str, Any] = dict(key_value(text) for text in option or [])
    given = {
        "group": group,
        "skip_bad": skip_bad,
        "skip_unlabelled": skip_unlabelled,
        "ignore_label": ignore_label,
    }
    options |= {name: value for name, value in given.items() if value}
    with row_progress(quiet=json) as progress:
        done = embed_data(
            data,
            backbone,
            out=out,
            data_root=data_root,
            device=device,
            batch_size=batch_size,
            preprocess=preprocess,
            say=None if json else say_aside,
            progress=progress,
            **options,
        )
    if json:
        print(done.json_text())
        return
    put(done.data)
    for note in dict.fromkeys(done.notes):
        put(note)
    how = "from the cache" if done.cached else "computed"
    put(f"{done.rows:,} × {done.width:,} features {how} in {done.seconds:.1f} s: {done.folder}")
    if done.out:
        put(f"Written: {done.out}; now: losscope compare {done.out}")
