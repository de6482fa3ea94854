#!/usr/bin/env python3
"""Writes what bench_cuda and bench_torch.py have printed as a table: RESULTS-cuda.md.

usage: report.py OURS.jsonl [TORCH.jsonl] > RESULTS-cuda.md
"""
import datetime
import json
import pathlib
import sys

UNITS = {"byte": ("GB/s", 1e9), "FLOP": ("TFLOP/s", 1e12), "token": ("tokens/s", 1),
         "text": ("texts/s", 1)}


def read(path):
    """The header and the rates by name."""
    lines = [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]
    return lines[0], {line["name"]: line for line in lines[1:]}


def main():
    ours_header, ours = read(sys.argv[1])
    torch_header, torch = read(sys.argv[2]) if len(sys.argv) > 2 else ({}, {})
    copy = ours.get("memory/copy", {}).get("rate")
    print("# On a card\n")
    print(f"`bash tools/cuda.sh` makes this page. {ours_header['device']}, "
          f"{datetime.date.today().isoformat()}"
          + (f"; PyTorch {torch_header['torch']} on the same card, in f32 like ours" if torch else "")
          + ".\n")
    print("| case | ours | | PyTorch | ours / PyTorch | share of our copy |")
    print("|---|---|---|---|---|---|")
    for name, line in ours.items():
        unit, scale = UNITS[line["unit"]]
        peer = torch.get(name, {}).get("rate")
        print(f"| {name} | {line['rate'] / scale:.4g} | {unit} | "
              + (f"{peer / scale:.4g} | {line['rate'] / peer:.2f} | " if peer else "- | - | ")
              + (f"{line['rate'] / copy:.2f} |" if line["unit"] == "byte" and copy else "- |"))


if __name__ == "__main__":
    main()
