#!/usr/bin/env python3
"""The cases of bench_cuda.cpp in PyTorch, under the same names, on the same card: a JSON document a
line. All is of true f32, as there, unless the name says otherwise: tf32 is PyTorch's own, bf16 are
tensors of bf16, in a training those of autocast, ours with masters of float.

usage: bench_torch.py [--small] [--device cpu] [the beginning of a name...]
"""
import argparse
import contextlib
import json
import time

import torch
import torch.nn.functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--small", action="store_true", help="tiny sizes, to see that all runs")
parser.add_argument("--device", default="cuda")
parser.add_argument("names", nargs="*")
ARGUMENTS = parser.parse_args()
DEVICE = torch.device(ARGUMENTS.device)


def size(full, tiny):
    return tiny if ARGUMENTS.small else full


def synchronize():
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def rate(name, unit, amount, run):
    """Prints how many `unit`s a second run() makes, which makes `amount` of them at a time."""

    def seconds(times):
        begin = time.perf_counter()
        for _ in range(times):
            run()
        synchronize()
        return time.perf_counter() - begin

    seconds(1)
    times = min(1000, max(1, int(size(0.1, 0.0) / seconds(1))))
    rates = sorted(amount * times / seconds(times) for _ in range(size(5, 1)))
    print(json.dumps({"name": name, "unit": unit, "rate": rates[len(rates) // 2]}), flush=True)


def drawn(*shape):
    return torch.randn(*shape, device=DEVICE)


def ids_below(bound, *shape):
    return torch.randint(bound, shape, device=DEVICE)


@contextlib.contextmanager
def tf32():
    torch.set_float32_matmul_precision("high")
    yield
    torch.set_float32_matmul_precision("highest")


def memory_bound():
    rows, columns = size(32768, 8), size(1024, 16)
    x = drawn(rows, columns)
    y = torch.empty_like(x)
    n = 4 * x.numel()
    rate("memory/copy", "byte", 2 * n, lambda: y.copy_(x))
    rate("memory/gelu", "byte", 2 * n, lambda: F.gelu(x))
    rate("memory/add", "byte", 3 * n, lambda: x + y)
    rate("memory/sum", "byte", n, x.sum)
    rate("memory/softmax", "byte", 2 * n, lambda: F.softmax(x, -1))
    ones, zeros = torch.ones(columns, device=DEVICE), torch.zeros(columns, device=DEVICE)
    rate("memory/layer_norm", "byte", 2 * n, lambda: F.layer_norm(x, (columns,), ones, zeros))
    leaf, gamma, beta = (t.clone().requires_grad_() for t in (x, ones, zeros))
    rate("memory/layer_norm_train", "byte", 5 * n,
         lambda: F.layer_norm(leaf, (columns,), gamma, beta).backward(x))
    vocab, texts = size(50257, 33), size(4096, 4)
    logits = drawn(texts, vocab).requires_grad_()
    targets = ids_below(vocab, texts)
    rate("memory/cross_entropy_train", "byte", 12 * texts * vocab,
         lambda: F.cross_entropy(logits, targets).backward())
    parameter = drawn(size(124_000_000, 100)).requires_grad_()
    parameter.grad = parameter.detach().clone()
    optimizer = torch.optim.AdamW([parameter], fused=True)
    rate("memory/adamw", "byte", 28 * parameter.numel(), optimizer.step)
    table = drawn(vocab, columns).requires_grad_()
    ids = ids_below(vocab, size(8192, 8))

    def embedding():
        table.grad = None
        F.embedding(ids, table).sum().backward()

    rate("memory/embedding_train", "byte", 16 * len(ids) * columns, embedding)


def products():
    for m, n, k in ((4096, 4096, 4096), (8192, 768, 768), (8192, 3072, 768), (8192, 768, 3072),
                    (1, 3072, 768), (32, 3072, 768)):
        name, large = f"gemm/{m}x{n}x{k}", m > 32
        m, n, k = size(m, 5), size(n, 7), size(k, 9)
        a, b = drawn(m, k), drawn(n, k)
        rate(name + "/f32", "FLOP", 2 * m * n * k, lambda a=a, b=b: F.linear(a, b))
        if large:
            with tf32():
                rate(name + "/tf32", "FLOP", 2 * m * n * k, lambda a=a, b=b: F.linear(a, b))
        a, b = a.bfloat16(), b.bfloat16()
        rate(name + "/bf16", "FLOP", 2 * m * n * k, lambda a=a, b=b: F.linear(a, b))


def attention(dtype=torch.float32, suffix="/f32"):
    for length in (512, 1024, 4096):
        for width in (64, 128):
            shape = (size(8192 // length, 1), size(768 // width, 2), size(length, 6), size(width, 8))
            q, k, v = (drawn(*shape).to(dtype).requires_grad_() for _ in range(3))
            dy = drawn(*shape).to(dtype)
            flops = 2 * q.numel() * shape[2]

            def forward():
                with torch.no_grad():
                    F.scaled_dot_product_attention(q, k, v, is_causal=True)

            rate(f"attention/forward/{length}x{width}{suffix}", "FLOP", flops, forward)
            rate(f"attention/train/{length}x{width}{suffix}", "FLOP", 3.5 * flops,
                 lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True).backward(dy))


def gpt2():
    import transformers

    config = transformers.GPT2Config(resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)
    if ARGUMENTS.small:
        config = transformers.GPT2Config(vocab_size=50, n_positions=32, n_embd=16, n_layer=1,
                                         n_head=2, bos_token_id=0, eos_token_id=0)
    return transformers.GPT2LMHeadModel(config).to(DEVICE)


def training():
    model = gpt2()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    batch, length = size(8, 2), size(1024, 16)
    ids = ids_below(model.config.vocab_size, batch, length)

    def step():
        optimizer.zero_grad()
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        optimizer.step()
        loss.item()

    def autocast_step():
        with torch.autocast(DEVICE.type, dtype=torch.bfloat16):
            step()

    rate("train/gpt2/f32", "token", batch * length, step)
    with tf32():
        rate("train/gpt2/tf32", "token", batch * length, step)
    rate("train/gpt2/bf16", "token", batch * length, autocast_step)


def decoding(dtype=torch.float32, suffix="/f32"):
    model = gpt2().to(dtype).eval()
    tokens = size(64, 3)
    for batch in (1, 32):
        name = f"decode/gpt2/{batch}{suffix}"
        batch = size(batch, 2)
        prompts = ids_below(model.config.vocab_size, batch, size(16, 2))
        mask = torch.ones_like(prompts)
        rate(name, "token", batch * tokens,
             lambda: model.generate(prompts, attention_mask=mask, do_sample=False, pad_token_id=0,
                                    min_new_tokens=tokens, max_new_tokens=tokens))


def main():
    name = torch.cuda.get_device_name() if DEVICE.type == "cuda" else "cpu"
    print(json.dumps({"device": name, "torch": torch.__version__}), flush=True)
    for group, run in (("memory", memory_bound), ("gemm", products), ("attention", attention),
                       ("attention", lambda: attention(torch.bfloat16, "/bf16")),
                       ("train", training), ("decode", decoding),
                       ("decode", lambda: decoding(torch.bfloat16, "/bf16"))):
        if not ARGUMENTS.names or any(group.startswith(n.split("/")[0]) for n in ARGUMENTS.names):
            run()


if __name__ == "__main__":
    main()
