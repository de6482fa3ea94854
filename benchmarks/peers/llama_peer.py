"""llama.cpp, by its Python binding: GPT-2 in one of its formats, text and prompts."""

import ctypes
import json
import os
import tempfile

import gguf
import llama_cpp
import numpy
from safetensors.numpy import load_file

from serve import resident_bytes, serve

# Ours by llama.cpp's names; its number of a file type, where it has to be made of f32.
FORMATS = {"f32": None, "f16": 1, "bf16": 32, "q8_0": 7, "q4_0": 2}

# It reports every tensor that it loads.
QUIET = llama_cpp.llama_log_callback(lambda level, text, data: None)
llama_cpp.llama_log_set(QUIET, ctypes.c_void_p(0))


def write_gguf(folder, file):
    """A folder of Hugging Face's GPT-2, without its tokenizer."""
    with open(folder + "/config.json") as opened:
        config = json.load(opened)
    weights = {k.removeprefix("transformer."): v
               for k, v in load_file(folder + "/model.safetensors").items()}
    writer = gguf.GGUFWriter(file, "gpt2")
    width = config["n_embd"]
    writer.add_context_length(config["n_positions"])
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(config["n_inner"] or 4 * width)
    writer.add_block_count(config["n_layer"])
    writer.add_head_count(config["n_head"])
    writer.add_layer_norm_eps(config["layer_norm_epsilon"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    names = {"wte.weight": "token_embd.weight", "wpe.weight": "position_embd.weight",
             "ln_f": "output_norm"}
    for i in range(config["n_layer"]):
        for ours, theirs in (("ln_1", "attn_norm"), ("attn.c_attn", "attn_qkv"),
                             ("attn.c_proj", "attn_output"), ("ln_2", "ffn_norm"),
                             ("mlp.c_fc", "ffn_up"), ("mlp.c_proj", "ffn_down")):
            names[f"h.{i}.{ours}"] = f"blk.{i}.{theirs}"
    for ours, theirs in names.items():
        parts = [""] if ours.endswith(".weight") else [".weight", ".bias"]
        for part in parts:
            value = weights[ours + part]
            if ".c_" in ours and part == ".weight":
                value = value.T
            writer.add_tensor(theirs + part, numpy.ascontiguousarray(value, dtype=numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class Model:
    """settings: folder, format, threads; "repacks": false where its fastest kernels, for which weights
    are put into another order, end the process: those for AMX."""

    def __init__(self, settings):
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "f32.gguf")
            write_gguf(settings["folder"], file)
            kind = FORMATS[settings["format"]]
            if kind is not None:
                options = llama_cpp.llama_model_quantize_default_params()
                options.ftype, options.pure = kind, True
                plain, file = file, os.path.join(folder, "quantized.gguf")
                if llama_cpp.llama_model_quantize(plain.encode(), file.encode(),
                                                  ctypes.byref(options)) != 0:
                    raise RuntimeError("llama_model_quantize failed")
            self.idle = resident_bytes()
            options = llama_cpp.llama_model_default_params()
            options.use_extra_bufts = settings.get("repacks", True)
            self.model = llama_cpp.llama_model_load_from_file(file.encode(), options)
        if not self.model:
            raise RuntimeError("llama_model_load_from_file failed")
        options = llama_cpp.llama_context_default_params()
        options.n_ctx = llama_cpp.llama_model_n_ctx_train(self.model)
        options.n_batch = options.n_ubatch = min(512, options.n_ctx)
        options.n_threads = options.n_threads_batch = settings["threads"]
        options.no_perf = True
        self.context = llama_cpp.llama_init_from_model(self.model, options)
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(
            llama_cpp.llama_model_get_vocab(self.model))

    def clear(self):
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)

    def step(self, ids):
        """The logits after these tokens too."""
        tokens = (llama_cpp.llama_token * len(ids))(*ids)
        if llama_cpp.llama_decode(self.context,
                                  llama_cpp.llama_batch_get_one(tokens, len(ids))) != 0:
            raise RuntimeError("llama_decode failed")
        logits = llama_cpp.llama_get_logits_ith(self.context, -1)
        return numpy.ctypeslib.as_array(logits, (self.vocabulary,))


class Generate(Model):
    """settings: also prompt (tokens), tokens (to make)."""

    def __init__(self, settings):
        super().__init__(settings)
        self.tokens = settings["tokens"]
        self.ids = [(i * 7919 + 13) % self.vocabulary for i in range(settings["prompt"])]

    def run(self):
        self.clear()
        logits = self.step(self.ids)
        for _ in range(self.tokens - 1):
            logits = self.step([int(logits.argmax())])
        logits.argmax()

    def result(self):
        self.clear()
        return self.step(self.ids).copy()


class Loss(Model):
    """settings: also sequences, of token ids. Computes the sum of -log p of each but its first."""

    def __init__(self, settings):
        super().__init__(settings)
        self.sequences = settings["sequences"]

    def loss(self, ids):
        self.clear()
        batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i] = token, i
            batch.n_seq_id[i], batch.seq_id[i][0], batch.logits[i] = 1, 0, 1
        failed = llama_cpp.llama_decode(self.context, batch)
        llama_cpp.llama_batch_free(batch)
        if failed:
            raise RuntimeError("llama_decode failed")
        logits = numpy.ctypeslib.as_array(llama_cpp.llama_get_logits(self.context),
                                          (len(ids), self.vocabulary)).astype(numpy.float64)[:-1]
        peak = logits.max(axis=1)
        log_sum = peak + numpy.log(numpy.exp(logits - peak[:, None]).sum(axis=1))
        return (log_sum - logits[numpy.arange(len(ids) - 1), ids[1:]]).sum()

    def result(self):
        return numpy.array([self.loss(ids) for ids in self.sequences])


WORKS = {"generate": Generate, "loss": Loss}
serve(lambda settings: WORKS[settings["work"]](settings))
