"""Hugging Face's tokenizers: encodes a file, whole or line by line, with a tokenizer of a folder."""

import os

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy
import tokenizers

from serve import serve


class Encode:
    def __init__(self, settings):
        folder = settings["folder"]
        if settings["kind"] == "bpe":
            self.tokenizer = tokenizers.ByteLevelBPETokenizer(
                f"{folder}/vocab.json", f"{folder}/merges.txt"
            )
        else:
            self.tokenizer = tokenizers.BertWordPieceTokenizer(f"{folder}/vocab.txt")
        with open(settings["text"], encoding="utf-8", newline="") as file:
            text = file.read()
        self.texts = text.split("\n") if settings["lines"] else [text]

    def encode(self):
        # encode_batch_fast, where there is one, keeps no offsets, as ours does.
        batch = getattr(self.tokenizer._tokenizer, "encode_batch_fast", None)
        return (batch or self.tokenizer._tokenizer.encode_batch)(
            self.texts, add_special_tokens=False
        )

    def run(self):
        self.encode()

    def result(self):
        return numpy.array([i for encoding in self.encode() for i in encoding.ids])


serve(Encode)
