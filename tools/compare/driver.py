"""Writes files of cases (tests/cases/case.hpp) and runs the driver over them."""

import json
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass
class Result:
    failed: dict = field(default_factory=dict)  # id -> why
    zeros: dict = field(default_factory=dict)


def default_path():
    return ROOT / "build-release/tests/torch_cases"


def write(path, cases):
    """`cases`: pairs of a program and what expected() says of it."""
    tensors, specs = {}, []
    for program, results in cases:
        key = program.id + "."
        for name, value in program.inputs.items():
            tensors[key + name] = value.contiguous()
        spec = {"id": program.id, "inputs": list(program.inputs), "steps": program.steps}
        if results is None:
            spec["throws"] = True
        for name, (want, slack, peer) in (results or {}).items():
            tensors[f"{key}{name}:want"] = want
            if slack is not None:
                tensors[f"{key}{name}:slack"] = slack
            if peer is not None:
                tensors[f"{key}{name}:peer"] = peer
        specs.append(spec | {"wants": program.wants if results else []})
    tensors = {name: value.clone() for name, value in tensors.items()}  # no two share memory
    save_file(tensors, path, {"cases": json.dumps(specs, separators=(",", ":"), allow_nan=False)})


def run(driver, cases):
    """Runs cases; one that ends the driver fails, and those behind it run again."""
    result = Result()
    left = list(cases)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cases.safetensors"
        while left:
            write(path, left)
            done = subprocess.run([driver, "--progress", path], capture_output=True, text=True)
            running = None
            for line in done.stdout.splitlines():
                kind, _, rest = line.partition(" ")
                name, _, why = rest.partition(": ")
                if kind == "RUN":
                    running = rest
                elif kind == "FAIL":
                    result.failed[name] = why
                elif kind == "ZERO":
                    result.zeros[name] = why
            if done.returncode in (0, 1):
                break
            if running is None or done.returncode == 2:
                raise SystemExit(f"compare_torch: the driver ended with {done.returncode}: {done.stderr}")
            result.failed[running] = f"the driver ended with {done.returncode}"
            left = left[[p.id for p, _ in left].index(running) + 1 :]
    return result
