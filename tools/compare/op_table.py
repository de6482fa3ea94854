"""Op: what an op of the cases' table is in PyTorch, and how far a right result may be from it.

OPS maps an op's name to an Op. `run(args, options)` takes tensors (None for one that is absent) and
returns the list of results; ops ending in _ change their first argument.
"""

from dataclasses import dataclass
from typing import Callable, Optional

import torch

DTYPES = {
    "f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16,
    "i64": torch.int64, "i32": torch.int32, "i16": torch.int16, "i8": torch.int8,
    "u64": torch.uint64, "u32": torch.uint32, "u16": torch.uint16, "u8": torch.uint8,
    "bool": torch.bool,
}  # fmt: skip


@dataclass
class Op:
    run: Callable
    ulps: Optional[float] = None  # of a forward result; None: by rounding noise (expected.py)
    exact: bool = False  # results are elements of the arguments, or follow from comparing them
    view: bool = False  # shares its argument's elements
    depth: Callable = lambda args, options: 1  # how many terms a result sums up
    # The same by formulas that lose no digits, with the noise of rounding inside (Noise.size).
    careful: Optional[Callable] = None


OPS = {}


def op(name, **fields):
    def add(function):
        OPS[name] = Op(function, **fields)
        return function

    return add


def one(name, function, **fields):
    OPS[name] = Op(lambda args, o: [function(args[0])], **fields)


def two(name, function, **fields):
    """Of two tensors, or of one and the number `c`, or of the number `left` and one."""

    def run(args, o):
        if "c" in o:
            return [function(args[0], number(o["c"], args[0]))]
        if "left" in o:
            return [function(number(o["left"], args[0]), args[0])]
        return [function(args[0], args[1])]

    OPS[name] = Op(run, **fields)


def number(value, like):
    """The number of an option as an element: of float tensors it is rounded before."""
    return torch.tensor(float(value) if like.is_floating_point() else value, dtype=like.dtype)


class Noise:
    """Relative noise of roundings, for the values that a function keeps or sums up."""

    size = 0.0
    common = False  # all roundings in one direction, as of sums of equal terms
    generator = torch.Generator()

    @classmethod
    def of(cls, x, amplitude=1.0):
        if cls.size == 0.0:
            return x
        if cls.common:
            return x * (1 + cls.size * amplitude)
        # Between half a rounding and one, up or down: two of them never cancel in every trial.
        noise = torch.rand(x.shape, generator=cls.generator, dtype=torch.float64) - 0.5
        noise = torch.where(noise < 0, noise - 0.5, noise + 0.5)
        return x * (1 + cls.size * amplitude * noise)


class _NoisyGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, amplitude, backward_amplitude):
        ctx.amplitude = backward_amplitude
        return Noise.of(x, amplitude)

    @staticmethod
    def backward(ctx, dy):
        return Noise.of(dy, ctx.amplitude), None, None


def noisy(x, amplitude=1.0, backward_amplitude=1.0):
    """Noise on the way forth and back."""
    if x is None or not x.is_floating_point():
        return x
    return _NoisyGradient.apply(x, amplitude, backward_amplitude)
