#!/usr/bin/env python3
"""Writes tiny models of every Bert* and GPT2* class with random weights, as `transformers` saves
them, and what transformers computes from them and from the folders of tests/golden/models/cases.

Each folder receives golden.safetensors: token ids, their mask, the base model's hidden states and,
for a language model, its logits. golden.json has the tensors that are no part of the base model or
of the language model's head.

usage: HF_HUB_OFFLINE=1 python tools/make_class_folders.py
"""
import json
import pathlib
import shutil

import torch
import transformers
from safetensors import safe_open
from safetensors.torch import save_file

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "models"

BERT = dict(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=12, max_position_embeddings=12)
GPT2 = dict(vocab_size=20, n_positions=12, n_embd=8, n_layer=1, n_head=2, n_inner=12,
            bos_token_id=0, eos_token_id=0)
CLASSES = [
    "BertModel", "BertForMaskedLM", "BertForPreTraining", "BertLMHeadModel",
    "BertForNextSentencePrediction", "BertForSequenceClassification", "BertForMultipleChoice",
    "BertForTokenClassification", "BertForQuestionAnswering", "GPT2Model", "GPT2LMHeadModel",
    "GPT2DoubleHeadsModel", "GPT2ForSequenceClassification", "GPT2ForTokenClassification",
    "GPT2ForQuestionAnswering",
]
UNTIED = ["BertForMaskedLM", "GPT2LMHeadModel", "GPT2Model", "GPT2ForSequenceClassification"]
LANGUAGE_HEADS = ("cls.predictions.", "lm_head.")


def randomize(model):
    """The initial biases are zero and norms one: they say nothing about where they are read from."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    model.tie_weights()


def write_golden(folder):
    """What transformers computes from a folder."""
    config = json.loads((folder / "config.json").read_text())
    name = config["architectures"][0]
    model = getattr(transformers, name).from_pretrained(
        folder, dtype=torch.float32, ignore_mismatched_sizes=True).eval()
    torch.manual_seed(7)
    ids = torch.randint(0, model.config.vocab_size, (2, 7))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    base = model.base_model
    with torch.no_grad():
        golden = {"input_ids": ids, "attention_mask": mask,
                  "hidden": base(ids, attention_mask=mask).last_hidden_state}
        if name in ("BertForMaskedLM", "BertForPreTraining", "BertLMHeadModel", "GPT2LMHeadModel",
                    "GPT2DoubleHeadsModel"):
            out = model(ids, attention_mask=mask)
            golden["logits"] = out.prediction_logits if "prediction_logits" in out else out.logits
    save_file({key: value.contiguous() for key, value in golden.items()},
              folder / "golden.safetensors")
    stored = []
    for file in sorted(folder.glob("model*.safetensors")):
        with safe_open(file, "pt") as tensors:
            stored += tensors.keys()
    prefix = model.base_model_prefix + "."
    plain = model is base
    other = [key for key in stored
             if not (plain or key.startswith(prefix) or key.startswith(LANGUAGE_HEADS))]
    (folder / "golden.json").write_text(json.dumps({"other": sorted(other)}) + "\n")


def write_class(folder, name, **changes):
    model_class = getattr(transformers, name)
    config_class, shape = ((transformers.BertConfig, BERT) if name.startswith("Bert")
                           else (transformers.GPT2Config, GPT2))
    model = model_class(config_class(**shape, **changes)).eval()
    randomize(model)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    write_golden(folder)


def main():
    torch.manual_seed(0)
    for name in CLASSES:
        write_class(GOLDEN / "classes" / name, name)
    for name in UNTIED:
        write_class(GOLDEN / "classes" / (name + "-untied"), name, tie_word_embeddings=False)
    write_class(GOLDEN / "classes" / "BertLMHeadModel-decoder", "BertLMHeadModel", is_decoder=True)
    for folder in sorted((GOLDEN / "cases").iterdir()):
        write_golden(folder)


if __name__ == "__main__":
    main()
