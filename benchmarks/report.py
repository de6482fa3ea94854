#!/usr/bin/env python3
"""Makes RESULTS.md and results.json of what the benchmarks wrote.

usage: report.py RESULTS_FOLDER OUTPUT_FOLDER
"""
import datetime
import json
import math
import pathlib
import platform
import re
import subprocess
import sys

# What is measured against whom, and what is wanted: the geometric mean of the ratios, and the least
# of them. Of several peers, the fastest of each benchmark counts. Above 1, ours is faster.
ROWS = [
    dict(title="Matrix products of training and encoding", groups=["sgemm"], peers=["onednn"],
         shown=["openblas", "eigen"], mean=0.97, least=0.85, name="gemm"),
    dict(title="Matrix products of 1 to 16 rows", groups=["skinny"],
         peers=["onednn", "openblas", "eigen"], mean=1.0, name="gemm"),
    dict(title="Matrix products of bf16, beside our own f32", groups=["bf16"],
         peers=["ours_f32"], least=1.6, name="gemm"),
    dict(title="Training GPT-2 124M", groups=["train"],
         peers=["pytorch", "pytorch_compiled"], shown=["llm.c"], least=1.2, name="train"),
    dict(title="Training GPT-2 124M, beside llm.c", groups=["train"], peers=["llm.c"], least=6.0,
         cases=["train/gpt2/4x64"], name="train"),
    dict(title="Training in bf16", groups=["train_bf16"], peers=["pytorch_autocast"],
         shown=["ours_f32"], least=1.0, name="train"),
    dict(title="Training in bf16, beside our own f32", groups=["train_bf16"], peers=["ours_f32"],
         cases=["train_bf16/gpt2/4x64", "train_bf16/gpt2/2x256"], least=1.3, name="train"),
    dict(title="Losses of 200 steps in bf16, off those in f32", groups=["curve"], most=0.01,
         name="train"),
    dict(title="Generation with GPT-2 124M, f32", groups=["generate"], cases=["generate/f32"],
         peers=["llama.cpp_f32"], least=1.1, name="generate"),
    dict(title="Generation with GPT-2 124M, bf16", groups=["generate"], cases=["generate/bf16"],
         peers=["llama.cpp_bf16", "llama.cpp_f16"], least=1.1, name="generate"),
    dict(title="Generation with GPT-2 124M, int8", groups=["generate"], cases=["generate/int8"],
         peers=["llama.cpp_q8_0"], least=1.25, name="generate"),
    dict(title="Generation with GPT-2 124M, int4", groups=["generate"], cases=["generate/int4"],
         peers=["llama.cpp_q4_0"], least=1.1, name="generate"),
    dict(title="What weights of few bits cost, in nats per token", groups=["perplexity"],
         lost=2, name="perplexity"),
    dict(title="Reading a prompt of 512 tokens", groups=["prompt"],
         peers=["llama.cpp_f32", "llama.cpp_q8_0"], least=1.2, name="generate"),
    dict(title="Encoding with MiniLM-L6 and BERT-base", groups=["encode"],
         peers=["onnxruntime", "pytorch"], least=1.1, name="encode"),
    dict(title="Attention, forward and backward", groups=["attention"], peers=["pytorch"],
         least=1.0, name="attention"),
    dict(title="Kernels at the speed of memory", groups=["memory"], peers=["copy", "stream"], least=0.85,
         name="memory"),
    dict(title="Sampling with the Reverse Transformer", groups=["sample"], peers=["pytorch"],
         least=1.5, name="diffusion"),
    dict(title="ldlm-tiny from end to end", groups=["ldlm"], peers=["pytorch"], least=2.0,
         name="ldlm"),
    dict(title="Tokenizers", groups=["tokenize"], peers=["tokenizers"], least=2.0,
         name="tokenizers"),
    dict(title="Opening a file of 500 MB", groups=["open"], peers=["safetensors"], seconds=0.020,
         name="safetensors"),
    dict(title="Peak memory of training and generation", groups=["peak"],
         peers=["pytorch", "llama.cpp_f32", "llama.cpp_bf16", "llama.cpp_q8_0", "llama.cpp_q4_0"],
         least=1.0, name="peak"),
    dict(title="Every operation over odd shapes", groups=["shapes"], peers=["pytorch"],
         least=0.33, below=0.33, name="shapes"),
    dict(title="Compiling a unit", groups=["compile"], peers=["eigen", "xtensor", "pytorch"],
         limits={"compile/tensor": 0.5, "compile/ops": 0.8, "compile/umbrella": 2.0,
                 "compile/kernels": 9.0, "compile/program": 10.0},
         name="compile"),
]
# Rows whose second thread has to pay.
SCALING = dict(title="Two threads over one", groups=["sgemm", "train", "encode"], least=1.8)
SHOWN = [dict(title="The machine", groups=["machine"], name="machine"),
         dict(title="Batched products", groups=["batched"],
              peers=["onednn", "openblas", "eigen"], name="gemm"),
         dict(title="Generation with GPT-2 124M", groups=["generate"],
              peers=["llama.cpp_f32", "llama.cpp_f16", "llama.cpp_bf16", "llama.cpp_q8_0",
                     "llama.cpp_q4_0"], name="generate")]


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def read(folder):
    """All benchmarks by name, and the contexts they ran in."""
    benchmarks, contexts = {}, []
    for file in sorted(folder.glob("*.json")):
        content = json.loads(file.read_text())
        contexts.append(content["context"])
        for entry in content["benchmarks"]:
            match = re.match(r"(.+)/threads:(\d+)", entry["name"].replace("/manual_time", ""))
            entry["case"], entry["threads"] = match[1], int(match[2])
            benchmarks[f"{match[1]}/threads:{match[2]}"] = entry
    return benchmarks, contexts


def in_group(benchmarks, row):
    return [b for b in benchmarks.values() if b["case"].split("/")[0] in row["groups"]
            and ("cases" not in row or b["case"] in row["cases"])]


def ratio_to_best(entry, peers):
    """(ratio, low, high, peer) to the fastest of the peers, or None where none is there."""
    there = [(entry[f"vs_{p}"], entry[f"vs_{p}_low"], entry[f"vs_{p}_high"], p)
             for p in peers if f"vs_{p}" in entry]
    return min(there) if there else None


def verdict(row, entries):
    """(passes, what was found in words, the mean ratio or None)"""
    failed = [e for e in entries if "error_message" in e]
    if failed:
        return False, f"{failed[0]['case']}: {failed[0]['error_message']}", None
    if not entries:
        return False, "not measured", None
    if "limits" in row:
        seconds = {e["case"]: 1 / e["ours"] for e in entries}
        words = ", ".join(f"{c.split('/')[1]} {s:.2f} s" for c, s in seconds.items())
        return all(seconds[c] <= most for c, most in row["limits"].items()), words, None
    if "seconds" in row:
        seconds = max(1 / e["ours"] for e in entries)
        return seconds <= row["seconds"], f"{1e3 * seconds:.1f} ms", None
    if "most" in row:
        worst = max(e["difference"] for e in entries)
        return worst <= row["most"], f"{100 * worst:.2f}%", None
    if "lost" in row:
        words = ", ".join(f"{e['case'].split('/')[1]} {e['ours']:.4f} (theirs "
                          f"{e['llama.cpp']:.4f}, standard error {e['error']:.4f})" for e in entries)
        good = all(e["ours"] <= max(0, e["llama.cpp"]) + row["lost"] * e["error"] for e in entries)
        return good, words, None
    ratios = [ratio_to_best(e, row["peers"]) for e in entries]
    if None in ratios:
        return False, "no peer: " + ", ".join(row["peers"]), None
    values = [r[0] for r in ratios]
    mean, least = geometric_mean(values), min(values)
    good = mean >= row.get("mean", 0) and least >= row.get("least", 0)
    return good, f"mean {mean:.2f}, least {least:.2f}", mean


def wanted(row):
    if "limits" in row:
        return "at most " + ", ".join(f"{s} s" for s in row["limits"].values())
    if "seconds" in row:
        return f"at most {1e3 * row['seconds']:.0f} ms"
    if "most" in row:
        return f"at most {100 * row['most']:.0f}%"
    if "lost" in row:
        return f"no more than theirs, or than 0, within {row['lost']} standard errors"
    return ", ".join(f"{k} {row[k]}" for k in ("mean", "least") if k in row)


def number(value):
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def table(row, entries):
    peers = [p for p in row.get("peers", []) + row.get("shown", [])
             if any(p in e for e in entries)]
    unit = entries[0].get("label", "")
    lines = [f"| case | threads | ours, {unit} | " +
             "".join(f"{p} | ours / {p} | " for p in peers)]
    lines.append("|---|---|---|" + "---|---|" * len(peers))
    for e in entries:
        if "error_message" in e:
            lines.append(f"| {e['case']} | {e['threads']} | {e['error_message']} |")
            continue
        cells = ""
        for p in peers:
            cells += (f" {number(e[p])} | {e[f'vs_{p}']:.2f} ({e[f'vs_{p}_low']:.2f} to "
                      f"{e[f'vs_{p}_high']:.2f}) |" if p in e else " - | - |")
        lines.append(f"| {e['case']} | {e['threads']} | {number(e['ours'])} |{cells}")
    return "\n".join(lines)


def scaling(benchmarks):
    """(case, rate of two threads / rate of one)"""
    pairs = []
    for e in in_group(benchmarks, SCALING):
        one = benchmarks.get(f"{e['case']}/threads:1")
        if e["threads"] == 2 and one and "ours" in e and "ours" in one:
            pairs.append((e["case"], e["ours"] / one["ours"]))
    return pairs


def machine():
    """What ran this, in words."""
    lines = {}
    for line in subprocess.run(["lscpu"], capture_output=True, text=True).stdout.splitlines():
        key, _, value = line.partition(":")
        lines[key.strip()] = value.strip()
    compiler = subprocess.run(["g++", "--version"], capture_output=True, text=True).stdout
    isa = [f for f in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile")
           if f in lines.get("Flags", "").split()]
    return [f"processor: {lines.get('Model name', platform.processor())}, "
            f"{lines.get('CPU(s)', '?')} threads, {' '.join(isa)}",
            "caches: " + ", ".join(f"{k[:-6]} {lines[k]}" for k in
                                   ("L1d cache", "L2 cache", "L3 cache") if k in lines),
            f"compiler: {compiler.splitlines()[0] if compiler else 'unknown'}"]


def main():
    folder, out = map(pathlib.Path, sys.argv[1:])
    benchmarks, contexts = read(folder)
    facts = machine()
    for context in contexts:
        facts += [f"{k}: {v}" for k, v in context.items() if k == "openblas kernels"]
    text = ["# Results", "",
            "Written by `bash tools/bench.sh` on "
            f"{datetime.date.today().isoformat()}; a row is remade by the command it names. Ratios "
            "are in speed, ours over the fastest peer's of the same run: above 1, ours is faster. "
            "Each is the median of several rounds in which all take turns, with the quartiles "
            "beside it in the tables below.", "", *[f"- {fact}" for fact in facts], "",
            "| work | wanted | found | | command |", "|---|---|---|---|---|"]
    machine_readable = {"date": datetime.date.today().isoformat(), "facts": facts, "rows": []}
    for row in ROWS:
        entries = in_group(benchmarks, row)
        good, found, mean = verdict(row, entries)
        state = "pass" if good else "short"
        command = f"`bash tools/bench.sh {row['name']}`" if "name" in row else ""
        text.append(f"| {row['title']} | {wanted(row)} | {found} | {state} | {command} |")
        machine_readable["rows"].append({"title": row["title"], "wanted": wanted(row),
                                         "found": found, "state": state, "mean": mean})
    pairs = scaling(benchmarks)
    if pairs:
        least = min(r for _, r in pairs)
        found = f"mean {geometric_mean([r for _, r in pairs]):.2f}, least {least:.2f}"
        state = "pass" if least >= SCALING["least"] else "short"
        text.append(f"| {SCALING['title']} | least {SCALING['least']} | {found} | {state} | |")
        machine_readable["rows"].append({"title": SCALING["title"], "found": found,
                                         "state": state})
    for row in SHOWN + ROWS:
        entries = in_group(benchmarks, row)
        if entries and "cases" not in row and "most" not in row and "lost" not in row:
            text += ["", f"## {row['title']}", ""]
            if "below" in row:  # of very many: those that are short
                short = [e for e in entries if "error_message" in e
                         or min(e.get(f"vs_{p}", 0) for p in row["peers"]) < row["below"]]
                text += [f"{len(short)} of {len(entries)} cases are below {row['below']}.", ""]
                entries = short
            if entries:
                text.append(table(row, entries))
    if pairs:
        text += ["", f"## {SCALING['title']}", "", "| case | ratio |", "|---|---|"]
        text += [f"| {case} | {ratio:.2f} |" for case, ratio in pairs]
    (out / "RESULTS.md").write_text("\n".join(text) + "\n")
    machine_readable["benchmarks"] = list(benchmarks.values())
    (out / "results.json").write_text(json.dumps(machine_readable, indent=1) + "\n")
    print("\n".join(text[text.index("| work | wanted | found | | command |"):][:len(ROWS) + 3]))


if __name__ == "__main__":
    main()
