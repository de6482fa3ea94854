#!/usr/bin/env python3
"""What samples are worth beside held-out text and beside a plain language model, over seeds.

    python3 tools/eval_table.py RESULTS_DIR... [--reference NAME]

Each RESULTS_DIR is what `ldlm eval --out` wrote with a seed of its own, a judge, and the texts of a
language model at several temperatures as --also NAME@T=FILE (NAME: ar). A figure is the mean over
the seeds and, of several, the least and the most of them. Needs nothing but Python.
"""
import argparse
import csv
import pathlib
import statistics
import sys


def read_sets(results):
    """{set: {figure: value}} of an evaluation's samples, and its accuracy of clean texts."""
    sets, accuracy = {}, None
    if not (results / "metrics.csv").exists():
        sys.exit(f"eval_table: {results} has no metrics.csv")
    with open(results / "metrics.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["part"] == "samples":
                sets.setdefault(row["method"], {})[row["metric"]] = float(row["mean"])
            elif row["part"] == "decoding" and row["t"] == "-1" \
                    and row["metric"] == "token_accuracy":
                accuracy = max(accuracy or 0.0, float(row["mean"]))
    missing = {"real", "samples"} - sets.keys()
    if missing:
        sys.exit(f"eval_table: {results} has no set {' and no '.join(sorted(missing))}")
    return sets, accuracy


def figures(sets, accuracy, reference):
    """(name, value) of one evaluation, of what it has."""
    real, ours = sets["real"], sets["samples"]
    without = sets.get("no_latent", {})
    temperatures = {name: values for name, values in sets.items()
                    if name.startswith(reference + "@")}
    # The language model at the temperature whose words are as varied as real text's.
    beside = min(temperatures.values(), default={},
                 key=lambda values: abs(values["word_entropy"] - real["word_entropy"]))

    def ratio(figure, to):
        return ours[figure] / to[figure] if figure in ours and to.get(figure) else None

    def difference(figure, to):
        return ours[figure] - to[figure] if figure in ours and figure in to else None

    return [
        ("perplexity / real text's", ratio("perplexity", real)),
        ("distinct-2 / real text's", ratio("distinct_2", real)),
        ("entropy of words - real text's", difference("word_entropy", real)),
        (f"nats above the frontier of {reference}", ours.get(f"nats_above_{reference}")),
        (f"MAUVE / that of {reference}", ratio("mauve", beside)),
        ("known runs of four words - real text's", difference("known_runs", real)),
        ("nats a token - without a latent", difference("nats_a_token", without)),
        ("MAUVE - without a latent", difference("mauve", without)),
        ("non-words / real text's", ratio("non_words", real)),
        ("token accuracy of clean texts", accuracy),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", type=pathlib.Path)
    parser.add_argument("--reference", default="ar", metavar="NAME")
    arguments = parser.parse_args()
    values = {}
    for results in arguments.results:
        for name, value in figures(*read_sets(results), arguments.reference):
            values.setdefault(name, []).append(value)
    print("| figure | mean | least | most |\n|---|--:|--:|--:|")
    for name, of_seeds in values.items():
        if None in of_seeds:
            print(f"| {name} | not measured | | |")
        else:
            columns = (statistics.mean(of_seeds), min(of_seeds), max(of_seeds))
            print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in columns) + " |")


if __name__ == "__main__":
    main()
