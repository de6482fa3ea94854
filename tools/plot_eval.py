#!/usr/bin/env python3
"""Plots of an evaluation: the CDF of the cosine similarities, MSE and cosine over t, the frontier of
samples (the judge's nats over the entropy of words, sets NAME@T joined by a line), training curves.

    python3 tools/plot_eval.py RESULTS_DIR [--logs NAME=log.jsonl ...] [--out DIR]

RESULTS_DIR is what `ldlm eval --out` wrote. Needs matplotlib.
"""
import argparse
import csv
import json
import pathlib

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

LABELS = {
    "ldlm": "LDLM, one step",
    "linear": "best linear denoiser",
    "noisy": "noisy latent",
    "mean": "mean latent",
    "gpt2": "GPT-2 baseline",
}
COLOURS = {"ldlm": "C0", "linear": "C2", "noisy": "C7", "mean": "C8", "gpt2": "C3"}


def read_rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def plot_cdf(results, out):
    rows = read_rows(results / "cdf.csv")
    levels = sorted({int(row["t"]) for row in rows})
    figure, axes = plt.subplots(1, len(levels), figsize=(4 * len(levels), 3.2), sharey=True,
                                squeeze=False)
    for axis, level in zip(axes[0], levels):
        for method, label in LABELS.items():
            curve = [row for row in rows if int(row["t"]) == level and row["method"] == method]
            axis.plot([float(row["cosine"]) for row in curve],
                      [float(row["share"]) for row in curve], label=label, color=COLOURS[method])
        axis.axvspan(-0.1, 0.1, color="0.9", zorder=0)
        axis.set_title(f"noise level t = {level} of 1000")
        axis.set_xlabel("cosine similarity to the clean latent")
        axis.set_xlim(-0.2, 1.02)
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel("share of texts below")
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.legend(*axes[0][0].get_legend_handles_labels(), fontsize=8, loc="lower center",
                  ncol=len(LABELS))
    figure.savefig(out / "cdf.png", dpi=130)


def plot_levels(results, out):
    rows = [row for row in read_rows(results / "metrics.csv") if row["part"] == "reconstruction"]
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4))
    for axis, metric, name in zip(axes, ("mse", "cosine"), ("mean squared error", "cosine")):
        for method, label in LABELS.items():
            points = sorted((int(row["t"]), float(row["mean"]), float(row["ci95"])) for row in rows
                            if row["method"] == method and row["metric"] == metric)
            axis.errorbar([p[0] for p in points], [p[1] for p in points],
                          yerr=[p[2] for p in points], marker="o", ms=3, label=label,
                          color=COLOURS[method])
        axis.set_xlabel("noise level t")
        axis.set_ylabel(name)
        axis.grid(alpha=0.3)
    axes[0].set_ylim(0, 1.5)
    axes[1].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(out / "levels.png", dpi=130)


def plot_frontier(results, out):
    sets = {}
    for row in read_rows(results / "metrics.csv"):
        if row["part"] == "samples" and row["metric"] in ("word_entropy", "nats_a_token"):
            sets.setdefault(row["method"], {})[row["metric"]] = float(row["mean"])
    sets = {name: (figures["word_entropy"], figures["nats_a_token"])
            for name, figures in sets.items() if len(figures) == 2 and "shuffled" not in name}
    if not sets:
        return
    figure, axis = plt.subplots(figsize=(5.5, 4))
    families = {}
    for name, point in sets.items():
        family, _, temperature = name.partition("@")
        if temperature:
            families.setdefault(family, []).append((*point, temperature))
        else:
            axis.plot(*point, "k*" if name == "real" else "o", label=name)
    for family, points in families.items():
        points.sort()
        axis.plot([p[0] for p in points], [p[1] for p in points], ".-", label=f"{family}, over T")
        for entropy, nats, temperature in points:
            axis.annotate(temperature, (entropy, nats), fontsize=7, xytext=(3, -8),
                          textcoords="offset points")
    axis.set_xlabel("entropy of words, nats")
    axis.set_ylabel("nats a token under the judge")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(out / "frontier.png", dpi=130)


def plot_training(logs, out):
    figure, axes = plt.subplots(1, len(logs), figsize=(4 * len(logs), 3), squeeze=False)
    for axis, log in zip(axes[0], logs):
        name, path = log.split("=", 1)
        with open(path, encoding="utf-8") as file:
            reports = list(map(json.loads, file))
        for key, label in (("loss", "training text"), ("valid_loss", "held-out text")):
            entries = {report["step"]: report[key] for report in reports if key in report}
            if entries:
                axis.plot(*zip(*sorted(entries.items())), label=label)
        axis.legend(fontsize=8)
        axis.set_title(name)
        axis.set_xlabel("step")
        axis.set_ylabel("loss")
        axis.set_yscale("log")
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(out / "training.png", dpi=130)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=pathlib.Path)
    parser.add_argument("--logs", nargs="*", default=[], metavar="NAME=FILE")
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    out = arguments.out or arguments.results
    out.mkdir(parents=True, exist_ok=True)
    plot_cdf(arguments.results, out)
    plot_levels(arguments.results, out)
    plot_frontier(arguments.results, out)
    if arguments.logs:
        plot_training(arguments.logs, out)


if __name__ == "__main__":
    main()
