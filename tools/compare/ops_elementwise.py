"""Elementwise ops in PyTorch."""

import math

import numpy
import torch
import torch.nn.functional as F

from compare.op_table import DTYPES, OPS, Noise, Op, number, one, op, two

# ---- Functions of one number. The error that each kernel may make is that of its own tests. ----


def ndtr(x):
    """The normal distribution function; the rounding of erfc's argument, which far out is worth many
    units of the last place, is put right by its slope."""
    z = -x / math.sqrt(2)
    wide = -x.detach().numpy().astype(numpy.longdouble) / numpy.sqrt(numpy.longdouble(2))
    lost = torch.from_numpy(numpy.asarray(wide - z.detach().numpy(), dtype=numpy.float64))
    slope = torch.where(torch.isfinite(lost), -2 / math.sqrt(math.pi) * torch.exp(-z * z) * lost, 0.0)
    return 0.5 * (torch.erfc(z) + slope.detach())


def gelu(x):
    """By erfc, which keeps its digits in the tail, where 1 + erf has none left."""
    return x * ndtr(x)


def gelu_tanh(x):
    """By sigmoid, for the same reason."""
    return x * torch.sigmoid(Noise.of(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3), 2))


one("neg", torch.neg, exact=True)
one("abs", torch.abs, exact=True)
one("relu", torch.relu, exact=True)
one("square", torch.square, ulps=0)


def _rounded_sqrt(args, o):
    """The nearest number, where PyTorch's in double may be its neighbour."""
    x = args[0]
    right = torch.from_numpy(numpy.asarray(numpy.sqrt(x.detach().numpy())))
    y = torch.sqrt(x)
    return [y + torch.where(torch.isfinite(y) & torch.isfinite(right), right - y.detach(), 0.0)]


one("sqrt", torch.sqrt, ulps=0, careful=_rounded_sqrt)


def power(name, run, slope, ulps):
    """A negative power of x. Its gradient `slope(dy, x, y)` goes without powers of y, which
    overflow where the gradient needn't."""

    class Careful(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = run(x)
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx, dy):
            x, y = ctx.saved_tensors
            with torch.enable_grad():
                leaf = x.detach().requires_grad_()
                (plain,) = torch.autograd.grad(run(leaf), leaf, dy)
            right = slope(Noise.of(dy, 4), x, y)
            return Noise.of(torch.where(torch.isfinite(x) & (x != 0), right, plain), 4)

    one(name, run, ulps=ulps, careful=lambda args, o: [Careful.apply(args[0])])


power("reciprocal", torch.reciprocal, lambda dy, x, y: -dy / x / x, 0.5)
power("rsqrt", torch.rsqrt, lambda dy, x, y: -0.5 * (dy * y) / x, 2)
for name, ulps in [("exp", 4), ("log", 4), ("sin", 4), ("cos", 4), ("erf", 4)]:
    one(name, getattr(torch, name), ulps=ulps)


def activation(name, plain, slope, ulps, native=None):
    """A function whose gradient is `slope(x, y)`, its terms rounded each. `native` is PyTorch's own
    where it loses digits that `plain` keeps."""

    class Noisy(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = Noise.of(plain(x), 4)
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx, dy):
            return Noise.of(dy * slope(*ctx.saved_tensors), 4)

    one(name, native or plain, ulps=ulps, careful=lambda args, o: [Noisy.apply(args[0])])
    return Noisy.apply


def _gelu_slope(x, y):
    cdf = ndtr(x)
    pdf = torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    return Noise.of(cdf, 4) + Noise.of(torch.where(pdf == 0, pdf, x * pdf), 4)


def _rest(u):
    """1 - sigmoid(u), off by a rounding of 1, as a difference is."""
    return torch.sigmoid(-u) + (Noise.of(torch.ones_like(u)) - 1)


def _gelu_tanh_slope(x, y):
    k = math.sqrt(2 / math.pi)
    u = Noise.of(2 * k * (x + 0.044715 * x**3), 2)
    g, rest = torch.sigmoid(u), _rest(u)
    slope = 2 * k * (1 + 3 * 0.044715 * x * x)
    second = torch.where((g == 0) | (rest == 0), g * 0, g * rest * x * slope)
    return Noise.of(g, 4) + Noise.of(second, 4)


def _silu_slope(x, y):
    g = torch.sigmoid(x)
    second = torch.where(g == 0, g * 0, g * x * _rest(x))
    return Noise.of(g, 4) + Noise.of(second, 4)


NOISY_ACTIVATIONS = {
    "tanh": activation("tanh", torch.tanh, lambda x, y: 1 - y * y, 4),
    "sigmoid": activation("sigmoid", torch.sigmoid, lambda x, y: y * (1 - y), 4),
    "silu": activation("silu", F.silu, _silu_slope, 8),
    "gelu": activation("gelu", gelu, _gelu_slope, None, F.gelu),
    "gelu_tanh": activation("gelu_tanh", gelu_tanh, _gelu_tanh_slope, None,
                            lambda x: F.gelu(x, approximate="tanh")),  # fmt: skip
}


@op("clamp", exact=True)
def clamp(args, o):
    # Numbers, not tensors: of those PyTorch halves the gradient at a bound.
    kind = float if args[0].is_floating_point() else int
    return [torch.clamp(args[0], kind(o["low"]), kind(o["high"]))]


UNARY = ["neg", "abs", "exp", "log", "sqrt", "rsqrt", "square", "reciprocal", "sin", "cos", "tanh",
         "sigmoid", "erf", "relu", "silu", "gelu", "gelu_tanh", "add", "mul", "pow",
         "clamp"]  # fmt: skip


def unary_options(o):
    """The options of the op that unary(of, a, b) is."""
    if o["of"] == "clamp":
        return {"low": o["a"], "high": o["b"]}
    return {"c": o["a"]} if o["of"] in ("add", "mul", "pow") else {}


def _careful_unary(args, o):
    inner = OPS[o["of"]]
    return (inner.careful or inner.run)(args, unary_options(o))


@op("unary", careful=_careful_unary)
def unary(args, o):
    return OPS[o["of"]].run(args, unary_options(o))


def _careful_unary_(args, o):
    args[0].copy_(_careful_unary(args, o)[0])
    return []


@op("unary_", careful=_careful_unary_)
def unary_(args, o):
    args[0].copy_(unary(args, o)[0])
    return []


# ---- Functions of two. ----


def div(a, b):
    floating = a.is_floating_point() if isinstance(a, torch.Tensor) else b.is_floating_point()
    return torch.div(a, b) if floating else torch.div(a, b, rounding_mode="trunc")


two("add", torch.add, ulps=0)
two("sub", torch.sub, ulps=0)
two("mul", torch.mul, ulps=0)
two("div", div, ulps=0)
two("minimum", torch.minimum, exact=True)
two("maximum", torch.maximum, exact=True)
for name in ["eq", "ne", "lt", "le", "gt", "ge"]:
    two(name, getattr(torch, name), exact=True)
two("equal", lambda a, b: torch.tensor(a.shape == b.shape and bool((a == b).all())), exact=True)
two("operator+", lambda a, b: a + b, ulps=0)
two("operator*", lambda a, b: a * b, ulps=0)
two("operator/", lambda a, b: a / b, ulps=0)


@op("pow", ulps=4)
def power(args, o):
    # Of a number PyTorch knows special powers, such as 0.5, which is a square root.
    return [torch.pow(args[0], number(o["c"], args[0]).item() if "c" in o else args[1])]


@op("operator-", ulps=0)
def minus(args, o):
    if len(args) == 1 and not o:
        return [-args[0]]
    return [args[0] - number(o["c"], args[0])] if "c" in o else (
        [number(o["left"], args[0]) - args[0]] if "left" in o else [args[0] - args[1]])


def in_place(name, function, **fields):
    def run(args, o):
        x = args[0]
        x.copy_(function(x, number(o["c"], x) if "c" in o else args[1]))
        return []

    OPS[name] = Op(run, **fields)


in_place("add_", torch.add, ulps=0)
in_place("sub_", torch.sub, ulps=0)
in_place("mul_", torch.mul, ulps=0)
in_place("div_", div, ulps=0)


@op("axpy_")
def axpy_(args, o):
    y, x = args
    y.copy_(y + number(o["c"], y) * x)
    return []


@op("where", exact=True)
def where(args, o):
    return [torch.where(*args)]


@op("cast", exact=True)
def cast(args, o):
    to = DTYPES[o["to"]]
    x = args[0]
    if x.is_floating_point() and not to.is_floating_point and to != torch.bool:
        # Out of range PyTorch's is undefined: saturating, NaN to 0, is what this library says.
        limits = torch.iinfo(to)
        values = x.detach().to(torch.float64).numpy()
        with numpy.errstate(invalid="ignore"):
            whole = numpy.trunc(numpy.nan_to_num(values, nan=0.0))
        python = [min(max(int(v) if numpy.isfinite(v) else (limits.max if v > 0 else limits.min),
                          limits.min), limits.max) for v in whole.reshape(-1)]  # fmt: skip
        return [torch.tensor(python, dtype=to).reshape(x.shape)]
    return [x.to(to)]
