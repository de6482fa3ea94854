#!/usr/bin/env python3
"""Tokenizers and models in folders beside transformers, tokenizers and sentence-transformers.

    python tools/compare_folders.py [--build FOLDER] [--texts FILE] FOLDER...

Each FOLDER (or tokenizer.json) is looked through for what it holds: a tokenizer (ids, offsets, ids
without special tokens, decoded texts, of a set of difficult texts or the lines of --texts), a BERT
or GPT-2 (hidden states, pooled states, logits, of random ids of which some are masked), a sentence
encoder (vectors of `ldlm embed`). tests/golden/models/classes has a tiny model of every Bert and
GPT-2 class of transformers.

Prints a line for each comparison, "same", "differs: how" or "only theirs loads: why", and exits
with 1 if any differs. Needs torch, transformers, tokenizers, sentence-transformers, and a build of
folder_outputs and ldlm.
"""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
sys.path.insert(0, str(Path(__file__).resolve().parent))

from compare.folders import ROOT, Programs, compare_embeddings, compare_model, compare_tokenizer  # noqa: E402
from compare.texts import TEXTS  # noqa: E402


def kinds_of(path):
    """What a path holds."""
    if path.is_file():
        return ["tokenizer"]
    names = {p.name for p in path.iterdir()}
    kinds = []
    if names & {"tokenizer.json", "vocab.txt", "vocab.json"}:
        kinds.append("tokenizer")
    if "config.json" in names and any(n.startswith("model") and ".safetensors" in n for n in names):
        kinds.append("model")
        if "tokenizer" in kinds and names & {"modules.json", "sentence_bert_config.json"}:
            kinds.append("embeddings")
    return kinds


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("paths", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--build", type=Path, default=ROOT / "build-release")
    parser.add_argument("--texts", type=Path, help="texts, one a line, in place of the usual ones")
    args = parser.parse_args()
    texts = args.texts.read_text(encoding="utf-8").splitlines() if args.texts else TEXTS
    programs = Programs(args.build)
    compare = {
        "tokenizer": lambda path: compare_tokenizer(programs, path, texts),
        "model": lambda path: compare_model(programs, path),
        "embeddings": lambda path: compare_embeddings(programs, path, texts),
    }
    worse = 0
    for path in args.paths:
        kinds = kinds_of(path)
        if not kinds:
            print(f"{path}: no tokenizer and no model", flush=True)
        for kind in kinds:
            result = compare[kind](path)
            worse += not result.startswith(("same", "neither"))
            print(f"{path} {kind}: {result}", flush=True)
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
