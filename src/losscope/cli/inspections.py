"""The command that looks at files of embeddings: inspect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from losscope.cli.options import DATA, OUTPUT, Json, Options, app, key_value
from losscope.cli.output import refuse_unwritable, row_progress, terminal


@app.command
def inspect(
    a: str | None = None,
    b: str | None = None,
    *,
    query: Annotated[str | None, Parameter(group=DATA)] = None,
    gallery: Annotated[str | None, Parameter(group=DATA)] = None,
    relevance: Annotated[str | None, Parameter(group=DATA)] = None,
    labels: Annotated[str | None, Parameter(group=DATA)] = None,
    ids: Annotated[str | None, Parameter(group=DATA)] = None,
    split: Annotated[str | None, Parameter(group=DATA)] = None,
    option: Options = None,
    exact: Annotated[bool, Parameter(negative="", group=OUTPUT)] = False,
    queries: Annotated[int | None, Parameter(group=OUTPUT)] = None,
    seed: Annotated[int, Parameter(group=OUTPUT)] = 0,
    out: Annotated[Path | None, Parameter(name="--out", group=OUTPUT)] = None,
    report: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
    json: Json = False,
) -> None:
    """Look at embeddings of any model: one file, or two of the same items and how they differ.

    Examples:

    `losscope inspect embeddings.npz` - arrays embeddings and, if there are any, labels, ids and split

    `losscope inspect before.parquet after.parquet` - two models, the items paired by id

    `losscope inspect --query q.npz --gallery g.npz --relevance pairs.csv` - who is right is in a file

    `losscope inspect embeddings.npz --out found.parquet` - a table for embedding-atlas, DuckDB, polars

    Parameters
    ----------
    a
        A file of embeddings: .npz, .npy, safetensors, HDF5, parquet or CSV; a folder saved by the datasets
        library, hf:owner/name, or a data set of features by name.
    b
        A second model's embeddings of the same items, paired by id, or row by row if the labels are equal.
    query
        Instead of a: a file of those that ask, beside --gallery.
    gallery
        A file of those that are searched, of the same model.
    relevance
        A table with columns query and gallery: ids of items that are right, in the place of labels.
    labels
        The array or column of labels; for .npy a file of them. Found by the usual names otherwise.
    ids
        The array or column that tells the items apart.
    split
        The array or column of parts: words train, validation and test.
    option
        Any other option of the reader, as key=value, such as inputs=vector; may be given several times.
    exact
        Every row asks for its neighbours, however many there are, and NMI is measured whatever that takes.
    queries
        So many rows ask; by default all of 20,000, and of more a sample, 5,000 at least.
    seed
        Of the samples and of k-means.
    out
        Write a parquet table of the items of one file: id, label, embedding, x, y, neighbours.
    report
        Write a page with all tables and a map, FILE.html, which works offline.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from losscope.inspecting import inspect as look
    from losscope.reporting import inspections

    for file in (out, report):
        refuse_unwritable(file)
    with row_progress(json, "rows") as progress:
        found = look(
            a,
            labels,
            query=query,
            gallery=gallery,
            relevance=relevance,
            against=b,
            ids=ids,
            split=split,
            exact=exact,
            queries=queries,
            seed=seed,
            out=out,
            report=report,
            options=dict(key_value(text) for text in option or []),
            progress=progress,
        )
    if json:
        print(found.json_text())
        return
    console = terminal()
    console.print(inspections.printed(found))
    for what, file in (("Table", out), ("Page", report)):
        if file is not None:
            console.print(f"\n{what}: {file}", markup=False, highlight=False, soft_wrap=True)
