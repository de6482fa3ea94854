#!/usr/bin/env python3
"""Makes tests/golden/kernels/special.safetensors: what PyTorch makes of special values.

Needs torch and safetensors:

    python tools/make_special_values.py [output file]

NaN, infinities, zeros of both signs, subnormal, tiny and huge numbers, ties and single elements go
through every function, forward and backward (with ones for the gradient of the result), in float
("f32") and double ("f64"). Tensors are named

    <type>.in.<input>              unary (N,), left and right (N,), and rows: one (N, 1), mild (N, 5),
                                   large (N, 5), wide (N, 37), huge (N, 1)
    <type>.<case>.<input>.out      the result, in that type also where it is bool or an index
    <type>.<case>.<input>.grad<i>  the gradient of input i
    <...>.also                     of float: what double makes of it, where that differs

tests/test_kernels_special.cpp runs the cases by their names on every backend.
"""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

NAN, INF = float("nan"), float("inf")
TYPES = {"f32": torch.float32, "f64": torch.float64}


def mirrored(values):
    return [sign * v for v in values for sign in (1.0, -1.0)]


def unary_input(dtype):
    info = torch.finfo(dtype)
    least = torch.nextafter(torch.tensor(0.0, dtype=dtype), torch.tensor(1.0, dtype=dtype)).item()
    values = [0.0, least, 37 * least, info.tiny / 3, info.tiny, 3 * info.tiny, info.tiny**0.5, 1e-10]
    values += [1e-3, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 7.0, 9.5, 20.0, 50.0, 87.0, 89.5, 104.0, 1e4]
    values += [1e10, 2e13, 1e18, 1e20, 1e30, info.max / 2, info.max, INF]
    if dtype == torch.float64:
        values += [1e-310, 1e-300, 2.2e-308, 708.0, 709.5, 711.0, 746.0, 1e100, 1e155, 1e300]
    return torch.tensor(mirrored(values) + [NAN], dtype=dtype)


def pair_input(dtype):
    info = torch.finfo(dtype)
    values = mirrored([0.0, 1.0, 3.0, info.max, INF]) + [info.tiny / 8, 0.5, 2.0, NAN]
    grid = torch.tensor(values, dtype=dtype)
    return [g.reshape(-1) for g in torch.meshgrid(grid, grid, indexing="ij")]


def row_inputs(dtype):
    info = torch.finfo(dtype)
    tiny = info.tiny / 8
    one = mirrored([0.0, tiny, 0.1, 0.5, 3.0, 1e10, 1e18, INF]) + [NAN]
    mild = [
        [0, 0, 0, 0, 0],
        [0.0, -0.0, 0.0, -0.0, -0.0],
        [-0.0, 0.0, -0.0, -0.0, 0.0],
        [1, 1, 1, 1, 1],
        [0.1, 0.1, 0.1, 0.1, 0.1],
        [3, 1, 3, 2, 3],
        [1, 3, 2, 1, 1],
        [-1, -2, -3, -1, -5],
        [NAN, 1, 2, 3, 4],
        [1, NAN, NAN, INF, 0],
        [NAN, NAN, NAN, NAN, NAN],
        [INF, 1, 2, 3, 4],
        [INF, INF, 1, 1, 1],
        [INF, -INF, 1, 0, 2],
        [-INF, 1, 2, 1, 2],
        [-INF, -INF, -INF, -INF, -INF],
        [INF, INF, INF, INF, INF],
        [tiny, tiny, tiny, tiny, tiny],
        [tiny, -tiny, 0, tiny, 3 * tiny],
    ]
    large = [
        [1000.1, 1000.1, 1000.1, 1000.1, 1000.1],
        [1e4, -1e4, 0, 1, 2],
        [-200, -201, -202, -203, -1000],
        [1e10, 1e10, 1e10, 1e10, 1e10],
        [1e18, 1e18, 1, 1, 1],
        [1e18, -1e18, 0, 0, 0],
        [-1e18, -1e18, -1e18, -1e18, -1e18],
    ]
    generator = torch.Generator().manual_seed(3)
    wide = torch.rand((9, 37), generator=generator, dtype=torch.float64) * 4 - 2
    wide[0] = 0
    wide[1] = 0.1
    wide[2] = 1e5 / 3
    wide[3, 35] = NAN
    wide[4, 2] = INF
    wide[5, 36] = -INF
    wide[6] = wide[6].round()  # ties
    wide[7] = -INF
    huge = [[v] for v in mirrored([info.max, info.max / 2])]
    return {
        "one": torch.tensor(one, dtype=dtype)[:, None],
        "mild": torch.tensor(mild, dtype=dtype),
        "large": torch.tensor(large, dtype=dtype),
        "wide": wide.to(dtype),
        "huge": torch.tensor(huge, dtype=dtype),
    }


UNARY = {
    "neg": torch.neg,
    "abs": torch.abs,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "square": torch.square,
    "reciprocal": torch.reciprocal,
    "sin": torch.sin,
    "cos": torch.cos,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "erf": torch.erf,
    "relu": torch.relu,
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "add_1": lambda x: x + 1,
    "add_inf": lambda x: x + INF,
    "mul_2": lambda x: x * 2,
    "mul_0": lambda x: x * 0,
    "mul_inf": lambda x: x * INF,
    "clamp": lambda x: torch.clamp(x, -1, 2),
    "clamp_crossed": lambda x: torch.clamp(x, 2, -1),
    "clamp_equal": lambda x: torch.clamp(x, 0, 0),
    "clamp_open": lambda x: torch.clamp(x, -INF, INF),
    **{f"pow_{e}": (lambda x, e=e: torch.pow(x, e)) for e in (0, 1, 2, 3, -1, -2, 0.5, -0.5, 1.5)},
}
PAIRS = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "pow": torch.pow,
    "minimum": torch.minimum,
    "maximum": torch.maximum,
    **{name: getattr(torch, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")},
    "where": lambda a, b: torch.where(a < b, a, b),
}


def cross_entropy(x, smoothing):
    targets = torch.arange(x.shape[0]) % x.shape[1]
    return F.cross_entropy(x, targets, reduction="none", label_smoothing=smoothing)


def without_tiny(x):
    """Whose squares are 0 in one type and not in another, which matters if they are divided by 0."""
    return torch.where(x.abs() < 1e-30, 0, x).detach()


def layer_norm(x):
    return F.layer_norm(x, x.shape[-1:], eps=1e-5)


ROWS = {
    "sum": lambda x: x.sum(-1),
    "mean": lambda x: x.mean(-1),
    "max": lambda x: x.amax(-1),
    "min": lambda x: x.amin(-1),
    "norm": lambda x: torch.linalg.vector_norm(x, dim=-1),
    "var": lambda x: x.var(-1),
    "var_population": lambda x: x.var(-1, correction=0),
    "var_size": lambda x: without_tiny(x).var(-1, correction=x.shape[-1]),
    "var_beyond": lambda x: without_tiny(x).var(-1, correction=x.shape[-1] + 1),
    "argmax": lambda x: x.argmax(-1),
    "argmin": lambda x: x.argmin(-1),
    "top_k": lambda x: x.topk(min(3, x.shape[-1]), -1).values.detach(),  # ties are PyTorch's own
    "softmax": lambda x: x.softmax(-1),
    "log_softmax": lambda x: x.log_softmax(-1),
    "layer_norm": layer_norm,
    "rms_norm": lambda x: F.rms_norm(x, x.shape[-1:], eps=1e-6),
    "normalize_rows": lambda x: F.normalize(x, dim=-1),
    "cross_entropy": lambda x: cross_entropy(x, 0.0),
    "cross_entropy_smooth": lambda x: cross_entropy(x, 0.1),
}


HUGE = ("norm", "normalize_rows", "softmax", "log_softmax", "max", "min", "sum", "mean", "argmax")


def results(function, inputs, gradients):
    leaves = [x.clone().requires_grad_() for x in inputs]
    result = function(*leaves)
    named = {"out": result.detach().to(leaves[0].dtype)}
    if result.requires_grad and gradients:
        result.backward(torch.ones_like(result))
        named |= {f"grad{i}": leaf.grad for i, leaf in enumerate(leaves)}
    return named


def run(out, name, function, inputs, gradients=True):
    """Records a case. Where float results are poor, those of double are good as well: ".also"."""
    named = results(function, inputs, gradients)
    out |= {f"{name}.{key}": value for key, value in named.items()}
    if inputs[0].dtype == torch.float32:
        for key, value in results(function, [x.double() for x in inputs], gradients).items():
            value = value.float()
            if not torch.allclose(value, named[key], rtol=2.5e-7, atol=0, equal_nan=True):
                out[f"{name}.{key}.also"] = value
    if "gelu_tanh" in name:  # PyTorch's gradient is NaN where x^2 is infinite; the limit is 0 or 1
        grad = out.get(f"{name}.grad0.also", named["grad0"])
        limit = torch.where(inputs[0].isnan(), inputs[0], (inputs[0] > 0).to(grad.dtype))
        out[f"{name}.grad0.also"] = torch.where(grad.isnan(), limit, grad)


def main():
    default = Path(__file__).parent.parent / "tests/golden/kernels/special.safetensors"
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    out = {}
    for name, dtype in TYPES.items():
        out[f"{name}.in.unary"] = unary_input(dtype)
        left, right = pair_input(dtype)
        out[f"{name}.in.left"], out[f"{name}.in.right"] = left, right
        for case, function in UNARY.items():
            run(out, f"{name}.{case}.unary", function, [out[f"{name}.in.unary"]])
        for case, function in PAIRS.items():
            run(out, f"{name}.{case}.left", function, [left, right])
        for kind, rows in row_inputs(dtype).items():
            out[f"{name}.in.{kind}"] = rows
            for case, function in ROWS.items():
                # Of large logits the gradient of cross-entropy is less exact here: see its comment.
                gradients = kind == "mild" or not case.startswith("cross_entropy")
                if kind != "huge" or case in HUGE:
                    run(out, f"{name}.{case}.{kind}", function, [rows], gradients)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in out.items()}, path)


if __name__ == "__main__":
    main()
