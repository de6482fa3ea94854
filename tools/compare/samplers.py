"""The registry of samplers: for each op a function that draws its arguments.

The samplers themselves are in samplers_tensors.py and samplers_networks.py.
"""

from compare.program import FLOATS

COMPUTING = ("f32", "f32", "f32", "f64", "f64", "i64", "i32", "i8", "u8")
WITH_BOOL = COMPUTING + ("bool",)
ALL_TYPES = WITH_BOOL + ("f16", "bf16", "i16", "u16")

SAMPLERS = {}


def sampler(*names, types=FLOATS, graph=False):
    """Registers `make(builder, name, graph)`, which adds the steps of one op and returns the names
    of its results; `graph`: the op also exists for Variables."""

    def add(make):
        for name in names:
            SAMPLERS[name] = (make, types, graph)
        return make

    return add
