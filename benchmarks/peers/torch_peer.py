"""PyTorch: the work that settings["work"] names, with weights and inputs that ours wrote."""

import json
import math

import numpy
import torch

from serve import resident_bytes, serve


def read(file, *shape):
    return torch.from_numpy(numpy.fromfile(file, dtype="float32")).reshape(*shape)


def token_ids(rows, length, vocabulary):
    """The same as ours: benchmarks/inputs.hpp."""
    i = torch.arange(rows * length)
    return (i * 7919 + 13).remainder(vocabulary).reshape(rows, length)


class Encode:
    """BERT's last hidden states."""

    def __init__(self, settings):
        import transformers

        self.model = transformers.BertModel.from_pretrained(settings["folder"]).eval()
        self.ids = token_ids(settings["rows"], settings["length"], self.model.config.vocab_size)

    def hidden(self):
        with torch.inference_mode():
            return self.model(input_ids=self.ids).last_hidden_state

    def run(self):
        self.hidden()

    def result(self):
        return self.hidden().numpy()


class Train:
    """Training steps of GPT-2 with AdamW."""

    def __init__(self, settings):
        import transformers

        self.idle = resident_bytes()
        self.model = transformers.GPT2LMHeadModel.from_pretrained(settings["folder"]).train()
        self.ids = token_ids(settings["rows"], settings["length"], self.model.config.vocab_size)
        parameters = self.model.parameters()
        self.optimizer = torch.optim.AdamW(
            parameters, lr=1e-4, weight_decay=0.01, fused=True
        )
        self.autocast = settings.get("autocast", False)
        self.compute = self.loss
        if settings["compiled"]:
            self.compute = torch.compile(self.loss)

    def loss(self):
        with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
            return self.model(input_ids=self.ids, labels=self.ids).loss

    def run(self):
        loss = self.compute()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def result(self):
        return numpy.array([self.run() for _ in range(3)])


class Attention:
    """Causal attention, forward or forward and backward."""

    def __init__(self, settings):
        shape = (1, settings["heads"], settings["length"], settings["channels"])
        self.q, self.k, self.v, self.grad = read(settings["inputs"], 4, *shape).clone().unbind()
        self.backward = settings["backward"]
        for tensor in (self.q, self.k, self.v):
            tensor.requires_grad_(self.backward)

    def run(self):
        for tensor in (self.q, self.k, self.v):
            tensor.grad = None
        with torch.set_grad_enabled(self.backward):
            out = torch.nn.functional.scaled_dot_product_attention(
                self.q, self.k, self.v, is_causal=True
            )
            if self.backward:
                out.backward(self.grad)
        return out

    def result(self):
        out = self.run().detach()
        parts = [out] + ([x.grad for x in (self.q, self.k, self.v)] if self.backward else [])
        return torch.stack(parts).numpy()


class Denoise(torch.nn.Module):
    """The seed configuration's Reverse Transformer, and DDPM steps with it."""

    def __init__(self, settings):
        from safetensors.torch import load_file

        super().__init__()
        with open(settings["folder"] + "/config.json") as file:
            config = json.load(file)
        self.dim = config["latent_dim"]
        self.time_projection = torch.nn.Linear(2 * self.dim, self.dim)
        self.transformer = torch.nn.Transformer(
            self.dim, config["heads"], config["encoder_layers"], config["decoder_layers"],
            config["feed_forward"], dropout=0.0, batch_first=True,
        )
        self.load_state_dict(load_file(settings["folder"] + "/model.safetensors"))
        self.eval()
        self.z = read(settings["inputs"], -1, self.dim)
        self.steps = settings["steps"]
        betas = torch.linspace(math.sqrt(0.00085), math.sqrt(0.012), 1000, dtype=torch.double) ** 2
        self.alpha_bar = torch.cumprod(1 - betas, 0).tolist()

    def forward(self, z, t):
        half = self.dim // 2
        frequencies = torch.exp(-math.log(10000.0) * torch.arange(half) / half)
        angles = torch.full((len(z), 1), float(t)) * frequencies
        time = torch.cat([angles.sin(), angles.cos()], 1)
        x = self.time_projection(torch.cat([z, time], 1))[:, None]
        return self.transformer(x, x)[:, 0]

    def run(self):
        with torch.inference_mode():
            z = self.z
            for t in range(999, 999 - self.steps, -1):
                at, s = self.alpha_bar[t], self.alpha_bar[t - 1]
                beta = 1 - at / s
                x0 = self(z, t)
                z = x0 * (math.sqrt(s) * beta / (1 - at)) + z * (
                    math.sqrt(at / s) * (1 - s) / (1 - at)
                )
                z = z + torch.randn_like(z) * math.sqrt(beta * (1 - s) / (1 - at))
            return z

    def result(self):
        with torch.inference_mode():
            return self(self.z, 500).numpy()


WORKS = {"encode": Encode, "train": Train, "attention": Attention, "denoise": Denoise}


def load(settings):
    torch.set_num_threads(settings["threads"])
    return WORKS[settings["work"]](settings)


serve(load)
