"""A case while it is made: inputs, steps and what is looked at in the end."""

import random
from dataclasses import dataclass, field

import numpy
import torch

from compare.torch_ops import DTYPES, OPS

FLOATS = ("f32", "f64")
# None, one, few; around the widths of vectors of 4 to 16 elements; a little more.
EXTENTS = [0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9, 11, 15, 16, 17, 19, 31, 32, 33, 47, 63, 64, 65, 100, 129]
SPECIAL = [float("nan"), float("inf"), float("-inf"), 0.0, -0.0, 1.0, -1.0, 0.5, -0.5]
EXTREME = {
    "f32": [1e-45, -1e-45, 1.1754942e-38, 1.17549435e-38, -1e-39, 3.4028235e38, -3.4028235e38, 1e30,
            -1e30, 1e-30, 1e15, 88.7, 89.0, -87.3, -103.9, 16777217.0, 2.5, 3.5, -1.5],
    "f64": [5e-324, -5e-324, 2.2250738585072e-308, 1e-310, -1e-310, 1.7976931348623157e308,
            -1.7976931348623157e308, 1e200, -1e200, 1e-200, 1e30, 709.7, 710.0, -708.3, -745.0, 2.5, 3.5,
            -1.5],
}  # fmt: skip


@dataclass
class Program:
    """Steps are [results, op, arguments, options], as tests/cases/case.hpp describes them."""

    id: str
    seed: int
    op: str = ""
    dtype: str = "f32"
    inputs: dict = field(default_factory=dict)
    steps: list = field(default_factory=list)
    wants: list = field(default_factory=list)
    leaves: list = field(default_factory=list)
    throws: bool = False  # an error is what is wanted
    native: bool = False  # the right value is PyTorch's in the same type, not one in double


class Builder:
    """Draws what a case is made of from one seed; `largest` bounds the elements of a tensor."""

    def __init__(self, program, largest=300):
        self.program = program
        self.rng = random.Random(program.seed)
        self.numpy = numpy.random.default_rng(program.seed)
        self.largest = largest
        self.count = 0
        self.live = {"": None}  # what each name holds, computed by PyTorch as steps are added
        self.variables = set()  # names of Variables

    # ---- Choices. ----

    def chance(self, probability):
        return self.rng.random() < probability

    def pick(self, *choices):
        return self.rng.choice(choices)

    def extent(self, low=0, high=10**9):
        return self.rng.choice([e for e in EXTENTS if low <= e <= high])

    def shape(self, low=0, high=6, least=0):
        """A shape of `low` to `high` axes of at least `least`, within the bound of elements."""
        if self.largest >= 300 and low <= 2 <= high and self.chance(0.03):  # long axes
            return self.rng.sample([self.pick(1, 2, 3, 17), self.pick(500, 1031, 2500)], 2)
        rank = self.rng.choice([r for r in (0, 1, 1, 2, 2, 2, 3, 3, 4, 5, 6) if low <= r <= high])
        shape, room = [1] * rank, self.largest
        for axis in self.rng.sample(range(rank), rank):
            extent = self.extent(least, room) if not (least == 0 and self.chance(0.97)) else (
                self.extent(1, room))
            shape[axis] = extent
            room //= max(extent, 1)
        return shape

    def broadcastable(self, shape):
        """A shape that broadcasts with `shape`: axes of 1 and missing leading ones."""
        if self.chance(0.4):
            return list(shape)
        out = [1 if self.chance(0.4) else extent for extent in shape]
        return out[self.rng.randrange(len(out) + 1) if self.chance(0.4) else 0 :]

    def scalar(self, special=0.1):
        """A number that is exact in the case's type."""
        value = float(self.numpy.normal()) * self.pick(1, 1, 3, 100)
        if self.chance(0.3):
            value = float(self.rng.randint(-4, 4))
        if self.chance(special):
            value = self.rng.choice(SPECIAL + EXTREME[self.program.dtype])
        return self.exact(value)

    def exact(self, value):
        return float(numpy.float32(value)) if self.program.dtype == "f32" else float(value)

    def option(self, value):
        """A float for an option: JSON has no word for infinity and NaN."""
        return value if numpy.isfinite(value) else repr(float(value))

    # ---- Values. ----

    def floats(self, shape, kind=None, dtype=None):
        """Numbers of one kind: normal, whole (with ties), special, wide (all exponents), positive."""
        dtype = dtype or self.program.dtype
        kind = kind or self.pick("normal", "normal", "normal", "whole", "special", "wide")
        count = int(numpy.prod(shape, dtype=numpy.int64))
        values = self.numpy.normal(size=count) * self.pick(0.5, 1, 3)
        if kind == "whole":
            values = self.numpy.integers(-3, 4, size=count).astype(float)
        elif kind == "special":
            pool = SPECIAL + EXTREME["f32" if dtype in ("f16", "bf16") else dtype]
            share = self.pick(0.02, 0.1, 0.5)
            for i in range(count):
                if self.chance(share):
                    values[i] = self.rng.choice(pool)
        elif kind == "wide":
            most = 36 if dtype == "f32" else 300 if dtype == "f64" else 4
            values = values * 10.0 ** self.numpy.uniform(-most, most, size=count)
        elif kind == "positive":
            values = numpy.abs(values) + 0.05
        with numpy.errstate(over="ignore", invalid="ignore"):
            return torch.tensor(values, dtype=torch.float64).reshape(shape).to(DTYPES[dtype])

    def integers(self, shape, low, high, dtype="i64"):
        """Uniform in [low, high)."""
        values = self.numpy.integers(low, high, size=shape)
        return torch.tensor(values, dtype=torch.int64).to(DTYPES[dtype]).reshape(shape)

    def values(self, shape, kind=None):
        """Of the case's type."""
        dtype = self.program.dtype
        if dtype in ("f64", "f32", "f16", "bf16"):
            return self.floats(shape, kind)
        if dtype == "bool":
            return self.integers(shape, 0, 2, dtype)
        limits = torch.iinfo(DTYPES[dtype])
        if kind is None and self.chance(0.2):
            return self.integers(shape, max(limits.min, -(2**62)), min(limits.max, 2**62), dtype)
        return self.integers(shape, max(limits.min, -5), 6, dtype)

    # ---- Steps. ----

    def name(self, prefix="v"):
        self.count += 1
        return f"{prefix}{self.count}"

    def input(self, tensor, prefix="x"):
        name = self.name(prefix)
        self.program.inputs[name] = tensor.contiguous().clone()
        self.live[name] = self.program.inputs[name].clone()
        return name

    def step(self, op, arguments, options=None, results=1):
        """Adds a step; the names of its results, or the one name. One that throws is not run."""
        options = options or {}
        names = [self.name() for _ in range(results)]
        self.program.steps.append([names, op, list(arguments), options])
        if self.program.throws:
            return []
        for name, value in zip(names, OPS[op].run([self.live[a] for a in arguments], options)):
            self.live[name] = value
            if op in ("leaf", "constant", "detach") or (
                    op not in ("value", "grad") and value.is_floating_point()
                    and any(a in self.variables for a in arguments)):
                self.variables.add(name)
        return names[0] if results == 1 else names

    def promote(self, names):
        """Makes Variables of those that are Tensors, and a leaf of the first if none is one."""
        for i, name in enumerate(names):
            if name and name not in self.variables:
                kind = "constant" if self.program.leaves else "leaf"
                names[i] = self.step(kind, [name])
                if kind == "leaf":
                    self.program.leaves.append(names[i])
        return names

    def alike(self, names):
        """The same, unless all are Tensors."""
        return self.promote(names) if any(n in self.variables for n in names) else names

    def with_variable(self, names):
        """The same for the first only, unless one is a Variable already."""
        if not any(n in self.variables for n in names):
            names[:1] = self.promote(names[:1])
        return names

    def add_backward(self, results):
        """Backward passes from results, each with a seed in some layout."""
        roots = [n for n in results if n in self.variables and self.live[n].requires_grad]
        self.rng.shuffle(roots)
        for i, name in enumerate(roots):
            options = {"retain": True} if i + 1 < len(roots) else {}
            shape = list(self.live[name].shape)
            seed = self.values(shape, self.pick("normal", "normal", "whole"))
            seed = seed.to(self.live[name].dtype)
            if self.live[name].numel() == 1 and self.chance(0.3):
                self.step("backward", [name], options, 0)
            else:
                self.step("backward", [name, self.placed(self.repeated(seed))], options, 0)

    def want(self, *names):
        self.program.wants += names

    def placed(self, tensor, plain=0.35, variable=False, expanded=True):
        """A register that holds `tensor`'s values by way of views: permuted, sliced with steps,
        broadcast, selected. With `variable`, the leaf is the base, and gradients pass the views."""
        base, undo = tensor, []
        if not self.chance(plain):
            for _ in range(self.pick(1, 1, 2, 3)):
                kind = self.pick("permute", "slice", "slice", "transpose", "select", "expand")
                rank = base.dim()
                if kind == "permute" and rank >= 2:
                    order = self.rng.sample(range(rank), rank)
                    undo.append(("permute", {"order": order}))
                    inverse = [order.index(i) for i in range(rank)]
                    base = base.permute(inverse)
                elif kind == "transpose" and rank >= 2:
                    a, b = self.rng.sample(range(rank), 2)
                    undo.append(("transpose", {"a": a, "b": b - rank}))
                    base = base.transpose(a, b)
                elif kind == "slice" and rank >= 1:
                    axis, step = self.rng.randrange(rank), self.pick(1, 2, 3)
                    before, after = self.pick(0, 1, 2, 5), self.pick(0, 0, 1, 4)
                    extent = base.shape[axis]
                    shape = list(base.shape)
                    shape[axis] = before + max(extent - 1, 0) * step + (extent > 0) + after
                    grown = self.values(shape, "whole") if base.dtype == DTYPES[self.program.dtype] \
                        else torch.zeros(shape, dtype=base.dtype)
                    stop = before + max(extent - 1, 0) * step + (extent > 0)
                    index = [slice(None)] * rank
                    index[axis] = slice(before, stop, step)
                    grown[tuple(index)] = base
                    undo.append(("slice", {"axis": axis, "start": before, "stop": stop,
                                           "step": step}))  # fmt: skip
                    base = grown
                elif kind == "select" and rank < 6:
                    axis = self.rng.randrange(rank + 1)
                    undo.append(("select", {"axis": axis, "index": 1}))
                    base = torch.stack([torch.zeros_like(base), base], axis)
                elif kind == "expand" and expanded and rank >= 1:
                    axis = self.rng.randrange(rank)
                    if base.shape[axis] >= 1 and (
                            base.narrow(axis, 0, 1).expand(base.shape).equal(base)):
                        undo.append(("expand", {"shape": list(base.shape)}))
                        base = base.narrow(axis, 0, 1)
        name = self.input(base)
        if variable:
            name = self.step("leaf", [name])
            self.program.leaves.append(name)
        for op, options in reversed(undo):
            name = self.step(op, [name], options)
        return name

    def repeated(self, tensor):
        """`tensor` with one axis made the same along it, so that placed() may broadcast it."""
        if tensor.dim() == 0 or tensor.numel() == 0 or not self.chance(0.2):
            return tensor
        axis = self.rng.randrange(tensor.dim())
        return tensor.narrow(axis, 0, 1).expand(tensor.shape).clone()

    def operand(self, tensor, graph=False, **options):
        """A tensor in some layout; in a graph, mostly a leaf (before or after its views)."""
        tensor = self.repeated(tensor)
        if not graph or not tensor.is_floating_point():
            return self.placed(tensor, **options)
        choice = self.rng.random()
        if choice < 0.45:
            return self.placed(tensor, variable=True, **options)
        name = self.placed(tensor, **options)
        if choice < 0.85 or not self.program.leaves:
            name = self.step("leaf", [name])
            self.program.leaves.append(name)
        elif choice < 0.93:
            name = self.step("constant", [name])
        return name
