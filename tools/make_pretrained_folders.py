#!/usr/bin/env python3
"""Writes models of the published shapes with random weights, as `transformers` saves them.

FOLDER receives bert-base-uncased, gpt2, distilgpt2 and gpt2-sharded (1.5 GB in all), each with
golden.safetensors: token ids and what transformers computes from them.

usage: python tools/make_pretrained_folders.py FOLDER
then:  LDLM_PRETRAINED_DIR=FOLDER ctest -R test_pretrained
"""
import argparse
import pathlib

import torch
import transformers
from safetensors.torch import save_file

MODELS = {
    "bert-base-uncased": (transformers.BertModel, transformers.BertConfig()),
    "gpt2": (transformers.GPT2LMHeadModel, transformers.GPT2Config()),
    "distilgpt2": (transformers.GPT2LMHeadModel, transformers.GPT2Config(n_layer=6)),
    "gpt2-sharded": (transformers.GPT2LMHeadModel, transformers.GPT2Config(n_layer=3)),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    for number, (name, (model_class, config)) in enumerate(MODELS.items()):
        torch.manual_seed(number)
        model = model_class(config).eval()
        # The initial biases are zero, and say nothing about where they are read from.
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 1:
                    parameter += 0.1 * torch.randn_like(parameter)
        model.save_pretrained(folder / name,
                              max_shard_size="100MB" if name.endswith("sharded") else "5GB")
        ids = torch.randint(1000, 20000, (2, 24))
        golden = {"input_ids": ids}
        with torch.no_grad():
            if "bert" in name:
                mask = torch.ones_like(ids)
                mask[1, 17:] = 0
                out = model(ids, attention_mask=mask)
                golden.update(attention_mask=mask, hidden=out.last_hidden_state,
                              pooled=out.pooler_output)
            else:
                out = model(ids, labels=ids)
                golden.update(logits=out.logits[:, -2:].contiguous(), loss=out.loss)
        save_file(golden, folder / name / "golden.safetensors")
        print(f"{name}: {sum(p.numel() for p in model.parameters()):,} parameters")


if __name__ == "__main__":
    main()
