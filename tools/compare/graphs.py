"""Random graphs: several ops on Variables, parameters shared, views, a step of gradient descent."""

from compare.generate import finish_graph
from compare.program import FLOATS, Builder, Program

SMOOTH = ["exp", "sin", "cos", "tanh", "sigmoid", "erf", "silu", "gelu", "gelu_tanh", "square", "neg"]


def shape_of(b, name):
    return list(b.live[name].shape)


def leaf(b, shape):
    """A new parameter."""
    return b.operand(b.values(shape, "normal"), True)


def partner(b, pool, shape):
    """A value that broadcasts with `shape`: one of before if any does, or a new one."""
    fitting = [n for n in pool if all(
        p == s or p == 1 for p, s in zip(shape_of(b, n)[::-1], shape[::-1])) and b.live[n].dim() <= len(shape)]
    return b.rng.choice(fitting) if fitting and b.chance(0.7) else leaf(b, b.broadcastable(shape))


def grow(b, pool):
    """Adds one op on values of the pool and returns its result."""
    x = b.rng.choice(pool[-3:] if b.chance(0.6) else pool)
    shape = shape_of(b, x)
    rank, size = len(shape), b.live[x].numel()
    kind = b.pick("one", "one", "two", "two", "two", "view", "view", "reduce", "rows", "matmul",
                  "linear", "concat", "index", "scalar", "where", "clamp")  # fmt: skip
    if kind == "one":
        return b.step(b.pick(*SMOOTH), [x])
    if kind == "two":
        pair = [x, partner(b, pool, shape)]
        b.rng.shuffle(pair)
        return b.step(b.pick("add", "sub", "mul", "operator+", "operator*", "maximum", "minimum"),
                      b.with_variable(pair))  # fmt: skip
    if kind == "scalar":
        return b.step(b.pick("add", "mul"), [x], {"c": b.scalar(0)})
    if kind == "clamp":
        return b.step("clamp", [x], {"low": -1.0, "high": 1.5})
    if kind == "where":
        condition = b.placed(b.integers(shape, 0, 2, "bool"))
        return b.step("where", [condition] + b.with_variable([x, partner(b, pool, shape)]))
    if kind == "view":
        return view(b, x, shape)
    if kind == "reduce" and rank and size:
        count = b.rng.randint(1, rank)
        options = {"axes": b.rng.sample(range(rank), min(count, 3)), "keep": b.chance(0.5)}
        return b.step(b.pick("sum", "mean", "max", "min"), [x], options)
    if kind == "rows" and rank and size:
        name = b.pick("softmax", "log_softmax", "layer_norm", "rms_norm")
        if "softmax" in name:
            return b.step(name, [x], {"axis": b.rng.randrange(-rank, rank)})
        parameters = [leaf(b, [shape[-1]]) for _ in range(2 if name == "layer_norm" else 1)]
        return b.step(name, b.promote([x] + parameters), {"epsilon": b.exact(1e-2)})
    if kind == "matmul" and rank >= 2 and size:
        columns = b.extent(1, 9)
        return b.step("matmul", b.with_variable([x, leaf(b, [shape[-1], columns])]))
    if kind == "linear" and rank and size:
        columns = b.extent(1, 17)
        arguments = b.promote([x, leaf(b, [columns, shape[-1]]), leaf(b, [columns])])
        return b.step("linear", arguments, {"activation": b.pick("none", "relu", "gelu_tanh")})
    if kind == "concat" and rank and size < 200:
        axis = b.rng.randrange(rank)
        alike = [n for n in pool if shape_of(b, n) == shape]
        return b.step("concat", b.promote([x, b.rng.choice(alike)]), {"axis": axis})
    if kind == "index" and rank and size:
        axis = b.rng.randrange(rank)
        ids = b.placed(b.integers([b.extent(1, 7)], 0, shape[axis]))
        return b.step("index_select", [x, ids], {"axis": axis})
    return b.step("tanh", [x])


def view(b, x, shape):
    rank = len(shape)
    kind = b.pick("slice", "permute", "reshape", "unsqueeze", "select", "split", "contiguous")
    if kind == "slice" and rank:
        axis = b.rng.randrange(rank)
        return b.step("slice", [x], {"axis": axis, "start": b.rng.randint(0, max(shape[axis] - 1, 0)),
                                     "step": b.pick(1, 1, 2)})  # fmt: skip
    if kind == "permute" and rank >= 2:
        return b.step("permute", [x], {"order": b.rng.sample(range(rank), rank)})
    if kind == "reshape" and rank:
        return b.step("reshape", [x], {"shape": b.rng.sample(shape, rank)})
    if kind == "unsqueeze" and rank < 4:
        return b.step("unsqueeze", [x], {"axis": b.rng.randint(0, rank)})
    if kind == "select" and rank and 0 not in shape:
        return b.step("select", [x], {"axis": rank - 1, "index": -1})
    if kind == "split" and rank and shape[0] >= 2:
        parts = b.step("split", [x], {"axis": 0, "extent": shape[0] // 2}, -(-shape[0] // (shape[0] // 2)))
        return b.step("mul", parts[:2]) if shape_of(b, parts[0]) == shape_of(b, parts[1]) else parts[0]
    return b.step("contiguous", [x])


def forward(b, leaves, length):
    pool = list(leaves)
    for _ in range(length):
        name = grow(b, pool)
        value = b.live[name]
        if value.numel() <= 4 * b.largest and value.dim() <= 5 and (
                value.numel() == 0 or value.detach().abs().max() < 1e3):
            pool.append(name)
    grown = [n for n in pool[len(leaves):] if b.live[n].requires_grad]
    return [b.rng.choice(grown[-2:])] if grown else []


def make_graph_case(seed, largest=100):
    b = Builder(Program(f"graph/{seed}", seed, "graph"), largest)
    b.program.dtype = b.pick(*FLOATS)
    shape = b.shape(1, 3, least=1)
    parameters = [leaf(b, shape), leaf(b, b.broadcastable(shape))]
    b.promote(parameters)
    results = forward(b, parameters, b.rng.randint(2, 7))
    if results and b.chance(0.3):  # one step of gradient descent, then another pass
        b.add_backward(results)
        for name in list(b.program.leaves):
            if any(s == 0 and e > 1 for s, e in zip(b.live[name].stride(), b.live[name].shape)):
                continue  # broadcast: no place of its own for each element
            gradient = b.step("clone", [b.step("grad", [name])])
            if b.live[gradient].numel() == 0 or b.live[gradient].abs().max() < 100:
                b.step("axpy_", [b.step("value", [name]), gradient], {"c": b.exact(-0.01)}, 0)
        results = forward(b, b.program.leaves, b.rng.randint(1, 4))
    b.want(*results)
    finish_graph(b, results)
    return b.program
