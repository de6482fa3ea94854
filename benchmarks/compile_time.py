#!/usr/bin/env python3
"""How long units take to compile at -O2, beside those that include Eigen, xtensor or PyTorch where
they are installed. Prints the JSON that benchmarks/report.py reads, and seconds and peak memory on
standard error.

usage: compile_time.py ROOT [ROUNDS]
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(sys.argv[1])
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 5
FLAGS = ["-std=c++20", "-O2", f"-I{ROOT}/include", f"-I{ROOT}/backends", "-I/usr/include/eigen3"]

NATIVE = ["-march=native"]
# Name -> what its one file holds, and its flags.
UNITS = {
    "tensor": (["ldlm/core/tensor.hpp"], []),
    "ops": (["ldlm/core/ops.hpp"], []),
    "umbrella": (["ldlm/ldlm.hpp"], ["-DLDLM_LINKED"]),  # as in a program that links ldlm::ldlm
    "kernels": (["ldlm_simd/simd.hpp"], NATIVE),  # float and double, for one instruction set
    "program": ("README.md", NATIVE),  # the first program, with all of the library in its one file
    "eigen": (["Eigen/Dense"], []),
    "xtensor": (["xtensor/xtensor.hpp", "xtensor/xmath.hpp"], []),
    "pytorch": (["torch/torch.h"], []),
}
OURS = ("tensor", "ops", "umbrella", "kernels", "program")


def text_of(unit):
    """The text of a unit: includes, or the first C++ block of a page."""
    if isinstance(unit, str):
        return (ROOT / unit).read_text().split("```cpp\n", 1)[1].split("```", 1)[0]
    return "".join(f"#include <{header}>\n" for header in unit) + "int main() {}\n"


def torch_flags():
    """The include folders of the PyTorch that this Python has."""
    import torch.utils.cpp_extension as extension

    return [f"-I{path}" for path in extension.include_paths()]


def compile_once(folder, name):
    """Processor seconds, which other programs don't change much, and the compiler's peak in MB."""
    process = subprocess.Popen(["g++", *FLAGS, *UNITS[name][1], "-c", f"{name}.cpp",
                                "-o", f"{name}.o"], cwd=folder, stderr=subprocess.PIPE, text=True)
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(error.strip().splitlines()[0])
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    try:
        FLAGS.extend(torch_flags())
    except ImportError:
        pass
    with tempfile.TemporaryDirectory() as folder:
        seconds, peak = {}, {}
        for name, (unit, _) in UNITS.items():
            pathlib.Path(folder, f"{name}.cpp").write_text(text_of(unit))
            try:
                _, peak[name] = compile_once(folder, name)
                seconds[name] = []
            except RuntimeError as error:
                print(f"{name} is left out: {error}", file=sys.stderr)
        for _ in range(ROUNDS):
            for name, times in seconds.items():
                times.append(compile_once(folder, name)[0])
    benchmarks = []
    for ours in OURS:
        print(f"{ours}: {statistics.median(seconds[ours]):.2f} s, {peak[ours]:.0f} MB",
              file=sys.stderr)
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
