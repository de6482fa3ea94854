"""Arguments for elementwise ops, reductions, indexing and moving."""

import math

import torch

from compare.program import FLOATS
from compare.samplers import ALL_TYPES, COMPUTING, WITH_BOOL, sampler


# ---- Elementwise. ----

DOMAIN = {"log": "positive", "sqrt": "positive", "rsqrt": "positive", "pow": "positive"}


def values_for(b, name, shape):
    return b.values(shape, DOMAIN[name] if name in DOMAIN and b.chance(0.6) else None)


@sampler("exp", "log", "sqrt", "rsqrt", "reciprocal", "sin", "cos", "tanh", "sigmoid", "erf", "silu",
         "gelu", "gelu_tanh", graph=True)
@sampler("neg", "abs", "square", "relu", types=COMPUTING, graph=True)
def of_one(b, name, graph):
    x = b.operand(values_for(b, name, b.shape()), graph)
    return [b.step(name, [x])]


def scalar_option(b, special=0.1):
    if b.program.dtype in FLOATS:
        return b.option(b.scalar(special))
    return b.rng.randint(0, 5) if b.program.dtype == "u8" else b.rng.randint(-5, 5)


@sampler("clamp", types=COMPUTING, graph=True)
def clamp(b, name, graph):
    x = b.operand(b.values(b.shape()), graph)
    options = {"low": scalar_option(b), "high": scalar_option(b)}
    b.program.throws = "nan" in options.values()
    result = b.step(name, [x], options)
    return [] if b.program.throws else [result]


def unary_call(b):
    floating = b.program.dtype in FLOATS
    names = ["neg", "abs", "square", "relu", "add", "mul", "clamp"] + floating * [
        "exp", "log", "sqrt", "rsqrt", "reciprocal", "sin", "cos", "tanh", "sigmoid", "erf", "silu",
        "gelu", "gelu_tanh", "pow"]
    of = b.pick(*names)
    options = {"of": of, "a": scalar_option(b), "b": scalar_option(b)}
    if of == "clamp":  # unary() does not look at its bounds
        options = {k: 0 if v == "nan" else v for k, v in options.items()}
    return of, options


@sampler("unary", types=COMPUTING)
def unary(b, name, graph):
    of, options = unary_call(b)
    return [b.step(name, [b.operand(values_for(b, of, b.shape()))], options)]


@sampler("unary_", types=COMPUTING)
def unary_(b, name, graph):
    of, options = unary_call(b)
    x = b.placed(values_for(b, of, b.shape()), expanded=False)
    b.step(name, [x], options, 0)
    return [x]


def exponent(b):
    if b.program.dtype in FLOATS:
        return b.option(b.exact(b.rng.choice([0, 1, 2, 3, 0.5, -0.5, -1, -2, 1.5, b.scalar()])))
    return b.rng.randint(0, 4)


@sampler("add", "mul", "pow", types=COMPUTING, graph=True)
@sampler("sub", "div", types=COMPUTING, graph=True)
@sampler("minimum", "maximum", types=WITH_BOOL, graph=True)
@sampler("operator+", "operator*", "operator/", "operator-", graph=True)
def of_two(b, name, graph):
    b.program.native = b.program.dtype not in FLOATS
    shape = b.shape()
    a = b.operand(values_for(b, name, shape), graph)
    if name == "operator-" and b.chance(0.2):
        return [b.step(name, [a])]
    if name in ("add", "mul") and b.chance(0.3):
        return [b.step(name, [a], {"c": scalar_option(b)})]
    if name == "pow" and b.chance(0.4):
        return [b.step(name, [a], {"c": exponent(b)})]
    if name.startswith("operator") and b.chance(0.5):
        return [b.step(name, [a], {b.pick("c", "left"): scalar_option(b)})]
    other = b.values(b.broadcastable(shape))
    if b.program.dtype not in FLOATS:
        if name == "div":
            other[other == 0] = 1
        if name == "pow":
            other = b.integers(other.shape, 0, 5, b.program.dtype)
    if b.chance(0.1):  # the same twice
        return [b.step(name, [a, a])] if name != "pow" and (
            name != "div" or b.program.dtype in FLOATS) else [b.step(name, [a, b.operand(other, graph)])]
    pair = [a, b.operand(other, graph)]
    if b.chance(0.5) and (name not in ("pow", "div") or b.program.dtype in FLOATS):
        pair.reverse()
    return [b.step(name, pair)]


@sampler("eq", "ne", "lt", "le", "gt", "ge", types=WITH_BOOL)
def compared(b, name, graph):
    shape = b.shape()
    kind = b.pick("whole", "special") if b.program.dtype in FLOATS else None
    if b.program.dtype in FLOATS and b.chance(0.2):
        return [b.step(name, [b.operand(b.values(shape, kind))], {"c": scalar_option(b)})]
    pair = [b.operand(b.values(shape, kind)), b.operand(b.values(b.broadcastable(shape), kind))]
    b.rng.shuffle(pair)
    return [b.step(name, pair)]


@sampler("equal", types=COMPUTING)
def equal(b, name, graph):
    x = b.values(b.shape())
    y = x.clone() if b.chance(0.7) else b.values(x.shape)
    return [b.step(name, [b.operand(x), b.placed(y)])]


@sampler("add_", "sub_", "mul_", "div_", "axpy_", types=COMPUTING)
def in_place(b, name, graph):
    shape = b.shape()
    x = b.placed(b.values(shape), expanded=False)
    if name in ("add_", "mul_") and b.chance(0.3):
        b.step(name, [x], {"c": scalar_option(b)}, 0)
        return [x]
    other = b.values(b.broadcastable(shape))
    if name == "div_" and b.program.dtype not in FLOATS:
        other[other == 0] = 1
    y = b.operand(other)
    b.step(name, [x, y], {"c": scalar_option(b)} if name == "axpy_" else {}, 0)
    return [x, y]


@sampler("fill_", "copy_", types=COMPUTING)
def overwrite(b, name, graph):
    x = b.placed(b.values(b.shape()), expanded=False)
    base = next(iter(b.program.inputs))
    if name == "fill_":
        b.step(name, [x], {"c": scalar_option(b)}, 0)
    else:
        shape = list(b.live[x].shape)
        b.step(name, [x, b.operand(b.values(b.broadcastable(shape)))], {}, 0)
    return [x, base]


def same_elements(x, y):
    """Whether two views are one: the same place, and the same steps along axes that have any."""
    return x.data_ptr() == y.data_ptr() and x.shape == y.shape and all(
        a == b or e == 1 for a, b, e in zip(x.stride(), y.stride(), x.shape))


@sampler("overlap", types=("f32", "f64", "i64"))
def overlap(b, name, graph):
    """An op in place on two views of one tensor: an error unless they are apart, or the same."""
    b.program.native = b.program.dtype == "i64"
    base = b.input(b.values([b.rng.randint(3, 9), b.rng.randint(3, 9)], "normal"))
    views = []
    for _ in range(2):
        x = base
        for axis in (0, 1):
            start = b.rng.randint(0, 2)
            stop = start + 1 + b.rng.randint(0, b.live[x].shape[axis] - start - 1)
            x = b.step("slice", [x], {"axis": axis, "start": start, "stop": stop, "step": b.pick(1, 1, 2)})
        if b.chance(0.3):
            x = b.step("transpose", [x], {"a": 0, "b": 1})
        views.append(x)
    out, source = views if b.chance(0.9) else (views[0], views[0])
    if b.chance(0.1):
        row = b.step("select", [out], {"axis": 0, "index": 0})
        out = b.step("expand", [row], {"shape": [3] + list(b.live[row].shape)})
    # The source in the shape of the result, as far as its elements reach.
    for axis in (0, 1):
        extent = b.live[out].shape[axis]
        stop = extent if b.live[source].shape[axis] >= extent else 1
        source = b.step("slice", [source], {"axis": axis, "start": 0, "stop": stop})
    source = b.step("expand", [source], {"shape": list(b.live[out].shape)})
    x, y = b.live[out], b.live[source]
    places = [{t.storage_offset() + i * t.stride(0) + j * t.stride(1) for i in range(t.shape[0])
               for j in range(t.shape[1])} for t in (x, y)]  # fmt: skip
    b.program.throws = len(places[0]) < x.numel() or (
        bool(places[0] & places[1]) and not same_elements(x, y))
    op = b.pick("add_", "sub_", "mul_", "copy_", "axpy_")
    b.step(op, [out, source], {"c": b.pick(1, -2)} if op == "axpy_" else {}, 0)
    return [base]


@sampler("where", types=WITH_BOOL, graph=True)
def where(b, name, graph):
    shape = b.shape()
    shapes = [shape, b.broadcastable(shape), b.broadcastable(shape)]
    b.rng.shuffle(shapes)
    condition = b.placed(b.integers(shapes[0], 0, 2, "bool"))
    pair = [b.operand(b.values(s), graph) for s in shapes[1:]]
    return [b.step(name, [condition] + pair)]


@sampler("cast", types=ALL_TYPES, graph=True)
def cast(b, name, graph):
    b.program.native = True
    x = b.operand(b.values(b.shape(), "special" if b.chance(0.5) else None), graph)
    to = b.pick("f32", "f64") if graph else b.pick(*ALL_TYPES)
    return [b.step(name, [x], {"to": to})]


# ---- Reductions. ----


def axes_options(b, rank):
    options = {"keep": True} if b.chance(0.4) else {}
    if rank and b.chance(0.75):
        count = b.rng.randint(0 if b.chance(0.1) else 1, min(rank, 3))
        options["axes"] = [a - rank * b.chance(0.3) for a in b.rng.sample(range(rank), count)]
    return options


@sampler("sum", "max", "min", types=COMPUTING, graph=True)
@sampler("mean", "norm", "var", graph=True)
def reduction(b, name, graph):
    shape = b.shape(least=1 if name in ("max", "min") else 0)
    options = axes_options(b, len(shape))
    if name == "var":
        options["correction"] = b.pick(0, 1, 1, 2)
    return [b.step(name, [b.operand(b.values(shape), graph)], options)]


@sampler("sum_to", types=COMPUTING, graph=True)
def sum_to(b, name, graph):
    shape = b.shape()
    return [b.step(name, [b.operand(b.values(shape), graph)], {"shape": b.broadcastable(shape)})]


@sampler("argmax", "argmin", types=COMPUTING)
def positions(b, name, graph):
    shape = b.shape(1, least=1)
    return [b.step(name, [b.operand(b.values(shape))], {"axis": b.rng.randrange(-len(shape), len(shape))})]


@sampler("top_k", types=COMPUTING, graph=True)
def top_k(b, name, graph):
    shape = b.shape(1, least=1)
    k = b.rng.randint(0, shape[-1])
    return b.step(name, [b.operand(b.values(shape), graph)], {"k": k}, 2)


# ---- Indexing and moving. ----


@sampler("embedding", types=ALL_TYPES, graph=True)
def embedding(b, name, graph):
    table = b.shape(1, 3, least=1)
    ids = b.integers(b.shape(0, 3), 0, table[0])
    return [b.step(name, [b.operand(b.values(table), graph), b.placed(ids)])]


@sampler("index_select", types=ALL_TYPES, graph=True)
def index_select(b, name, graph):
    shape = b.shape(1, least=1)
    axis = b.rng.randrange(len(shape))
    ids = b.placed(b.integers([b.extent(0, 9)], 0, shape[axis]))
    return [b.step(name, [b.operand(b.values(shape), graph), ids], {"axis": axis - len(shape) * b.chance(0.3)})]


def index_along(b, shape, axis):
    index = list(shape)
    index[axis] = b.extent(0, 9)
    return b.integers(index, 0, shape[axis])


@sampler("gather", types=WITH_BOOL, graph=True)
def gather(b, name, graph):
    shape = b.shape(1, least=1)
    axis = b.rng.randrange(len(shape))
    index = b.placed(index_along(b, shape, axis))
    return [b.step(name, [b.operand(b.values(shape), graph), index], {"axis": axis - len(shape) * b.chance(0.3)})]


@sampler("scatter_add_", types=COMPUTING)
def scatter_add_(b, name, graph):
    shape = b.shape(1, least=1)
    axis = b.rng.randrange(len(shape))
    index = index_along(b, shape, axis)
    out = b.placed(b.values(shape), expanded=False)
    arguments = [out, b.placed(index), b.operand(b.values(index.shape))]
    b.step(name, arguments, {"axis": axis}, 0)
    return [out]


@sampler("index_add_", types=COMPUTING)
def index_add_(b, name, graph):
    shape = b.shape(1, least=1)
    ids = b.integers([b.extent(0, 9)], 0, shape[0])
    out = b.placed(b.values(shape), expanded=False)
    source = b.operand(b.values([len(ids)] + shape[1:]))
    b.step(name, [out, b.placed(ids), source], {}, 0)
    return [out]


@sampler("index_copy_", types=ALL_TYPES)
def index_copy_(b, name, graph):
    shape = b.shape(1, least=1)
    ids = torch.tensor(b.rng.sample(range(shape[0]), b.rng.randint(0, shape[0])), dtype=torch.int64)
    out = b.placed(b.values(shape), expanded=False)
    source = b.operand(b.values([len(ids)] + shape[1:]))
    b.step(name, [out, b.placed(ids), source], {}, 0)
    return [out]


@sampler("concat", types=ALL_TYPES, graph=True)
def concat(b, name, graph):
    shape = b.shape(1)
    axis = b.rng.randrange(len(shape))
    parts = []
    for _ in range(b.rng.randint(1, 4)):
        part = list(shape)
        part[axis] = b.extent(0, 9)
        parts.append(b.operand(b.values(part), graph))
    return [b.step(name, b.alike(parts), {"axis": axis - len(shape) * b.chance(0.3)})]


@sampler("stack", types=ALL_TYPES, graph=True)
def stack(b, name, graph):
    shape = b.shape(0, 5)
    parts = [b.operand(b.values(shape), graph) for _ in range(b.rng.randint(1, 4))]
    axis = b.rng.randint(0, len(shape))
    return [b.step(name, b.alike(parts), {"axis": axis - (len(shape) + 1) * b.chance(0.3)})]


@sampler("split", types=ALL_TYPES, graph=True)
def split(b, name, graph):
    shape = b.shape(1, least=1)
    axis = b.rng.randrange(len(shape))
    extent = b.rng.randint(1, shape[axis] + 1)
    parts = b.step(name, [b.operand(b.values(shape), graph)],
                   {"axis": axis - len(shape) * b.chance(0.3), "extent": extent},
                   -(-shape[axis] // extent))  # fmt: skip
    return [parts] if isinstance(parts, str) else parts


@sampler("pad", types=COMPUTING, graph=True)
def pad(b, name, graph):
    shape = b.shape(1)
    options = {"axis": b.rng.randrange(-len(shape), len(shape)), "before": b.rng.randint(0, 3),
               "after": b.rng.randint(0, 3), "value": scalar_option(b)}  # fmt: skip
    return [b.step(name, [b.operand(b.values(shape), graph)], options)]


@sampler("reshape", "contiguous", "clone", types=ALL_TYPES)
@sampler("reshape", "contiguous", types=FLOATS, graph=True)
def moved(b, name, graph):
    shape = b.shape()
    options = {}
    if name == "reshape":
        merged = [math.prod(shape[:2])] + shape[2:]
        options["shape"] = b.pick([math.prod(shape)], shape[::-1], merged, ([1] + shape)[-6:] if len(shape) < 6 else shape)
    return [b.step(name, [b.operand(b.values(shape), graph)], options)]
