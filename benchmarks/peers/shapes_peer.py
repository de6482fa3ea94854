"""PyTorch: one expression over tensors that are made here as ours are (benchmarks/shapes.hpp)."""

import numpy
import torch
import torch.nn.functional as F

from serve import serve


def numbers(count, seed):
    """The same 32-bit numbers as ours."""
    u = numpy.arange(count, dtype="uint32") * numpy.uint32(2654435761) + numpy.uint32(
        seed * 40503 + 1
    )
    u ^= u >> numpy.uint32(15)
    u *= numpy.uint32(2246822519)
    return u ^ (u >> numpy.uint32(13))


def values(count, seed, low, high):
    unit = (numbers(count, seed) >> numpy.uint32(8)).astype("float64") / 2**24
    return torch.from_numpy((low + (high - low) * unit).astype("float32"))


def make(settings, seed):
    shape, form = settings["shape"], settings["form"]
    count = int(numpy.prod(shape, dtype="int64"))
    if "bound" in settings:
        return torch.from_numpy((numbers(count, seed) % settings["bound"]).astype("int64")).reshape(
            shape
        )
    if form == "sliced":
        wide = values(2 * count, seed, settings["low"], settings["high"])
        return wide.reshape(*shape[:-1], 2 * shape[-1])[..., ::2]
    flat = values(count, seed, settings["low"], settings["high"])
    if form == "transposed":
        return flat.reshape(*shape[:-2], shape[-1], shape[-2]).transpose(-1, -2)
    if form == "reversed":
        return flat.reshape(shape[::-1]).permute(*range(len(shape))[::-1])
    return flat.reshape(shape)


class Expression:
    def __init__(self, settings):
        made = [make(s, seed) for seed, s in enumerate(settings["inputs"])]
        self.a = [x for x in made if x.is_floating_point()]
        self.scope = {
            "torch": torch,
            "F": F,
            "a": self.a,
            "i": [x for x in made if not x.is_floating_point()],
        }
        exec(settings["setup"], self.scope)
        self.code = compile(settings["code"], settings["code"], "eval")
        self.gradient = settings["gradient"]
        if self.gradient:
            for x in self.a:
                x.requires_grad_()
            with torch.no_grad():
                y = eval(self.code, self.scope)
            self.seed = values(y.numel(), 77, -1, 1).reshape(y.shape)

    def run(self):
        if not self.gradient:
            with torch.no_grad():
                return eval(self.code, self.scope)
        for x in self.a:
            x.grad = None
        eval(self.code, self.scope).backward(self.seed)

    def result(self):
        y = self.run()
        parts = [x.grad for x in self.a] if self.gradient else [y]
        return torch.cat([p.detach().reshape(-1).float() for p in parts]).numpy()


def load(settings):
    torch.set_num_threads(settings["threads"])
    return Expression(settings)


serve(load)
