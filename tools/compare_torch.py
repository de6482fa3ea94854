#!/usr/bin/env python3
"""Random cases beside PyTorch: ops in all layouts and types, special values, small graphs.

    python tools/compare_torch.py [--cases N] [--seed S] [--op NAME] [--driver PATH]

Each case is computed by PyTorch and by tests/cases' driver (the CMake target torch_cases), and the
results are compared (compare/expected.py says how closely). A failure is shrunk to the fewest
elements that still fail and printed with its seed; `--op NAME --seed S --cases 1` makes it again,
and so does the file that stays behind. Exits with 1 if any case fails. LDLM_ISA picks the
kernels if the driver has several. `--save FILE` keeps the cases that passed as a file for the driver:
tests/golden/torch_cases.safetensors is `--cases 300 --largest 24 --save` of it.

Needs torch, numpy and safetensors, and a build of torch_cases.
"""

import argparse
import collections
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from compare import driver, shrink  # noqa: E402
from compare.expected import expected, quiet  # noqa: E402
from compare.generate import make_op_case  # noqa: E402
from compare.graphs import make_graph_case  # noqa: E402
from compare.samplers import SAMPLERS  # noqa: E402

BATCH = 500


def make(name, seed, largest):
    """A program, or None where PyTorch itself cannot compute it."""
    try:
        return make_graph_case(seed, largest // 3) if name == "graph" else make_op_case(name, seed, largest)
    except RuntimeError as error:
        if "could not construct a memory descriptor" in str(error):  # oneDNN, on odd strides
            return None
        raise


def names_for(args):
    """The op of each case: all in turn, every fourth a graph."""
    names = sorted(SAMPLERS) + ["graph"] * (len(SAMPLERS) // 3)
    if args.op:
        unknown = set(args.op) - set(names)
        if unknown:
            sys.exit(f"compare_torch: no cases for {', '.join(sorted(unknown))}; there are "
                     f"{', '.join(sorted(set(names)))}")  # fmt: skip
        names = args.op
    return [names[i % len(names)] for i in range(args.cases)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--op", action="append", help="only this op, or 'graph'; may be repeated")
    parser.add_argument("--driver", type=Path, default=driver.default_path())
    parser.add_argument("--save", type=Path, help="write the cases to a file of the driver's")
    parser.add_argument("--largest", type=int, default=300, help="elements of a tensor, about")
    parser.add_argument("--show", type=int, default=10, help="failures that are shrunk and printed")
    args = parser.parse_args()

    torch.set_num_threads(1)
    names = names_for(args)
    failures, zeros = [], collections.Counter()
    start = time.time()
    saved = []
    with quiet():
        for first in range(0, len(names), BATCH):
            batch = {}
            for i in range(first, min(first + BATCH, len(names))):
                program = make(names[i], args.seed + i, args.largest)
                if program is not None:
                    batch[program.id] = (program, expected(program))
            result = driver.run(args.driver, batch.values())
            saved += [case for name, case in batch.items() if name not in result.failed]
            failures += [(batch[name][0], why) for name, why in result.failed.items()]
            zeros.update(batch[name][0].op for name in result.zeros)
            print(f"{min(first + BATCH, len(names))} cases, {len(failures)} failed, "
                  f"{time.time() - start:.0f} s", file=sys.stderr)  # fmt: skip
        if args.save:
            driver.write(args.save, saved)
            print(f"{args.save}: {len(saved)} cases, {args.save.stat().st_size} bytes")
        by_op = collections.Counter(program.op for program, _ in failures)
        shown = collections.Counter()
        for program, why in failures:
            if sum(shown.values()) < args.show and shown[program.op] < max(1, args.show // max(len(by_op), 1)):
                shown[program.op] += 1
                print(shrink.report(args.driver, program, why))
    if zeros:
        print("zeros of another sign:", ", ".join(f"{op} {n}" for op, n in zeros.most_common()))
    if by_op:
        print("failed:", ", ".join(f"{op} {n}" for op, n in by_op.most_common()))
    print(f"{len(names)} cases from seed {args.seed}, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
