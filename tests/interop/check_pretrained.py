#!/usr/bin/env python3
"""Loads with transformers the model folders that test_pretrained has saved, and compares outputs.

Exits with 77 if transformers is not installed, with 1 and a message if anything differs.
"""

import pathlib
import sys

try:
    import torch
    import transformers
    from safetensors.torch import load_file
except ImportError:
    sys.exit(77)


def load(folder, model_class):
    """The model; every tensor of the file is used, none is missing (but for tied ones)."""
    model, info = model_class.from_pretrained(folder, output_loading_info=True,
                                              attn_implementation="eager")
    for problem, names in info.items():
        if names:
            sys.exit(f"{folder}: {problem}: {names}")
    return model.double().eval()


def compare(what, got, wanted):
    error = ((got - wanted).abs().max() / wanted.abs().max()).item()
    if got.shape != wanted.shape or not error <= 1e-6:
        sys.exit(f"{what}: shapes {tuple(got.shape)} and {tuple(wanted.shape)}, "
                 f"relative error {error}")
    print(f"transformers computes the same from {what}: relative error {error:.1e}")


def main():
    root = pathlib.Path(sys.argv[1])
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    ours = load_file(root / "outputs.safetensors")
    ids = ours["ids"]
    with torch.no_grad():
        bert = load(root / "bert", transformers.BertModel)(ids)
        compare("bert", bert.last_hidden_state, ours["bert.hidden"])
        compare("bert's pooler", bert.pooler_output, ours["bert.pooled"])
        masked = load(root / "masked", transformers.BertForMaskedLM)(ids)
        compare("masked", masked.logits, ours["masked"])
        for name in ("gpt2", "sharded", "untied"):
            model = load(root / name, transformers.GPT2LMHeadModel)
            compare(name, model(ids).logits, ours[name])
        cross = load(root / "cross", transformers.GPT2LMHeadModel)
        compare("cross", cross(ids, encoder_hidden_states=ours["states"]).logits, ours["cross"])


if __name__ == "__main__":
    main()
