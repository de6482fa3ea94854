"""Arguments for matrix products, functions of neural networks and losses."""

import math

from compare.samplers import sampler


# ---- Matrices and networks. ----


def logits_of(b, shape):
    """Below 1000: the gradient is made from log-sum-exps, whose last digits are lost beyond."""
    x = b.values(shape, tame(b))
    return x.clamp(-1000, 1000).where(x.isfinite(), x)


def tame(b):
    return b.pick("normal", "normal", "normal", "whole", "special" if b.chance(0.3) else "normal")


def bounded(b, x):
    """Without finite numbers whose squares overflow."""
    most = 1e8 if b.program.dtype == "f32" else 1e50
    return x.clamp(-most, most).where(x.isfinite(), x)


@sampler("matmul", graph=True)
def matmul(b, name, graph):
    m, k, n = (b.extent(0 if b.chance(0.05) else 1, 40) for _ in range(3))
    if b.largest >= 300 and b.chance(0.1):  # beyond the blocks of a product
        m, k, n = b.rng.sample([b.pick(1, 5, 70), b.pick(97, 129), b.pick(260, 400)], 3)
    batch = b.shape(0, 3, least=1) if b.chance(0.5) else []
    while math.prod(batch) * max(m * k, k * n, m * n, 1) > 8 * b.largest and batch:
        batch = batch[1:]
    left, right = b.broadcastable(batch) + [m, k], b.broadcastable(batch) + [k, n]
    if b.chance(0.15):
        left = [k]
    elif b.chance(0.15):
        right = [k]
    kind = tame(b)
    pair = [b.operand(bounded(b, b.values(shape, kind)), graph) for shape in (left, right)]
    return [b.step(name, pair)]


@sampler("matmul_into")
def matmul_into(b, name, graph):
    m, k, n = (b.extent(1, 40) for _ in range(3))
    out = b.input(b.values([m, n], "normal"))
    if b.chance(0.3):
        wide = b.input(b.values([m, n + 3], "normal"))
        out = b.step("slice", [wide], {"axis": 1, "start": 2, "stop": n + 2})
    arguments = [b.operand(b.values([m, k], "normal")), b.operand(b.values([k, n], "normal")), out]
    b.step(name, arguments, {"alpha": b.exact(b.pick(1, 1, -0.5, 2.25)), "beta": b.exact(b.pick(0, 1, 0.5))}, 0)
    return [out]


@sampler("linear", graph=True)
def linear(b, name, graph):
    k, n = b.extent(1, 65), b.extent(1, 65)
    x = b.shape(0, 3, least=1)
    while math.prod(x) * max(k, n) > 8 * b.largest and x:
        x = x[1:]
    kind = tame(b)
    arguments = [b.operand(bounded(b, b.values(s, kind)), graph) for s in (x + [k], [n, k])]
    arguments.append(b.operand(bounded(b, b.values([n], kind)), graph) if b.chance(0.7) else "")
    if not graph:
        arguments.append(b.input(b.values(x + [n], kind)) if b.chance(0.4) else "")
    options = {"activation": b.pick("none", "relu", "silu", "gelu", "gelu_tanh")}
    if graph:
        b.promote(arguments)
        return [b.step(name, arguments, options)]
    return b.step(name, arguments, options, 2)


@sampler("softmax", "log_softmax", graph=True)
def softmax(b, name, graph):
    shape = b.shape(1)
    return [b.step(name, [b.operand(b.values(shape), graph)], {"axis": b.rng.randrange(-len(shape), len(shape))})]


def rows(b, graph, count, missing):
    """Row parameters of `count` columns; some are absent. Gradients through an infinite one would be
    differences of infinities."""
    drawn = []
    for _ in range(2):
        if b.chance(missing):
            drawn.append("")
        else:
            values = bounded(b, b.values([count], tame(b)))
            drawn.append(b.operand(values.nan_to_num(0, 3, -3) if graph else values, graph))
    return drawn


EPSILONS = (1e-5, 1e-6, 1e-12)


@sampler("layer_norm", graph=True)
def layer_norm(b, name, graph):
    shape = b.shape(1, least=1)
    x = b.values(shape, b.pick("normal", "normal", "whole", "special" if b.chance(0.3) else "normal"))
    if b.chance(0.15):
        x[...] = x.reshape(-1)[0].item()  # constant rows
    if b.chance(0.1):
        x += 1000
    if graph:  # rows with NaN have no other gradient
        x = x.nan_to_num(0, 3, -3)
    arguments = [b.operand(bounded(b, x), graph)] + rows(b, graph, shape[-1], 0.2)
    options = {"epsilon": b.exact(b.pick(*EPSILONS))}
    if graph:
        b.promote(arguments)
        return [b.step(name, arguments, options)]
    arguments.append(b.operand(b.values(shape, "normal")) if b.chance(0.4) else "")
    results = b.step(name, arguments, options, 4)
    # Of rows with an infinity the mean is only a step on the way to NaN.
    return results if bool(x.isfinite().all()) else results[:2]


@sampler("add_layer_norm", graph=True)
def add_layer_norm(b, name, graph):
    shape = b.shape(1, least=1)
    arguments = [b.operand(b.values(shape, "normal"), True) for _ in range(2)] + rows(b, True, shape[-1], 0.2)
    b.promote(arguments)
    return b.step(name, arguments, {"epsilon": b.exact(b.pick(*EPSILONS))}, 2)


@sampler("rms_norm", graph=True)
def rms_norm(b, name, graph):
    shape = b.shape(1, least=1)
    x = bounded(b, b.values(shape, tame(b)))
    x = x.nan_to_num(0, 3, -3) if graph else x
    arguments = [b.operand(x, graph), rows(b, graph, shape[-1], 0.2)[0]]
    if graph:
        b.promote(arguments)
    return [b.step(name, arguments, {"epsilon": b.exact(b.pick(*EPSILONS))})]


@sampler("dropout", graph=True)
def dropout(b, name, graph):
    options = {"p": b.exact(b.pick(0.0, 0.1, 0.5, 0.9)), "seed": b.rng.randrange(1 << 60),
               "offset": b.rng.randrange(1000)}  # fmt: skip
    return [b.step(name, [b.operand(b.values(b.shape()), graph)], options)]


@sampler("scaled_dot_product_attention", graph=True)
def attention(b, name, graph):
    B, H = b.rng.randint(1, 2), b.rng.randint(1, 3)
    causal = b.chance(0.4)
    Tk, D = b.extent(1, 33), b.pick(1, 3, 4, 8, 15, 16, 17, 32)
    Tq = b.rng.randint(1, Tk) if causal else b.extent(1, 17)
    kind = b.pick("normal", "normal", "whole")
    arguments = [b.operand(b.values([B, H, t, D], kind), graph) for t in (Tq, Tk, Tk)]
    if b.chance(0.4):
        mask = b.values(b.broadcastable([B, H, Tq, Tk]), "normal")
        if b.chance(0.6):
            mask[b.integers(mask.shape, 0, 3) == 0] = float("-inf")
        arguments.append(b.placed(b.repeated(mask)))
    else:
        arguments.append("")
    options = {"causal": causal}
    if b.chance(0.3):
        options["scale"] = b.exact(b.pick(0.25, 1.0, 2.0))
    if b.chance(0.15):
        options.update(dropout=b.exact(0.25), seed=b.rng.randrange(1 << 60))
    if graph:
        arguments[:3] = b.promote(arguments[:3])
    return [b.step(name, arguments, options)]


# ---- Losses. ----


def targets(b, count, classes, options):
    ids = b.integers([count], 0, classes)
    if b.chance(0.5):
        options["ignore"] = b.pick(-100, 0)
        ids[b.integers([count], 0, 3) == 0] = options["ignore"]
    else:
        options["ignore"] = -100
    options["smoothing"] = b.exact(b.pick(0.0, 0.0, 0.1, 1.0))
    return b.placed(ids)


@sampler("cross_entropy_rows")
def cross_entropy_rows(b, name, graph):
    count, classes = b.extent(0 if b.chance(0.05) else 1, 17), b.extent(1, 65)
    options = {}
    logits = logits_of(b, [count, classes])
    pair = [b.operand(logits), targets(b, count, classes, options)]
    loss, lse = b.step(name, pair, options, 2)
    # The second is for the backward pass, which of infinite logits makes NaN in any case.
    return [loss, lse] if bool(logits.isfinite().all()) else [loss]


@sampler("cross_entropy", graph=True)
def cross_entropy(b, name, graph):
    count, classes = b.extent(1, 17), b.extent(1, 65)
    options = {}
    ids = targets(b, count, classes, options)
    x = logits_of(b, [count, classes])
    if not bool(x.isfinite().all()) and bool((b.live[ids] == options["ignore"]).any()):
        x = x.nan_to_num(0, 5, -5)  # of rows that do not count PyTorch's gradient is NaN * 0
    x = b.promote([b.operand(x, True)])[0]
    return [b.step(name, [x, ids], options)]


@sampler("linear_cross_entropy", graph=True)
def linear_cross_entropy(b, name, graph):
    count, width, classes = b.extent(1, 17), b.extent(1, 17), b.extent(1, 65)
    options = {}
    pair = [b.operand(b.values([count, width], "normal"), True), b.operand(b.values([classes, width], "normal"), True)]
    b.promote(pair)
    return [b.step(name, pair + [targets(b, count, classes, options)], options)]


@sampler("mse_loss", graph=True)
def mse_loss(b, name, graph):
    shape = b.shape(least=1)
    pair = [b.operand(b.values(shape, tame(b)), True) for _ in range(2)]
    return [b.step(name, b.with_variable(pair))]
