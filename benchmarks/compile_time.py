#!/usr/bin/env python3
"""How long a unit takes to compile that includes one header, at -O2, beside Eigen, xtensor and
PyTorch's headers where they are installed. Prints the JSON that benchmarks/report.py reads.

usage: compile_time.py ROOT [ROUNDS]
"""
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(sys.argv[1])
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 5
FLAGS = ["-std=c++20", "-O2", f"-I{ROOT}/include", f"-I{ROOT}/backends", "-I/usr/include/eigen3"]

UNITS = {
    "tensor": ["ldlm/core/tensor.hpp"],
    "ops": ["ldlm/core/ops.hpp"],
    "umbrella": ["ldlm/ldlm.hpp"],  # the kernels too
    "umbrella_linked": ["ldlm/ldlm.hpp"],  # as in a program that links ldlm::ldlm
    "eigen": ["Eigen/Dense"],
    "xtensor": ["xtensor/xtensor.hpp", "xtensor/xmath.hpp"],
    "pytorch": ["torch/torch.h"],
}


def torch_flags():
    """The include folders of the PyTorch that this Python has."""
    import torch.utils.cpp_extension as extension

    return [f"-I{path}" for path in extension.include_paths()]


def compile_once(folder, name):
    """Processor seconds, which other programs don't change much."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(["g++", *FLAGS, "-c", f"{name}.cpp", "-o", f"{name}.o"],
                          cwd=folder, stderr=subprocess.PIPE, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[0])
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    try:
        FLAGS.extend(torch_flags())
    except ImportError:
        pass
    with tempfile.TemporaryDirectory() as folder:
        seconds = {}
        for name, headers in UNITS.items():
            text = "#define LDLM_LINKED\n" if name == "umbrella_linked" else ""
            text += "".join(f"#include <{header}>\n" for header in headers)
            pathlib.Path(folder, f"{name}.cpp").write_text(text + "int main() {}\n")
            try:
                compile_once(folder, name)
                seconds[name] = []
            except RuntimeError as error:
                print(f"{name} is left out: {error}", file=sys.stderr)
        for _ in range(ROUNDS):
            for name, times in seconds.items():
                times.append(compile_once(folder, name))
    benchmarks = []
    for ours in ("tensor", "ops", "umbrella", "umbrella_linked"):
        entry = {"name": f"compile/{ours}/threads:1", "label": "units/s",
                 "ours": 1 / statistics.median(seconds[ours])}
        for peer in ("eigen", "xtensor", "pytorch"):
            if peer in seconds:
                entry[peer] = 1 / statistics.median(seconds[peer])
                ratios = sorted(b / a for a, b in zip(seconds[ours], seconds[peer]))
                entry[f"vs_{peer}"] = statistics.median(ratios)
                entry[f"vs_{peer}_low"] = ratios[len(ratios) // 4]
                entry[f"vs_{peer}_high"] = ratios[-1 - len(ratios) // 4]
        benchmarks.append(entry)
    json.dump({"context": {}, "benchmarks": benchmarks}, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
