"""What a text model's folder declares: tokens at most, pooling, layers behind it, prompts. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from losscope.core.errors import LosscopeError, require

MODULES = "modules.json"
PROMPTS = "config_sentence_transformers.json"
WEIGHTS = "model*.safetensors"
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "*.model",
)
"""Files of a tokenizer."""
LENGTHS = "sentence_*_config.json"
"""The file that says how many tokens the transformer of a sentence-transformers folder takes."""
POOLINGS = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
"""Poolings by their names in sentence-transformers, in the order in which several are concatenated."""
FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""Their names in files of earlier versions."""
ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU", "Sigmoid", "SiLU")
"""Functions of ``torch.nn`` behind a dense layer; a file names one, and no other is looked up."""
SEEN = (
    "vision_config",
    "image_size",
    "num_channels",
    "audio_config",
    "text_config",
    "conv_kernel",
    "num_mel_bins",
)
"""Keys of the configuration of a model that takes images or sounds, alone or beside texts."""
Kind = Literal["dense", "layer_norm", "normalise"]


@dataclass(frozen=True)
class Step:
    """A layer behind the pooling: ``activation`` and ``width`` (outputs) are those of a dense one."""

    kind: Kind
    folder: Path
    width: int | None = None
    bias: bool = True
    activation: str = "Identity"

    @property
    def said(self) -> str:
        """In a few words."""
        if self.kind == "dense":
            return f"a dense layer of {self.width} ({self.activation})"
        return {"layer_norm": "layer normalisation", "normalise": "L2-normalised"}[self.kind]


@dataclass(frozen=True)
class Layout:
    """A text model as its folder declares it.

    ``transformer``: the folder with configuration, weights and tokenizer. ``pooling``: names of ``POOLINGS``,
    concatenated; ``declared`` says whether the folder names them. ``most``: tokens at most, where the folder
    says so outside of its tokenizer. ``prompts`` by name, and the name of the one that is always put in
    front. ``files``: all that the features depend on.
    """

    transformer: Path
    config: Mapping[str, Any]
    files: tuple[Path, ...]
    pooling: tuple[str, ...] = ("mean",)
    declared: bool = False
    include_prompt: bool = True
    steps: tuple[Step, ...] = ()
    most: int | None = None
    lower: bool = False
    prompts: Mapping[str, str] = field(default_factory=dict)
    prompt: str | None = None

    @property
    def width(self) -> int | None:
        """The length of an embedding, where the configuration tells it."""
        dense = [step.width for step in self.steps if step.width is not None]
        if dense:
            return dense[-1]
        sizes = (self.config.get(key) for key in ("hidden_size", "d_model", "dim", "n_embd"))
        size = next((size for size in sizes if isinstance(size, int)), None)
        return None if size is None else size * len(self.pooling)


def is_text_model(folder: Path) -> bool:
    """Whether a folder holds a model of texts alone: a sentence-transformers one, or a plain encoder."""
    if (folder / MODULES).is_file():
        return True
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(config, dict) or any(key in config for key in SEEN):
        return False
    others = ("preprocessor_config.json", "processor_config.json")
    return isinstance(config.get("vocab_size"), int) and not any((folder / name).is_file() for name in others)


def layout(name: str, folder: Path) -> Layout:
    """What the folder of the text model ``name`` declares.

    Raises LosscopeError for a folder without configuration, tokenizer or safetensors, for modules that are
    none of Transformer, Pooling, Dense, LayerNorm, Dropout and Normalize, and for what wants code of its own.
    """
    modules = _json(folder / MODULES, list) if (folder / MODULES).is_file() else None
    if modules is None:
        return _plain(name, folder)
    kinds, paths = [], []
    for module in modules:
        kind, path = str(module.get("type", "")), str(module.get("path", ""))
        require(
            kind.startswith("sentence_transformers."),
            f"the backbone {name!r} has a module {kind!r}, whose code is not of sentence-transformers; "
            "code of "
            "a model is never run",
        )
        require(
            not Path(path).is_absolute() and ".." not in Path(path).parts,
            f"the backbone {name!r} has a module at {path!r}, outside of its folder",
        )
        kinds.append(kind.rpartition(".")[2])
        paths.append(folder / path)
    rest = [
        kind for kind in kinds[1:] if kind not in ("Pooling", "Dense", "LayerNorm", "Dropout", "Normalize")
    ]
    require(
        kinds[:1] == ["Transformer"] and not rest and kinds.count("Pooling") == 1 and kinds[1] == "Pooling",
        f"the backbone {name!r} consists of {', '.join(kinds) or 'nothing'}; wanted: a Transformer, its "
        "Pooling, "
        "and Dense, LayerNorm or Normalize behind it",
    )
    plain = _plain(name, paths[0])
    said = _first_json(sorted(paths[0].glob(LENGTHS)))
    _only_forward(name, said)
    pooling = _json(paths[1] / "config.json", dict)
    asked = _json(folder / PROMPTS, dict) if (folder / PROMPTS).is_file() else {}
    prompts = {str(key): str(text or "") for key, text in (asked.get("prompts") or {}).items()}
    steps = tuple(
        _step(name, kind, path) for kind, path in zip(kinds[2:], paths[2:], strict=True) if kind != "Dropout"
    )
    small = [folder / MODULES, folder / PROMPTS, paths[1] / "config.json", *sorted(paths[0].glob(LENGTHS))]
    small += [
        file for step in steps for file in (step.folder / "config.json", step.folder / "model.safetensors")
    ]
    most = said.get("max_seq_length")
    return Layout(
        plain.transformer,
        plain.config,
        (*plain.files, *(path for path in dict.fromkeys(small) if path.is_file())),
        pooling=_poolings(name, pooling),
        declared=True,
        include_prompt=bool(pooling.get("include_prompt", True)),
        steps=steps,
        most=most if isinstance(most, int) else None,
        lower=bool(said.get("do_lower_case", False)),
        prompts=prompts,
        prompt=asked.get("default_prompt_name"),
    )


def _plain(name: str, folder: Path) -> Layout:
    require(
        (folder / "config.json").is_file(),
        f"the folder {str(folder)!r} has no config.json; wanted: a folder that a text model was saved in "
        "(model.save_pretrained)",
    )
    config = _json(folder / "config.json", dict)
    weights = sorted(folder.glob(WEIGHTS))
    pickled = [path.name for path in (*folder.glob("*.bin"), *folder.glob("*.pt"))]
    require(
        bool(weights),
        f"the backbone {name!r} has no {WEIGHTS}"
        + (f", only {pickled[0]}, which is a pickle and never read" if pickled else "")
        + "; wanted: its weights as safetensors (model.save_pretrained writes them)",
    )
    tokenizer = sorted({path for pattern in TOKENIZER for path in folder.glob(pattern)})
    require(
        bool(tokenizer),
        f"the backbone {name!r} has no tokenizer beside its weights; wanted: its tokenizer.json or "
        "vocabulary "
        "(tokenizer.save_pretrained into the same folder)",
    )
    own = config.get("auto_map") and not config.get("model_type")
    require(
        not own, f"the backbone {name!r} wants code of its own, which is never run; wanted: another model"
    )
    return Layout(folder, config, (folder / "config.json", *tokenizer, *weights))


def _only_forward(name: str, said: Mapping[str, Any]) -> None:
    """Refuse a transformer whose outputs are other than one vector for each token."""
    task = said.get("transformer_task", "feature-extraction")
    how = (said.get("modality_config") or {}).get("text") or {}
    usual = how.get("method", "forward") == "forward"
    usual &= how.get("method_output_name", "last_hidden_state") == "last_hidden_state"
    require(
        task == "feature-extraction" and usual,
        f"the backbone {name!r} is made for {task} by {how.get('method', 'forward')}; wanted: a model of "
        "embeddings, one vector for each token and a pooling",
    )


def _poolings(name: str, config: Mapping[str, Any]) -> tuple[str, ...]:
    found = config.get("pooling_mode") or [mode for flag, mode in FLAGS.items() if config.get(flag)] or "mean"
    modes = (found,) if isinstance(found, str) else tuple(found)
    strange = [str(mode) for mode in modes if mode not in POOLINGS]
    require(
        not strange,
        f"the backbone {name!r} pools by {', '.join(strange)}; choices: {', '.join(POOLINGS)}",
    )
    return modes


def _step(name: str, kind: str, folder: Path) -> Step:
    if kind == "Normalize":
        return Step("normalise", folder)
    config = _json(folder / "config.json", dict)
    require(
        (folder / "model.safetensors").is_file(),
        f"the backbone {name!r} has no model.safetensors in {folder.name}; wanted: its weights as "
        "safetensors",
    )
    if kind == "LayerNorm":
        return Step("layer_norm", folder)
    function = str(config.get("activation_function") or "torch.nn.modules.linear.Identity")
    activation = function.rpartition(".")[2]
    fed = config.get("module_input_name", "sentence_embedding")
    require(
        function.startswith("torch.nn.") and activation in ACTIVATIONS,
        f"the backbone {name!r} has a dense layer with {function}; choices: {', '.join(ACTIVATIONS)}",
    )
    require(
        fed == "sentence_embedding" and not config.get("use_residual"),
        f"the backbone {name!r} has a dense layer on {fed}, or around itself; wanted: one behind the pooling",
    )
    return Step("dense", folder, int(config["out_features"]), bool(config.get("bias", True)), activation)


def _json(path: Path, kind: type) -> Any:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LosscopeError(f"cannot read {str(path)!r}: {error.strerror}; save the model again") from None
    except ValueError:
        raise LosscopeError(f"{str(path)!r} is not valid JSON; save the model again") from None
    require(isinstance(found, kind), f"{str(path)!r} is not what a model has there; save the model again")
    return found


def _first_json(paths: list[Path]) -> dict[str, Any]:
    return _json(paths[0], dict) if paths else {}
