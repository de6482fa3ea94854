"""onnxruntime: BERT as a graph of its own fused operators (com.microsoft), which is what its
optimizer makes of an exported model where it recognises every part of it."""

import json

import numpy
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

from serve import serve


class Graph:
    """Nodes and weights of a graph; each method returns the name of its result."""

    def __init__(self, weights, epsilon):
        self.weights, self.epsilon = weights, epsilon
        self.nodes, self.tensors = [], {}

    def weight(self, name, value=None):
        if name not in self.tensors:
            value = self.weights[name] if value is None else value
            self.tensors[name] = numpy_helper.from_array(numpy.ascontiguousarray(value), name)
        return name

    def add(self, kind, inputs, outputs=1, **attributes):
        domain = "com.microsoft" if kind not in ("MatMul",) else ""
        names = [f"{kind}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, domain=domain, **attributes))
        return names[0]

    def norm(self, x, residual, name, bias):
        """LayerNorm(x + bias + residual)"""
        inputs = [x, residual, self.weight(f"{name}.weight"), self.weight(f"{name}.bias"), bias]
        return self.add("SkipLayerNormalization", inputs, epsilon=self.epsilon)

    def matmul(self, x, name):
        return self.add("MatMul", [x, self.weight(f"{name}.weight.T", self.weights[f"{name}.weight"].T)])


def bert(weights, config):
    g = Graph(weights, config["layer_norm_eps"])
    types = g.weight("types", weights["embeddings.token_type_embeddings.weight"])
    x = g.add("EmbedLayerNormalization",
              ["ids", "token_types", g.weight("embeddings.word_embeddings.weight"),
               g.weight("embeddings.position_embeddings.weight"), types,
               g.weight("embeddings.LayerNorm.weight"), g.weight("embeddings.LayerNorm.bias")],
              2, epsilon=g.epsilon)
    for i in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{i}."
        maps = [layer + f"attention.self.{part}" for part in ("query", "key", "value")]
        packed = numpy.concatenate([weights[f"{m}.weight"].T for m in maps], axis=1)
        bias = numpy.concatenate([weights[f"{m}.bias"] for m in maps])
        attended = g.add("Attention",
                         [x, g.weight(layer + "qkv.weight", packed),
                          g.weight(layer + "qkv.bias", bias)],
                         num_heads=config["num_attention_heads"])
        output = layer + "attention.output.dense"
        x = g.norm(g.matmul(attended, output), x, layer + "attention.output.LayerNorm",
                   g.weight(f"{output}.bias"))
        inner = layer + "intermediate.dense"
        y = g.add("BiasGelu", [g.matmul(x, inner), g.weight(f"{inner}.bias")])
        output = layer + "output.dense"
        x = g.norm(g.matmul(y, output), x, layer + "output.LayerNorm", g.weight(f"{output}.bias"))
    shape = ["rows", "length"]
    graph = helper.make_graph(
        g.nodes, "bert",
        [helper.make_tensor_value_info(name, TensorProto.INT32, shape)
         for name in ("ids", "token_types")],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, [*shape, "channels"])],
        list(g.tensors.values()),
    )
    return helper.make_model(
        graph, ir_version=8,
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)],
    )


class Encode:
    def __init__(self, settings):
        with open(settings["folder"] + "/config.json") as file:
            config = json.load(file)
        model = bert(load_file(settings["folder"] + "/model.safetensors"), config)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = settings["threads"]
        self.session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        rows, length = settings["rows"], settings["length"]
        ids = (numpy.arange(rows * length) * 7919 + 13) % config["vocab_size"]
        ids = ids.reshape(rows, length).astype(numpy.int32)
        self.inputs = {"ids": ids, "token_types": numpy.zeros_like(ids)}

    def run(self):
        return self.session.run(None, self.inputs)[0]

    def result(self):
        return self.run()


serve(Encode)
