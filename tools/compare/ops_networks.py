"""Matrix products, functions of neural networks and losses in PyTorch."""

import math

import torch
import torch.nn.functional as F

from compare.op_table import OPS, Noise, noisy, number, op
from compare.ops_elementwise import NOISY_ACTIVATIONS

# ---- Matrices. ----


def inner(args, o):
    return max(args[0].shape[-1], 1)


@op("matmul", depth=inner)
def matmul(args, o):
    return [torch.matmul(*args)]


@op("matmul_into", depth=inner)
def matmul_into(args, o):
    a, b, out = args
    product = torch.matmul(a, b) * number(o["alpha"], out)
    beta = number(o["beta"], out)
    out.copy_(product + beta * out if beta != 0 else product)
    return []


ACTIVATIONS = {
    "none": lambda x: x, "relu": torch.relu, "silu": F.silu, "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
}  # fmt: skip


def _linear(args, o, activations):
    x, weight, bias, residual = (list(args) + [None, None])[:4]
    before = torch.matmul(x, weight.transpose(0, 1))
    if bias is not None:
        before = noisy(before) + bias
    before = noisy(before)
    y = activations.get(o["activation"], ACTIVATIONS[o["activation"]])(before)
    return [y if residual is None else y + residual, before]


@op("linear", depth=inner, careful=lambda args, o: _linear(args, o, NOISY_ACTIVATIONS))
def linear(args, o):
    return _linear(args, o, {})


# ---- Networks. ----


def along(args, o):
    return max(args[0].shape[o["axis"]], 1) if args[0].dim() else 1


def columns(args, o):
    return max(args[0].shape[-1], 1)


def _careful_softmax(x, axis):
    """Exponentials and their sum, which are both rounded."""
    e = noisy(torch.exp(x - x.detach().amax(axis, keepdim=True)), 4, 4)
    return noisy(e / noisy(e.sum(axis, keepdim=True), x.shape[axis], x.shape[axis]), 2, 2)


def _careful_lse(x):
    top = x.detach().amax(-1, keepdim=True)
    e = noisy(torch.exp(x - top), 4, 4)
    sums = noisy(e.sum(-1, keepdim=True), x.shape[-1], x.shape[-1])
    return noisy(top + noisy(torch.log(sums), 4, 4), 1, 4)


def plain_where_odd(plain):
    """The op's own formula where the careful one meets infinities or NaN."""

    def mixed(careful, ours):
        return torch.where(torch.isfinite(careful), careful, ours)

    def add(careful):
        def run(args, o):
            floats = [a for a in args if a is not None and a.is_floating_point()]
            if all(a.numel() > 0 and bool(torch.isfinite(a).all()) for a in floats):
                return careful(args, o)
            ours = plain(args, o)
            if any(a.numel() == 0 or a.requires_grad for a in floats):
                return ours
            return [mixed(c, p) for c, p in zip(careful(args, o), ours)]

        return run

    return add


@op("softmax", depth=along)
def softmax(args, o):
    return [torch.softmax(args[0], o["axis"])]


OPS["softmax"].careful = plain_where_odd(softmax)(
    lambda args, o: [_careful_softmax(args[0], o["axis"])])


@op("log_softmax", depth=along)
def log_softmax(args, o):
    return [torch.log_softmax(args[0], o["axis"])]


@plain_where_odd(log_softmax)
def _careful_log_softmax(args, o):
    x = args[0].transpose(o["axis"], -1)
    return [noisy(noisy(x) - _careful_lse(x)).transpose(o["axis"], -1)]


OPS["log_softmax"].careful = _careful_log_softmax


@op("layer_norm", depth=columns)
def layer_norm(args, o):
    x, gamma, beta, residual = (list(args) + [None, None])[:4]
    total = x if residual is None else x + residual
    y = F.layer_norm(total, total.shape[-1:], gamma, beta, o["epsilon"])
    mean = total.mean(-1)
    rstd = 1 / torch.sqrt(total.var(-1, correction=0) + o["epsilon"])
    return [y, total, mean, rstd]


@op("add_layer_norm", depth=columns)
def add_layer_norm(args, o):
    x, residual, gamma, beta = args
    total = x + residual
    return [total, F.layer_norm(total, total.shape[-1:], gamma, beta, o["epsilon"])]


class _Normalised(torch.autograd.Function):
    """x over its root mean square, with or without its mean taken off. Each step is rounded, and the
    gradient is by the formula that everybody uses, with the mean as it was rounded."""

    @staticmethod
    def forward(ctx, x, centre, epsilon):
        n = x.shape[-1]
        if centre:
            x = Noise.of(x - Noise.of(x.mean(-1, keepdim=True), n if n > 1 else 0))
        rstd = Noise.of(torch.rsqrt(Noise.of((x * x).mean(-1, keepdim=True), n) + epsilon), 4)
        y = Noise.of(x * rstd, 2)
        ctx.save_for_backward(y, rstd)
        ctx.centre = centre
        return y

    @staticmethod
    def backward(ctx, dy):
        y, rstd = ctx.saved_tensors
        n = y.shape[-1]
        dx = Noise.of(dy, 2)
        if ctx.centre:
            dx = Noise.of(dx - Noise.of(dx.mean(-1, keepdim=True), n))
        along = Noise.of((dy * y).mean(-1, keepdim=True), n)
        return Noise.of(rstd * Noise.of(dx - Noise.of(y * along, 2)), 2), None, None


def _normalised(x, centre, epsilon):
    return _Normalised.apply(noisy(x), centre, epsilon)


@plain_where_odd(layer_norm)
def _careful_layer_norm(args, o):
    x, gamma, beta, residual = (list(args) + [None, None])[:4]
    total = x if residual is None else noisy(x + residual)
    y = _normalised(total, True, o["epsilon"])
    y = y if gamma is None else noisy(y * gamma)
    return [y if beta is None else y + beta] + layer_norm([total, None, None], o)[1:]


@plain_where_odd(add_layer_norm)
def _careful_add_layer_norm(args, o):
    x, residual, gamma, beta = args
    total = noisy(x + residual)
    return [total, _careful_layer_norm([total, gamma, beta], o)[0]]


OPS["layer_norm"].careful = _careful_layer_norm
OPS["add_layer_norm"].careful = _careful_add_layer_norm


@op("rms_norm", depth=columns)
def rms_norm(args, o):
    x, gamma = args
    y = x * torch.rsqrt((x * x).mean(-1, keepdim=True) + o["epsilon"])
    return [y if gamma is None else y * gamma]


@plain_where_odd(rms_norm)
def _careful_rms_norm(args, o):
    x, gamma = args
    y = _normalised(x, False, o["epsilon"])
    return [y if gamma is None else y * gamma]


OPS["rms_norm"].careful = _careful_rms_norm


def philox_uniforms(seed, offset, count):
    """Philox4x32-10 (Salmon et al., 2011): element i takes word i % 4 of block offset + i / 4."""
    mask = (1 << 32) - 1
    out = []
    for block in range(offset, offset + (count + 3) // 4):
        c = [block & mask, block >> 32, 0, 0]
        k0, k1 = seed & mask, seed >> 32
        for _ in range(10):
            p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
            c = [(p1 >> 32) ^ c[1] ^ k0, p1 & mask, (p0 >> 32) ^ c[3] ^ k1, p0 & mask]
            k0, k1 = (k0 + 0x9E3779B9) & mask, (k1 + 0xBB67AE85) & mask
        out += [(word >> 8) * 2.0**-24 for word in c]
    return torch.tensor(out[:count], dtype=torch.float64)


def dropped(x, o, p):
    """x with elements zeroed as the stream of the options says, the others scaled."""
    kept = (philox_uniforms(o["seed"], o.get("offset", 0), x.numel()) >= p).reshape(x.shape)
    scale = number(p, x)
    return torch.where(kept, x / (1 - scale), torch.zeros((), dtype=x.dtype))


@op("dropout", ulps=1)
def dropout(args, o):
    return [dropped(args[0], o, o["p"])] if o["p"] > 0 else [args[0].clone()]


@op("scaled_dot_product_attention", depth=lambda args, o: max(args[0].shape[3] + args[1].shape[2], 1))
def attention(args, o, careful=False):
    q, k, v, mask = (list(args) + [None])[:4]
    scale = o["scale"] if o.get("scale") else 1 / math.sqrt(q.shape[3])
    scores = torch.matmul(q, k.transpose(2, 3)) * scale
    if mask is not None:
        scores = scores + mask
    if o.get("causal"):
        ones = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool)
        hidden = torch.triu(ones, 1 + k.shape[2] - q.shape[2])
        scores = scores.masked_fill(hidden, -math.inf)
    empty = (scores == -math.inf).all(-1, keepdim=True)
    scores = noisy(scores.masked_fill(empty, 0.0), 2, 2)
    drop = (lambda w: dropped(w, o, o["dropout"])) if o.get("dropout") else (lambda w: w)
    if not careful:
        weights = torch.softmax(scores, -1).masked_fill(empty, 0.0)
        return [torch.matmul(drop(weights), v)]
    # Each product is rounded by itself, and so is each share of the sums: gradients are differences
    # of such sums, and may cancel.
    keys, width = k.shape[2], q.shape[3]
    e = noisy(torch.exp(scores - scores.detach().amax(-1, keepdim=True)), 4, 4).masked_fill(empty, 0.0)
    total = noisy(e.sum(-1, keepdim=True), keys, keys).masked_fill(empty, 1.0)
    values = noisy(drop(e).unsqueeze(-1) * v.unsqueeze(2), 1, width).sum(3)
    return [noisy(values / noisy(total.expand(values.shape), 1, width), 2, 2)]


OPS["scaled_dot_product_attention"].careful = lambda args, o: attention(args, o, True)


def _loss(logits, targets, o, reduction):
    return F.cross_entropy(logits, targets, ignore_index=o["ignore"],
                           label_smoothing=o["smoothing"], reduction=reduction)  # fmt: skip


@op("cross_entropy_rows", depth=columns)
def cross_entropy_rows(args, o):
    return [_loss(*args, o, "none"), torch.logsumexp(args[0], -1)]


def _careful_rows(logits, targets, o):
    """lse - (1 - s) x[target] - s mean(x), each term rounded; 0 where the target does not count."""
    lse = _careful_lse(logits).squeeze(-1)
    counted = targets != o["ignore"]
    chosen = torch.gather(logits, 1, torch.where(counted, targets, 0).unsqueeze(1)).squeeze(1)
    s = o["smoothing"]
    loss = lse - noisy((1 - s) * chosen, 2, 2)
    if s != 0:
        loss = loss - noisy(s * logits.mean(-1), logits.shape[1], logits.shape[1])
    return noisy(torch.where(counted, noisy(loss), 0.0)), lse, counted.sum()


@plain_where_odd(cross_entropy_rows)
def _careful_cross_entropy_rows(args, o):
    return list(_careful_rows(*args, o)[:2])


OPS["cross_entropy_rows"].careful = _careful_cross_entropy_rows


@op("cross_entropy", depth=lambda args, o: max(args[0].numel(), 1))
def cross_entropy(args, o):
    return [_loss(*args, o, "mean")]


@op("linear_cross_entropy", depth=lambda args, o: max(args[0].numel() + args[1].numel(), 1))
def linear_cross_entropy(args, o):
    x, weight, targets = args
    return [_loss(torch.matmul(x, weight.transpose(0, 1)), targets, o, "mean")]


@plain_where_odd(cross_entropy)
def _careful_cross_entropy(args, o):
    loss, _, count = _careful_rows(*args, o)
    return [noisy(loss.sum(), args[0].shape[0], 2) / count]


@plain_where_odd(linear_cross_entropy)
def _careful_linear_cross_entropy(args, o):
    x, weight, targets = args
    depth = x.shape[1]
    logits = noisy(torch.matmul(x, weight.transpose(0, 1)), depth, depth)
    return _careful_cross_entropy([logits, targets], o)


OPS["cross_entropy"].careful = _careful_cross_entropy
OPS["linear_cross_entropy"].careful = _careful_linear_cross_entropy


@op("mse_loss", depth=lambda args, o: max(args[0].numel(), 1))
def mse_loss(args, o):
    return [F.mse_loss(*args)]
