"""PyTorch and transformers with the weights of an LDLM folder whose latent is a sequence: encodes
token ids, noises, denoises in one step that reads its own estimate, and decodes with beams."""

import json
import math

import numpy
import torch
import transformers
from safetensors.torch import load_file

from serve import serve


def read_json(file):
    with open(file) as opened:
        return json.load(opened)


def features(times, dim):
    half = dim // 2
    frequencies = torch.exp(-math.log(10000.0) * torch.arange(half) / half)
    angles = times[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], 1)


def network(weights, name):
    """Two linear maps around a SiLU."""
    first, second = (torch.nn.Linear(*weights[f"{name}.{i}.weight"].shape[::-1]) for i in (0, 2))
    out = torch.nn.Sequential(first, torch.nn.SiLU(), second)
    out.load_state_dict({k.removeprefix(name + "."): v for k, v in weights.items()
                         if k.startswith(name + ".")})
    return out


class Denoiser:
    def __init__(self, folder):
        config = read_json(folder + "/config.json")
        self.weights = load_file(folder + "/model.safetensors")
        self.weights = {k: v.float() for k, v in self.weights.items()}
        layer = torch.nn.TransformerEncoderLayer(
            config["width"], config["heads"], config["feed_forward"], dropout=0.0,
            activation=lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
            batch_first=True, norm_first=config["norm_first"])
        self.encoder = torch.nn.TransformerEncoder(
            layer, config["encoder_layers"], torch.nn.LayerNorm(config["width"]),
            enable_nested_tensor=False).eval()
        prefix = "transformer.encoder."
        self.encoder.load_state_dict({k.removeprefix(prefix): v for k, v in self.weights.items()
                                      if k.startswith(prefix)})
        self.time = network(self.weights, "time_embedding")
        self.width = config["width"]

    def linear(self, x, name):
        return torch.nn.functional.linear(x, self.weights[name + ".weight"],
                                          self.weights[name + ".bias"])

    def __call__(self, z, estimate, log_snr):
        time = self.time(features(25 * log_snr, self.width))
        x = self.linear(torch.cat([z, estimate], 2), "input_projection") + time[:, None]
        x = x + self.weights["positions.weight"][: z.shape[1]]
        return self.linear(self.encoder(x), "output_projection")


class Pipeline:
    def __init__(self, settings):
        torch.set_num_threads(settings["threads"])
        folder = settings["folder"]
        self.config = read_json(folder + "/ldlm.json")
        self.encoder = transformers.BertModel.from_pretrained(
            folder + "/encoder", add_pooling_layer=False, dtype=torch.float32).eval()
        self.decoder = transformers.GPT2LMHeadModel.from_pretrained(
            folder + "/decoder", dtype=torch.float32).eval()
        self.denoiser = Denoiser(folder + "/denoiser")
        self.map = {k: v.float() for k, v in load_file(folder + "/latent/model.safetensors").items()}
        self.noise_network = network(self.map, "noise")
        rows = settings["rows"]
        self.ids = torch.tensor(settings["ids"]).reshape(rows, -1)
        self.noise = torch.from_numpy(numpy.fromfile(settings["noise"], dtype="float32"))
        self.noise = self.noise.reshape(rows, -1, self.config["latent_channels"])
        self.alpha_bar = settings["alpha_bar"]
        self.log_snr = torch.full((rows,), settings["log_snr"])

    def linear(self, x, name):
        return torch.nn.functional.linear(x, self.map[name + ".weight"], self.map[name + ".bias"])

    def run(self):
        with torch.inference_mode():
            hidden = self.encoder(input_ids=self.ids).last_hidden_state
            z = self.linear(hidden, "compress")
            z = torch.nn.functional.layer_norm(z, z.shape[-1:])
            z = (z - self.map["mean"]) / self.map["deviation"]
            z = math.sqrt(self.alpha_bar) * z + math.sqrt(1 - self.alpha_bar) * self.noise
            estimate = torch.zeros_like(z)
            for _ in range(2):
                estimate = self.denoiser(z, estimate, self.log_snr)
            level = self.noise_network(features(25 * self.log_snr, 64))
            prefix = self.linear(estimate * self.map["deviation"] + self.map["mean"], "expand")
            return self.decoder.generate(
                inputs_embeds=prefix + level[:, None], num_beams=self.config["num_beams"],
                max_new_tokens=self.config["max_new_tokens"], do_sample=False, pad_token_id=-1,
                attention_mask=torch.ones(prefix.shape[:2], dtype=torch.long))

    def result(self):
        """The texts one after the other, without what pads them."""
        out = self.run()
        return out[out >= 0].numpy()


serve(Pipeline)
