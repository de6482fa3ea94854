"""Views, reductions and indexing in PyTorch."""

import math

import torch

from compare.op_table import OPS, Op, number, op

# ---- Views and copies. ----


def view(name, function):
    OPS[name] = Op(lambda args, o: [function(args[0], o)], exact=True, view=True)


def slice_of(x, o):
    start, stop, _ = slice(o["start"], o.get("stop"), None).indices(x.shape[o["axis"]])
    index = [slice(None)] * x.dim()
    index[o["axis"]] = slice(start, max(stop, start), o.get("step", 1))
    return x[tuple(index)]


view("slice", slice_of)
view("select", lambda x, o: x.select(o["axis"], o["index"]))
view("permute", lambda x, o: x.permute(o["order"]))
view("transpose", lambda x, o: x.transpose(o["a"], o["b"]))
view("expand", lambda x, o: x.expand(o["shape"]))
view("unsqueeze", lambda x, o: x.unsqueeze(o["axis"]))
view("squeeze", lambda x, o: x.squeeze(o["axis"]))
view("reshape", lambda x, o: x.reshape(o["shape"]))
view("flatten", lambda x, o: x.flatten(o["first"], o["last"]))
view("contiguous", lambda x, o: x.contiguous())
view("clone", lambda x, o: x.clone())
view("value", lambda x, o: x.detach())
view("detach", lambda x, o: x.detach())
view("constant", lambda x, o: x.detach())
view("leaf", lambda x, o: x.detach().requires_grad_())
view("grad", lambda x, o: torch.zeros_like(x) if x.grad is None else x.grad)


@op("backward", view=True)
def backward(args, o):
    args[0].backward(args[1] if len(args) > 1 else None, retain_graph=o.get("retain", False))
    return []


@op("fill_", view=True)
def fill_(args, o):
    args[0].fill_(number(o["c"], args[0]))
    return []


@op("copy_", view=True)
def copy_(args, o):
    args[0].copy_(args[1].clone())
    return []


@op("concat", exact=True)
def concat(args, o):
    return [torch.cat(args, o["axis"])]


@op("stack", exact=True)
def stack(args, o):
    return [torch.stack(args, o["axis"])]


@op("split", exact=True, view=True)
def split(args, o):
    return list(torch.split(args[0], o["extent"], o["axis"])) if args[0].shape[o["axis"]] else []


@op("pad", exact=True)
def pad(args, o):
    x, axis = args[0], o["axis"] % args[0].dim()
    widths = [0, 0] * (x.dim() - 1 - axis) + [o["before"], o["after"]]
    value = number(o["value"], x)
    shape = list(x.shape)
    parts = []
    for extent in (o["before"], o["after"]):
        shape[axis] = extent
        parts.append(value.expand(shape))
    return [torch.cat([parts[0], x, parts[1]], axis)] if widths else [x]


# ---- Reductions. ----


def axes_of(x, o):
    return tuple(range(x.dim())) if "axes" not in o else tuple(a % x.dim() for a in o["axes"])


def reduced(args, o):
    count = 1
    for axis in axes_of(args[0], o):
        count *= args[0].shape[axis]
    return max(count, 1)


def reduction(name, function, careful=None, **fields):
    """`function(x, axes, keep, o)`; of no axes it must not be the same as of all."""

    def run(args, o, function=function):
        x, axes, keep = args[0], axes_of(args[0], o), o.get("keep", False)
        if not axes:  # an axis of one element, so that PyTorch doesn't take all of them
            y = function(x.unsqueeze(0), (0,), False, o)
        else:
            y = function(x, axes, keep, o)
        return [y]

    OPS[name] = Op(run, depth=reduced, careful=careful and (lambda args, o: run(args, o, careful)), **fields)


reduction("sum", lambda x, axes, keep, o: torch.sum(x, axes, keep, dtype=x.dtype))
reduction("mean", lambda x, axes, keep, o: torch.mean(x, axes, keep))
reduction("max", lambda x, axes, keep, o: torch.amax(x, axes, keep), exact=True)
reduction("min", lambda x, axes, keep, o: torch.amin(x, axes, keep), exact=True)
reduction("norm", lambda x, axes, keep, o: torch.linalg.vector_norm(x, 2, axes, keep))


def _var(x, axes, keep, o):
    """In float by the formula, whose squares may overflow or vanish: PyTorch sums them in double."""
    if x.dtype != torch.float32 or x.requires_grad:
        return torch.var(x, axes, correction=o["correction"], keepdim=keep)
    divisor = math.prod(x.shape[axis] for axis in axes) - o["correction"]
    squares = torch.square(x - x.mean(axes, True)).sum(axes, keep)
    return squares * (1 / divisor if divisor > 0 else math.inf)


def _scaled_var(x, axes, keep, o):
    """Of numbers that are at most 1, so that no square or sum overflows."""
    if x.numel() == 0 or x.requires_grad:
        return _var(x, axes, keep, o)
    largest = x.detach().abs().amax(axes, True)
    largest = torch.where(torch.isfinite(largest), largest, 1.0)
    scale = torch.exp2(torch.frexp(largest)[1].clamp(-1000, 1000).to(x.dtype))
    y = _var(x / scale, axes, True, o) * scale * scale
    return y if keep else y.squeeze(axes)


reduction("var", _var, careful=_scaled_var)


@op("sum_to", depth=lambda args, o: max(args[0].numel() // max(math.prod(o["shape"]), 1), 1))
def sum_to(args, o):
    if args[0].dtype.is_floating_point:
        return [args[0].sum_to_size(o["shape"])]
    x = args[0]
    axes = list(range(x.dim() - len(o["shape"])))
    for i, extent in enumerate(o["shape"]):
        if extent == 1:
            axes.append(i + x.dim() - len(o["shape"]))
    y = torch.sum(x, axes, dtype=x.dtype) if axes else x
    return [y.reshape(o["shape"])]


@op("argmax", exact=True)
def argmax(args, o):
    return [_first(args[0], o["axis"], largest=True)]


@op("argmin", exact=True)
def argmin(args, o):
    return [_first(args[0], o["axis"], largest=False)]


def _first(x, axis, largest):
    """The first position, as PyTorch's documentation does not promise but its CPU kernels do."""
    if x.dtype == torch.bool:
        x = x.to(torch.uint8)
    return torch.argmax(x, axis) if largest else torch.argmin(x, axis)


@op("top_k", exact=True)
def top_k(args, o):
    values, indices = torch.sort(args[0], dim=-1, descending=True, stable=True)
    return [values[..., : o["k"]], indices[..., : o["k"]]]


# ---- Indexing. ----


@op("embedding", exact=True)
def embedding(args, o):
    return [args[0][args[1]]]


@op("index_select", exact=True)
def index_select(args, o):
    return [torch.index_select(args[0], o["axis"], args[1])]


@op("gather", exact=True)
def gather(args, o):
    return [torch.gather(args[0], o["axis"], args[1])]


@op("index_add_", depth=lambda args, o: 1 + args[1].numel())
def index_add_(args, o):
    args[0].index_add_(0, args[1], args[2])
    return []


@op("index_copy_", exact=True)
def index_copy_(args, o):
    for n, i in enumerate(args[1].tolist()):  # PyTorch's own knows no unsigned types
        args[0][i] = args[2][n]
    return []


@op("scatter_add_", depth=lambda args, o: 1 + args[1].numel())
def scatter_add_(args, o):
    args[0].scatter_add_(o["axis"], args[1], args[2])
    return []
