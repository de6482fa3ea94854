#!/usr/bin/env python3
"""Makes tests/golden/nn/*.safetensors: layers, their gradients and optimisers as PyTorch has them.

Needs torch, transformers and safetensors. All numbers are float64, with fixed seeds:

    python tools/make_nn_fixtures.py [output folder]

layers.safetensors holds, for each case, <case>.in.<input>, <case>.weight.<parameter>, <case>.out,
<case>.grad_out (the seed of the backward pass), <case>.grad_in.<input> and <case>.grad.<parameter>.
optim.safetensors holds <case>.initial, <case>.gradients (one row a step) and <case>.values (the
parameter after each step), and the training of a small network.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup

B, T, TM, C, H, FF = 2, 5, 4, 8, 2, 12
torch.set_default_dtype(torch.float64)


def randomise(module):
    """Random values for every parameter: defaults such as ones and zeros would hide mistakes."""
    for parameter in module.parameters():
        parameter.data = torch.randn_like(parameter) * 0.4 + (0.1 if parameter.dim() == 1 else 0)


def padding(lengths, total):
    """True where a position is padding, PyTorch's convention."""
    return torch.arange(total)[None, :] >= torch.tensor(lengths)[:, None]


def causal(total):
    return torch.triu(torch.ones(total, total, dtype=torch.bool), 1)


def add_case(out, name, module, inputs, forward):
    """Runs forward(module, *inputs) and records the case; integer inputs have no gradient."""
    randomise(module)
    module.train()
    for value in inputs.values():
        if value.is_floating_point():
            value.requires_grad_()
    result = forward(module, *inputs.values())
    seed = torch.randn_like(result)
    result.backward(seed)
    out[f"{name}.out"], out[f"{name}.grad_out"] = result.detach(), seed
    for key, value in inputs.items():
        out[f"{name}.in.{key}"] = value.detach()
        if value.grad is not None:
            out[f"{name}.grad_in.{key}"] = value.grad
    for key, value in module.named_parameters():
        out[f"{name}.weight.{key}"] = value.detach()
        out[f"{name}.grad.{key}"] = value.grad


def x(*shape):
    return torch.randn(*shape)


def make_layers():
    out = {}
    real, real_memory = padding([5, 3], T), padding([2, 4], TM)
    plain = lambda m, x: m(x)
    add_case(out, "linear", nn.Linear(C, 6), {"x": x(B, T, C)}, plain)
    add_case(out, "linear_no_bias", nn.Linear(C, 6, bias=False), {"x": x(B, T, C)}, plain)
    for name, f in (("relu", torch.relu), ("silu", nn.functional.silu),
                    ("gelu", nn.functional.gelu),
                    ("gelu_tanh", lambda y: nn.functional.gelu(y, approximate="tanh"))):
        add_case(out, f"linear_{name}", nn.Linear(C, 6), {"x": x(B, T, C)},
                 lambda m, x, f=f: f(m(x)))
    add_case(out, "embedding", nn.Embedding(7, C), {"ids": torch.tensor([[1, 6, 1], [0, 3, 6]])},
             plain)
    add_case(out, "layer_norm", nn.LayerNorm(C, eps=1e-5), {"x": x(B, T, C)}, plain)
    add_case(out, "rms_norm", nn.RMSNorm(C, eps=1e-6), {"x": x(B, T, C)}, plain)

    def mha(**kwargs):
        return lambda m, x, memory=None: m(
            x, x if memory is None else memory, x if memory is None else memory,
            need_weights=False, **kwargs)[0]

    attention = lambda: nn.MultiheadAttention(C, H, batch_first=True)
    add_case(out, "mha", attention(), {"x": x(B, T, C)}, mha())
    add_case(out, "mha_causal", attention(), {"x": x(B, T, C)}, mha(attn_mask=causal(T)))
    add_case(out, "mha_padding", attention(), {"x": x(B, T, C)}, mha(key_padding_mask=real))
    add_case(out, "mha_cross", attention(), {"x": x(B, T, C), "memory": x(B, TM, C)}, mha())
    add_case(out, "mha_cross_padding", attention(), {"x": x(B, T, C), "memory": x(B, TM, C)},
             mha(key_padding_mask=real_memory))

    for norm_first in (False, True):
        for activation in ("relu", "gelu"):
            suffix = f"{'pre' if norm_first else 'post'}_{activation}"
            options = dict(d_model=C, nhead=H, dim_feedforward=FF, dropout=0.0,
                           activation=activation, norm_first=norm_first, batch_first=True)
            add_case(out, f"encoder_layer_{suffix}", nn.TransformerEncoderLayer(**options),
                     {"x": x(B, T, C)}, lambda m, x: m(x, src_key_padding_mask=real))
            add_case(out, f"decoder_layer_{suffix}", nn.TransformerDecoderLayer(**options),
                     {"x": x(B, T, C), "memory": x(B, TM, C)},
                     lambda m, x, memory: m(x, memory, tgt_mask=causal(T),
                                            memory_key_padding_mask=real_memory))
        suffix = "pre" if norm_first else "post"
        options = dict(d_model=C, nhead=H, dim_feedforward=FF, dropout=0.0, batch_first=True,
                       norm_first=norm_first, num_encoder_layers=2, num_decoder_layers=2)
        add_case(out, f"transformer_{suffix}", nn.Transformer(**options),
                 {"source": x(B, TM, C), "target": x(B, T, C)}, lambda m, s, t: m(s, t))
        add_case(out, f"transformer_masked_{suffix}", nn.Transformer(**options),
                 {"source": x(B, TM, C), "target": x(B, T, C)},
                 lambda m, s, t: m(s, t, tgt_mask=causal(T), src_key_padding_mask=real_memory,
                                   memory_key_padding_mask=real_memory))
    return out


STEPS = 20


def add_optimiser(out, name, make, max_norm=None, schedule=None):
    """Steps along fixed random gradients, whose sizes vary so that clipping acts on some."""
    parameter = nn.Parameter(torch.randn(3, 4))
    gradients = torch.randn(STEPS, 3, 4) * torch.rand(STEPS, 1, 1) * 2
    out[f"{name}.initial"], out[f"{name}.gradients"] = parameter.detach().clone(), gradients
    optimiser = make([parameter])
    scheduler = schedule(optimiser) if schedule else None
    values = []
    for gradient in gradients:
        parameter.grad = gradient.clone()
        if max_norm:
            nn.utils.clip_grad_norm_([parameter], max_norm)
        optimiser.step()
        if scheduler:
            scheduler.step()
        values.append(parameter.detach().clone())
    out[f"{name}.values"] = torch.stack(values)


def make_training(out):
    """A small network trained with everything on: groups, warm-up with cosine, clipping."""
    net = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.LayerNorm(6), nn.Linear(6, 2))
    randomise(net)
    inputs, targets = torch.randn(10, 3), torch.randn(10, 2) * 3
    out["training.inputs"], out["training.targets"] = inputs, targets
    for key, value in net.named_parameters():
        out[f"training.initial.{key}"] = value.detach().clone()
    matrices = [p for p in net.parameters() if p.dim() > 1]
    others = [p for p in net.parameters() if p.dim() <= 1]
    optimiser = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1},
                                   {"params": others, "weight_decay": 0.0}], lr=0.05)
    scheduler = get_cosine_schedule_with_warmup(optimiser, 4, STEPS)
    losses, norms = [], []
    for _ in range(STEPS):
        optimiser.zero_grad()
        loss = nn.functional.mse_loss(net(inputs), targets)
        loss.backward()
        norms.append(nn.utils.clip_grad_norm_(net.parameters(), 1.0))
        optimiser.step()
        scheduler.step()
        losses.append(loss.detach())
    out["training.losses"], out["training.norms"] = torch.stack(losses), torch.stack(norms)
    for key, value in net.named_parameters():
        out[f"training.final.{key}"] = value.detach().clone()


def make_optim():
    out = {}
    optim = torch.optim
    add_optimiser(out, "sgd", lambda p: optim.SGD(p, lr=0.1))
    add_optimiser(out, "sgd_decay", lambda p: optim.SGD(p, lr=0.1, weight_decay=0.2))
    add_optimiser(out, "sgd_momentum",
                  lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.2))
    add_optimiser(out, "sgd_nesterov",
                  lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.2, nesterov=True))
    add_optimiser(out, "adam", lambda p: optim.Adam(p, lr=0.1))
    add_optimiser(out, "adam_decay",
                  lambda p: optim.Adam(p, lr=0.05, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.3))
    add_optimiser(out, "adamw", lambda p: optim.AdamW(p, lr=0.05, weight_decay=0.3))
    add_optimiser(out, "adamw_clipped", lambda p: optim.AdamW(p, lr=0.05), max_norm=1.5,
                  schedule=lambda o: get_linear_schedule_with_warmup(o, 5, STEPS))
    make_training(out)
    probe = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    for name, make in (("linear", get_linear_schedule_with_warmup),
                       ("cosine", get_cosine_schedule_with_warmup)):
        factor = make(probe, 7, 40).lr_lambdas[0]
        out[f"schedule.{name}"] = torch.tensor([factor(step) for step in range(41)])
    return out


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else (
        Path(__file__).resolve().parent.parent / "tests" / "golden" / "nn")
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in (("layers", make_layers), ("optim", make_optim)):
        torch.manual_seed(20240)
        tensors = {key: value.contiguous().clone() for key, value in make().items()}
        path = folder / f"{name}.safetensors"
        save_file(tensors, path)
        print(f"{path}: {len(tensors)} tensors, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
