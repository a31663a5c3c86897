"""Any vision or audio model of Hugging Face, from its id or from a folder that it was saved in."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from losscope.core.errors import LosscopeError, need, require, unknown
from losscope.data.download import reachable
from losscope.features.backbones.base import Backbone, Takes, fitted, pixels
from losscope.features.backbones.memory import forward_bytes, parameter_bytes
from losscope.features.backbones.sentences import LENGTHS, MODULES, PROMPTS, TOKENIZER

if TYPE_CHECKING:
    from torch import Tensor

INPUTS = ("pixel_values", "input_values", "input_features")
POOLS = ("auto", "first", "mean", "pooler")
SMALL_FILES = ("config.json", "preprocessor_config.json", "processor_config.json")
ADAPTER = "adapter_config.json"
WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")
UNUSED = ("pooler.", "mask_token", "masked_spec_embed", "position_ids")
"""Parts of a model that may be missing from its file, since no feature depends on them."""


class HuggingFace(Backbone):
    """A model through ``AutoModel``, with its own image processor or feature extractor.

    The features of a row are the model's own image or audio features where it has them (CLIP, SigLIP, CLAP:
    the projected ones). Otherwise they are the pooled output; but where the pooler is a dense layer that was
    trained for another task or not at all (ViT, DeiT), the last layer's class token; and without a pooler the
    mean over the last layer's places or times. ``pool`` says otherwise: ``first``, ``mean``, ``pooler``.

    All other preprocessing keys are those of the processor (``size``, ``do_center_crop``, …), which runs on
    Pillow and numpy: torchvision is not used. A folder without a processor's file gets the plain one: images
    are stretched to the model's size, with values in ±1. Weights missing from the file are an error, never
    random.
    """

    input = INPUTS[0]

    def __init__(self, name: str, folder: Path, takes: Takes, given: Mapping[str, Any]):
        config = _config(folder)
        given = dict(given)
        self.pool = given.pop("pool", "auto")
        if self.pool not in POOLS:
            raise unknown("pool", str(self.pool), POOLS)
        weights = next((found for pattern in WEIGHTS if (found := sorted(folder.glob(pattern)))), [])
        require(
            bool(weights),
            f"{str(folder)!r} has a config.json and no weights; wanted: {' or '.join(WEIGHTS)} beside it",
        )
        small = [folder / name for name in SMALL_FILES if (folder / name).is_file()]
        self.plain = len(small) == 1
        self.given, self.folder, self.config = given, folder, config
        super().__init__(
            name,
            takes,
            (*small, *weights),
            {
                "family": "huggingface",
                "takes": takes,
                "pool": self.pool,
                "plain": self.plain,
                "preprocess": given,
                "transformers": version(),
            },
        )
        self.width = _width(config)
        self.shortest = _shortest(config) if takes == "sounds" else None
        require(
            not (self.plain and takes == "sounds"),
            f"{str(folder)!r} has no preprocessor_config.json, so what its sounds should be is unknown; "
            "save its feature extractor there too (extractor.save_pretrained)",
        )
        if self.plain:
            require(
                not given,
                f"{name} has no preprocessor_config.json whose {', '.join(given)} could be changed; save "
                "its image processor there too",
            )
            self.notes.append(
                f"{name} has no preprocessor_config.json: images are stretched to "
                f"{_side(config)}×{_side(config)}, in ±1"
            )

    @property
    def preprocessing(self) -> str:
        """Whose processor it is, and what is changed of it."""
        if self.plain:
            return f"{_side(self.config)}×{_side(self.config)}, stretch, ±1"
        changes = "".join(f", {key}={value}" for key, value in self.given.items())
        return f"its own {'image processor' if self.takes == 'images' else 'feature extractor'}{changes}"

    def start(self) -> None:
        """Read the processor."""
        if self.plain:
            return
        transformers = transformers_package()
        kwargs: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        kind = transformers.AutoFeatureExtractor
        if self.takes == "images":
            kind = transformers.AutoImageProcessor
            kwargs |= {"backend": "pil"} if int(version()) >= 5 else {"use_fast": False}
        with quiet():
            try:
                self.processor = kind.from_pretrained(str(self.folder), **kwargs)
                known = self.processor.to_dict()
                for key in self.given:
                    if key not in known:
                        raise unknown(f"preprocessing of {self.name}", key, [*known, "pool"])
                if self.given:
                    self.processor = kind.from_pretrained(str(self.folder), **kwargs, **self.given)
            except ImportError as error:
                raise need(str(error.name or "pillow"), self.name, "'losscope[hf]'") from None
            except LosscopeError:
                raise
            except (
                Exception
            ) as error:  # transformers raises OSError, ValueError and KeyError for what it cannot read
                raise LosscopeError(
                    f"the backbone {self.name!r} has no processor for {self.takes} that transformers can "
                    f"read: {first_line(error)}"
                ) from None
        if self.takes == "sounds":
            require(
                hasattr(self.processor, "sampling_rate"),
                f"the backbone {self.name!r} does not take sounds; wanted: an audio model, such as a "
                "Wav2Vec2 or an AST",
            )

    def prepare(self, row: Any) -> np.ndarray:
        """What the processor makes of one row alone, so that a batch's other rows do not matter."""
        if self.plain:
            half = np.float32(0.5)
            return pixels(fitted(row, _side(self.config), "stretch", "bilinear"), half, half)
        if self.takes == "images":
            made = self.processor(images=[row], return_tensors="np")
        else:
            from losscope.data.readers.sounds import resampled

            wave, rate = row
            wanted = int(self.processor.sampling_rate)
            wave = wave if rate == wanted else resampled(wave, rate, wanted)
            made = self.processor(wave, sampling_rate=wanted, return_tensors="np")
        key = next((name for name in INPUTS if name in made), None)
        if key is None:
            raise LosscopeError(
                f"the processor of {self.name!r} makes {', '.join(made)}; wanted: one of {', '.join(INPUTS)}"
            )
        self.input = key
        return np.asarray(made[key][0], np.float32)

    def needs(self, shape: tuple[int, ...], batch: int) -> tuple[int, int]:
        """From a model without numbers (meta) of the same configuration."""
        self.model = model = without_numbers(self.name, self.folder)
        return parameter_bytes(model), forward_bytes(model, self, shape, batch)

    def open(self, device: str) -> None:
        """Read the weights in float32; any that is missing from the file, and matters, is an error."""
        model, missing = with_weights(self.name, self.folder)
        allowed = UNUSED[1:] if self.pool == "pooler" else UNUSED
        lacking = [name for name in missing if not any(part in name for part in allowed)]
        require(
            not lacking,
            f"{len(lacking):,} weights of {self.name!r} are not in its file and would be random "
            f"({', '.join(lacking[:2])}); "
            "wanted: a folder with all of them" + ("" if self.pool != "pooler" else ", or another pool"),
        )
        self.model = model.to(device).eval()

    def module(self) -> Any:
        """The opened model as a module."""
        from losscope.features.backbones.module import Network

        return Network(self, self.model)

    def __call__(self, batch: Tensor) -> Tensor:
        """(rows, ...) -> (rows, D)."""
        own = f"get_{'image' if self.takes == 'images' else 'audio'}_features"
        if self.pool == "auto" and hasattr(self.model, own):
            found = getattr(self.model, own)(**{self.input: batch})
            return getattr(found, "pooler_output", found)
        network = self.model
        if self.model.config.is_encoder_decoder:
            network = self.model.get_encoder()
        elif hasattr(self.model, own):
            network = getattr(self.model, "vision_model" if self.takes == "images" else "audio_model")
        found = network(batch) if self.plain else network(**{self.input: batch})
        return self._pooled(network, found)

    def _pooled(self, network: Any, found: Any) -> Tensor:
        """One vector per row from a model's output, by ``pool``."""
        last, pooled = found.last_hidden_state, getattr(found, "pooler_output", None)
        if self.pool == "pooler":
            if pooled is None:
                raise LosscopeError(f"the backbone {self.name!r} has no pooler; choices: auto, first, mean")
            return pooled.flatten(1)
        dense = hasattr(getattr(network, "pooler", None), "dense")
        if self.pool == "auto" and pooled is not None and not dense:
            return pooled.flatten(1)
        if last.dim() == 4:
            return last.mean((2, 3))
        token = dense or any(name.endswith("cls_token") for name, _ in network.named_parameters())
        if self.pool == "first" or (self.pool == "auto" and token):
            return last[:, 0]
        return last.mean(1)


def without_numbers(name: str, folder: Path) -> Any:
    """The model of a folder by its configuration alone, on meta: for counting what it needs."""
    import torch

    transformers = transformers_package()
    with quiet():
        try:
            config = transformers.AutoConfig.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False
            )
            with torch.device("meta"):
                return transformers.AutoModel.from_config(config, trust_remote_code=False).eval()
        except Exception as error:  # what transformers raises for a model it does not know
            raise LosscopeError(
                f"the backbone {name!r} cannot be built by transformers {version()}: {first_line(error)}"
            ) from None


def with_weights(name: str, folder: Path, **words: Any) -> tuple[Any, list[str]]:
    """The model of a folder in float32, and the names of weights that its file lacks, which are random."""
    import torch

    transformers = transformers_package()
    # With peft, transformers would put an adapter of the folder on the model that this names, wherever it is.
    require(
        not (folder / ADAPTER).exists(),
        f"the backbone {name!r} has an adapter beside its weights ({ADAPTER}); merge it into them "
        "(model.merge_and_unload().save_pretrained) and give that folder",
    )
    words |= {"dtype" if int(version()) >= 5 else "torch_dtype": torch.float32}
    with quiet():
        try:
            model, said = transformers.AutoModel.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False, output_loading_info=True, **words
            )
        except Exception as error:  # safetensors, transformers and torch each have their own
            raise LosscopeError(f"the weights of {name!r} cannot be read: {first_line(error)}") from None
    return model, sorted(said["missing_keys"])


def snapshot(name: str) -> Path:
    """The local folder of a model of the hub: from the cache, or downloaded where there is a network.

    Raises LosscopeError at once where the hub cannot be reached, with what to do.
    """
    try:
        import huggingface_hub
        from huggingface_hub import constants
    except ImportError:
        raise need("transformers", f"the backbone {name!r}", "'losscope[hf]'") from None
    kept = huggingface_hub.try_to_load_from_cache(name, "config.json")
    if isinstance(kept, str) and any(any(Path(kept).parent.glob(pattern)) for pattern in WEIGHTS):
        return Path(kept).parent
    by_hand = (
        f"run `hf download {name}` where there is a network and copy ~/.cache/huggingface here, or give the "
        "folder that the model was saved in as --backbone"
    )
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    if constants.HF_HUB_OFFLINE or not reachable(endpoint):
        raise LosscopeError(
            f"the backbone {name!r} is not on this machine and the hub cannot be reached: {by_hand}"
        )
    try:
        files = huggingface_hub.list_repo_files(name)
        weights = next(
            (kind for kind in WEIGHTS if any(Path(name).match(kind) and "/" not in name for name in files)),
            WEIGHTS[0],
        )
        wanted = [*SMALL_FILES, weights]
        if "preprocessor_config.json" not in files:  # of texts: a tokenizer and layers of their own
            wanted += [*TOKENIZER, MODULES, PROMPTS, LENGTHS, "*/config.json", "*/model.safetensors"]
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=wanted, etag_timeout=10))
    except Exception as error:  # the hub's many errors share no class
        raise LosscopeError(
            f"the backbone {name!r} cannot be downloaded ({first_line(error)}): check the id on "
            f"huggingface.co, or {by_hand}"
        ) from None


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise LosscopeError(
            f"the folder {str(folder)!r} has no config.json; wanted: a folder that a Hugging Face model was "
            "saved in (model.save_pretrained)"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise LosscopeError(f"{str(path)!r} is not valid JSON; save the model again") from None
    require(
        isinstance(config, dict), f"{str(path)!r} is not the configuration of a model; save the model again"
    )
    return config


def _width(config: Mapping[str, Any]) -> int | None:
    for key in ("projection_dim", "hidden_size", "d_model"):
        if isinstance(config.get(key), int):
            return int(config[key])
    sizes = config.get("hidden_sizes")
    return int(sizes[-1]) if isinstance(sizes, list) and sizes else None


def _shortest(config: Mapping[str, Any]) -> int | None:
    """Samples below which a stack of convolutions over a waveform has no output; None for other models.

    >>> _shortest({"conv_kernel": [10, 3, 3, 3, 3, 2, 2], "conv_stride": [5, 2, 2, 2, 2, 2, 2]})
    400
    """
    kernels, strides = config.get("conv_kernel"), config.get("conv_stride")
    if not (isinstance(kernels, list) and isinstance(strides, list) and len(kernels) == len(strides)):
        return None
    length = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        length = (length - 1) * stride + kernel
    return length


def _side(config: Mapping[str, Any]) -> int:
    tower = config.get("vision_config")  # of a model of two towers
    side = config.get("image_size", tower.get("image_size", 224) if isinstance(tower, dict) else 224)
    return int(side[0] if isinstance(side, list | tuple) else side)


def version() -> str:
    """The major version of transformers, whose processors may change with it."""
    try:
        return importlib.metadata.version("transformers").split(".")[0]
    except importlib.metadata.PackageNotFoundError:
        raise need("transformers", "a backbone of Hugging Face", "'losscope[hf]'") from None


def transformers_package() -> Any:
    """The package transformers, or the sentence that says how to get it."""
    try:
        import transformers
    except ImportError as error:
        raise need(
            str(error.name or "transformers"), "a backbone of Hugging Face", "'losscope[hf]'"
        ) from None
    return transformers


def first_line(error: Exception) -> str:
    """An error's class and the first line of what it says."""
    text = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {text[:200]}"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' bars and remarks, for a while: what matters of them is said by us."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
