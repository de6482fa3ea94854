"""llm.c's train_gpt2, built in the folder LDLM_BENCH_LLMC: training steps of GPT-2 124M, B4 T64.

The program runs all the time and is stopped but while a step is measured; it says itself how long
each took. Its losses are of tokens of its own, so there is no result to compare."""

import atexit
import json
import os
import re
import signal
import subprocess
import tempfile

import numpy
from safetensors.numpy import load_file

from serve import serve


def write_checkpoint(folder, file):
    """train_gpt2.c's format: 256 integers, then all parameters, layer by layer for each kind."""
    with open(folder + "/config.json") as opened:
        config = json.load(opened)
    weights = {k.removeprefix("transformer."): v
               for k, v in load_file(folder + "/model.safetensors").items()}
    header = numpy.zeros(256, dtype=numpy.int32)
    vocabulary = config["vocab_size"]
    padded = (vocabulary + 127) // 128 * 128
    header[:8] = [20240326, 3, config["n_positions"], vocabulary, config["n_layer"],
                  config["n_head"], config["n_embd"], padded]
    parts = [numpy.pad(weights["wte.weight"], ((0, padded - vocabulary), (0, 0))),
             weights["wpe.weight"]]
    for name in ("ln_1.weight", "ln_1.bias", "attn.c_attn.weight", "attn.c_attn.bias",
                 "attn.c_proj.weight", "attn.c_proj.bias", "ln_2.weight", "ln_2.bias",
                 "mlp.c_fc.weight", "mlp.c_fc.bias", "mlp.c_proj.weight", "mlp.c_proj.bias"):
        for i in range(config["n_layer"]):
            value = weights[f"h.{i}.{name}"]
            parts.append(value.T if value.ndim == 2 else value)
    parts += [weights["ln_f.weight"], weights["ln_f.bias"]]
    with open(file, "wb") as out:
        header.tofile(out)
        for part in parts:
            numpy.ascontiguousarray(part, dtype=numpy.float32).tofile(out)


def write_tokens(file, count, vocabulary):
    header = numpy.zeros(256, dtype=numpy.int32)
    header[:3] = [20240520, 1, count]
    with open(file, "wb") as out:
        header.tofile(out)
        ((numpy.arange(count) * 7919 + 13) % vocabulary).astype(numpy.uint16).tofile(out)


class Train:
    def __init__(self, settings):
        program = os.path.join(os.environ["LDLM_BENCH_LLMC"], "train_gpt2")
        self.folder = tempfile.TemporaryDirectory()
        data = os.path.join(self.folder.name, "dev/data/tinyshakespeare")
        os.makedirs(data)
        write_checkpoint(settings["folder"], os.path.join(self.folder.name, "gpt2_124M.bin"))
        for part in ("train", "val"):
            write_tokens(f"{data}/tiny_shakespeare_{part}.bin", 66000, 50257)
        self.process = subprocess.Popen(
            ["stdbuf", "-oL", program], cwd=self.folder.name, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(settings["threads"])}, bufsize=1,
        )
        atexit.register(self.process.kill)  # it would stay, stopped
        self.step()
        self.process.send_signal(signal.SIGSTOP)

    def step(self):
        """Seconds of the next step, by its own clock."""
        for line in self.process.stdout:
            match = re.search(r"took ([0-9.]+) ms", line)
            if match:
                return float(match[1]) / 1e3
        raise RuntimeError("train_gpt2 ended")

    def seconds(self):
        self.process.send_signal(signal.SIGCONT)
        self.step()  # the one that was stopped in its midst
        seconds = self.step()
        self.process.send_signal(signal.SIGSTOP)
        return seconds


serve(Train)
