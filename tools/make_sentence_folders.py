#!/usr/bin/env python3
"""Writes tiny sentence encoders in the layouts of sentence-transformers, old and new, and the
vectors that sentence-transformers computes from them, into tests/golden/models/sentence.

With MINILM, a folder that tools/setup_minilm.py has made, also vectors of all-MiniLM-L6-v2, into
tests/golden/models/minilm. The BERT and its tokenizer are those of tests/golden/models/cases/embed_plain. Every folder receives
golden.safetensors with `vectors` of texts.json; where there are prompts, also `query`.

usage: HF_HUB_OFFLINE=1 python tools/make_sentence_folders.py [MINILM]
"""
import json
import pathlib
import shutil
import sys

import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules.dense import Dense
from sentence_transformers.base.modules.normalize import Normalize
from sentence_transformers.base.modules.transformer import Transformer
from sentence_transformers.sentence_transformer.modules.pooling import Pooling

MODELS = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "models"
BERT = MODELS / "cases" / "embed_plain"
OUT = MODELS / "sentence"
TEXTS = ["the river rises .", "covid19 !", "hello , world - a b c cafe", "", "The RIVER rises",
         "caf\u00e9 \u00e9 e i", "the river " * 30, "a", "hello world " * 6, "\U0001f600 \u4e16 the"]
FLAGS = ["cls_token", "max_tokens", "mean_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens",
         "lasttoken"]


def write_old(name, flags, normalize=False, max_length=None, lower=False, **pooling):
    """A folder as sentence-transformers 2 saves it."""
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "1_Pooling").mkdir(parents=True)
    for file in ("config.json", "model.safetensors", "tokenizer.json"):
        shutil.copyfile(BERT / file, folder / file)
    types = ["Transformer", "Pooling"] + (["Normalize"] if normalize else [])
    modules = [{"idx": i, "name": str(i), "path": "" if i == 0 else f"{i}_{kind}",
                "type": f"sentence_transformers.models.{kind}"} for i, kind in enumerate(types)]
    (folder / "modules.json").write_text(json.dumps(modules, indent=2))
    config = {"word_embedding_dimension": 8, **pooling,
              **{f"pooling_mode_{flag}": flag in flags for flag in FLAGS}}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(config))
    if max_length:
        (folder / "sentence_bert_config.json").write_text(
            json.dumps({"max_seq_length": max_length, "do_lower_case": lower}))
    return folder


def write_golden(folder, prompt_name=None):
    model = SentenceTransformer(str(folder), device="cpu")
    golden = {"vectors": torch.from_numpy(model.encode(TEXTS))}
    if prompt_name:
        golden[prompt_name] = torch.from_numpy(model.encode(TEXTS, prompt_name=prompt_name))
    save_file(golden, folder / "golden.safetensors")


def write_minilm(folder):
    texts = TEXTS + ["The quick brown fox jumps over the lazy dog.", "word " * 300,
                     "\u6771\u4eac \u041f\u0440\u0438\u0432\u0435\u0442 \u0939\u093f", "e=mc\u00b2 12,345.67"]
    model = SentenceTransformer(folder, device="cpu")
    target = MODELS / "minilm"
    (target / "texts.json").write_text(json.dumps(texts) + "\n")
    save_file({"vectors": torch.from_numpy(model.encode(texts))},
              target / "sentence_transformers.safetensors")


def main():
    if len(sys.argv) > 1:
        write_minilm(sys.argv[1])
    OUT.mkdir(exist_ok=True)
    (OUT / "texts.json").write_text(json.dumps(TEXTS) + "\n")
    write_golden(write_old("mean", ["mean_tokens"], normalize=True, max_length=16))
    write_golden(write_old("max", ["max_tokens"], max_length=16, lower=True))
    write_golden(write_old("all", FLAGS, max_length=24))

    folder = write_old("prompts", ["mean_tokens"], normalize=True, include_prompt=False)
    (folder / "config_sentence_transformers.json").write_text(json.dumps({
        "prompts": {"query": "hello : ", "passage": "the "}, "default_prompt_name": "passage"}))
    write_golden(folder, "query")

    torch.manual_seed(3)
    folder = OUT / "dense"
    shutil.rmtree(folder, ignore_errors=True)
    SentenceTransformer(modules=[
        Transformer(str(BERT), max_seq_length=20), Pooling(8, ["cls", "mean"]),
        Dense(16, 5, activation_function=torch.nn.Tanh()), Normalize(),
        Dense(5, 3, bias=False, activation_function=torch.nn.Identity())]).save(str(folder))
    (folder / "README.md").unlink(missing_ok=True)
    write_golden(folder)


if __name__ == "__main__":
    main()
