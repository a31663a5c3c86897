"""Finding a backbone by what the user wrote: a file, a folder, a name of the hub, or of timm."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from losscope.core.errors import LosscopeError, require
from losscope.features.backbones.base import Backbone, Takes
from losscope.features.backbones.sentences import is_text_model

WANTED = (
    "wanted: the id of a Hugging Face model (openai/clip-vit-base-patch32), a folder that one was saved "
    "in, a MobileNetV2 file (.npz, .safetensors), or timm:NAME"
)
TEXT_MODEL = (
    "wanted: a text model (sentence-transformers/all-MiniLM-L6-v2, BAAI/bge-small-en-v1.5), or the "
    "folder that one was saved in"
)
HUB_NAME = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")


def find(name: str, takes: Takes = "images", preprocess: Mapping[str, Any] | None = None) -> Backbone:
    """The backbone of a name, for rows of the given kind; ``preprocess`` replaces parts of its preprocessing.

    Raises LosscopeError for names that are nothing, files that are none of MobileNetV2, models of the hub
    that are neither here nor to be had, and preprocessing that the backbone does not have.
    """
    given = dict(preprocess or {})
    path = Path(name).expanduser()
    if path.is_file():
        if path.suffix not in (".npz", ".safetensors"):
            raise LosscopeError(
                f"the backbone {name!r} is a file {path.suffix or 'without suffix'}; {WANTED}"
            )
        _images_only(name, takes)
        from losscope.features.backbones.mobilenet import MobileNet

        return MobileNet(path, given)
    if name.startswith("timm:"):
        _images_only(name, takes)
        from losscope.features.backbones.timm import Timm

        return Timm(name.removeprefix("timm:"), given)
    from losscope.features.backbones.huggingface import HuggingFace

    folder = _folder(name)
    if takes == "texts":
        from losscope.features.backbones.text import TextModel

        require(
            is_text_model(folder),
            f"the backbone {name!r} takes no texts alone; {TEXT_MODEL}",
        )
        return TextModel(name, folder, given)
    require(
        not is_text_model(folder),
        f"the backbone {name!r} is a text model and these are {takes}; wanted: a model of {takes}",
    )
    return HuggingFace(name, folder, takes, given)


def takes_texts(name: str) -> bool:
    """Whether a backbone is a text model, as its folder says; a name of the hub is fetched where it must be.

    Raises LosscopeError for a name of the hub that is neither here nor to be had, and a path to nothing.
    """
    if Path(name).expanduser().is_file() or name.startswith("timm:"):
        return False
    return is_text_model(_folder(name))


def _folder(name: str) -> Path:
    """The folder of a Hugging Face model."""
    from losscope.features.backbones.huggingface import snapshot

    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if not HUB_NAME.match(name):
        raise LosscopeError(f"there is no file or folder {name!r}; {WANTED}")
    return snapshot(name)


def _images_only(name: str, takes: Takes) -> None:
    wanted = {"sounds": "an audio model of Hugging Face", "texts": "a text model of Hugging Face"}
    if takes in wanted:
        raise LosscopeError(
            f"the backbone {name!r} takes images and these are {takes}; wanted: {wanted[takes]}"
        )


def parse_preprocess(pairs: Sequence[str] | str | None) -> dict[str, Any]:
    """``["size=160", "fit=crop"]`` as a dictionary; values are Python literals, or else words.

    >>> parse_preprocess(["size=160", "fit=crop"])
    {'size': 160, 'fit': 'crop'}
    """
    found: dict[str, Any] = {}
    for text in [pairs] if isinstance(pairs, str) else pairs or ():
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise LosscopeError(
                f"cannot read the preprocessing {text!r}; it must be key=value, such as size=160"
            )
        try:
            found[key.strip()] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[key.strip()] = value.strip()
    return found
