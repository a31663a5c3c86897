"""What the tests of texts share: sentences of four topics, small text models, and naive embeddings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

TOPICS = {
    "birds": ["wing", "feather", "beak", "nest", "song", "egg", "flock", "robin", "heron", "swallow"],
    "cars": ["engine", "wheel", "brake", "road", "fuel", "gear", "clutch", "tyre", "driver", "lane"],
    "food": ["bread", "butter", "salt", "oven", "soup", "spice", "apple", "dough", "knife", "plate"],
    "music": ["string", "chord", "drum", "tune", "piano", "choir", "rhythm", "note", "violin", "verse"],
}
FILLERS = ["the", "a", "of", "and", "with", "under", "near", "some", "old", "new", "very", "quiet"]


def sentences(rows: int = 96, seed: int = 0) -> tuple[list[str], list[str]]:
    """Sentences of 4 to 20 words, all different, each of one topic, and the topics."""
    rng = np.random.default_rng(seed)
    texts: dict[str, str] = {}
    while len(texts) < rows:
        topic = list(TOPICS)[len(texts) % len(TOPICS)]
        words = [
            str(rng.choice(TOPICS[topic] if rng.random() < 0.6 else FILLERS))
            for _ in range(rng.integers(4, 21))
        ]
        texts.setdefault(" ".join(words), topic)
    return list(texts), list(texts.values())


def encoder(
    folder: Path, seed: int = 0, positions: int = 40, ordered: bool = True, words: tuple[str, ...] = ()
) -> Path:
    """A BERT of 2 layers of 32 numbers with a vocabulary of whole words, read in any order unless ordered."""
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ":", "query", "passage"]
    vocabulary += [*words, *FILLERS, *(word for words in TOPICS.values() for word in words)]
    vocabulary = list(dict.fromkeys(vocabulary))
    numbers = {word: place for place, word in enumerate(vocabulary)}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(numbers, unk_token="[UNK]"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    inner.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=positions,
    ).save_pretrained(folder)
    torch.manual_seed(seed)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=positions,
        initializer_range=0.5,
    )
    model = transformers.BertModel(config)
    if not ordered:
        torch.nn.init.zeros_(model.embeddings.position_embeddings.weight)
    model.save_pretrained(folder)
    return folder


def sentence_model(
    folder: Path,
    pooling: dict[str, object] | None = None,
    *,
    most: int | None = 16,
    dense: int | None = None,
    normalise: bool = True,
    prompts: dict[str, str] | None = None,
    prompt: str | None = None,
) -> Path:
    """The encoder wrapped as a sentence-transformers folder, by hand."""
    from safetensors.torch import save_file

    encoder(folder)
    kinds = ["Transformer", "Pooling", *(["Dense"] if dense else []), *(["Normalize"] if normalise else [])]
    modules = []
    for place, kind in enumerate(kinds):
        path = "" if kind == "Transformer" else f"{place}_{kind}"
        (folder / path).mkdir(exist_ok=True)
        kind = f"sentence_transformers.models.{kind}"
        modules.append({"idx": place, "name": str(place), "path": path, "type": kind})
    (folder / "modules.json").write_text(json.dumps(modules))
    usual: dict[str, object] = {"pooling_mode_mean_tokens": True}
    about = {"word_embedding_dimension": 32, **(usual if pooling is None else pooling)}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(about))
    if most is not None:
        said = {"max_seq_length": most, "do_lower_case": False}
        (folder / "sentence_bert_config.json").write_text(json.dumps(said))
    if dense:
        torch.manual_seed(1)
        about = {
            "in_features": 32,
            "out_features": dense,
            "bias": True,
            "activation_function": "torch.nn.modules.activation.Tanh",
        }
        (folder / "2_Dense" / "config.json").write_text(json.dumps(about))
        layer = torch.nn.Linear(32, dense)
        save_file(
            {f"linear.{name}": tensor.detach().clone() for name, tensor in layer.named_parameters()},
            folder / "2_Dense" / "model.safetensors",
        )
    told = {"prompts": prompts or {}, "default_prompt_name": prompt}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(told))
    return folder


def naive(folder: Path, texts: list[str], most: int, pool: str = "mean") -> np.ndarray:
    """Embeddings by transformers alone, one text at a time, in float64 after the network."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    found = []
    with torch.inference_mode():
        for text in texts:
            inputs = tokenizer(text, truncation=True, max_length=most, return_tensors="pt")
            last = model(**inputs).last_hidden_state[0].double().numpy()
            found.append(last.mean(0) if pool == "mean" else last[0])
    return np.stack(found)


def reviews(path: Path, rows: int = 96, **more: object) -> Path:
    """A table of texts with the topic as their label."""
    texts, labels = sentences(rows)
    frame = pd.DataFrame({"text": texts, "label": labels, **more})
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False)
    return path


def pairs(
    path: Path, rows: int = 96, names: tuple[str, str] = ("anchor", "positive"), **more: object
) -> Path:
    """A table of pairs of texts: the same words in the order from the middle on, with one more."""
    texts, _ = sentences(rows)
    words = [text.split() for text in texts]
    others = [" ".join([*own[len(own) // 2 :], *own[: len(own) // 2], "quiet"]) for own in words]
    pd.DataFrame({names[0]: texts, names[1]: others, **more}).to_csv(path, index=False)
    return path
