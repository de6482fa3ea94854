#!/usr/bin/env python3
"""Reads with Python's safetensors what test_safetensors_interop has written into a folder.

Exits with 77 if safetensors is not installed, with 1 and a message if anything differs.
"""

import json
import pathlib
import struct
import sys

try:
    import safetensors
except ImportError:
    sys.exit(77)


def pack(dtype, values):
    """The bytes of numbers in one of the format's types."""
    codes = {"F64": "d", "F32": "f", "F16": "e", "I64": "q", "I32": "i", "I16": "h", "I8": "b",
             "U64": "Q", "U32": "I", "U16": "H", "U8": "B", "BOOL": "?"}
    if dtype == "BF16":  # the upper half of a float; these values lose nothing
        return b"".join(struct.pack("<f", value)[2:] for value in values)
    return struct.pack(f"<{len(values)}{codes[dtype]}", *values)


def load(path):
    return {name: (entry["dtype"], entry["shape"], bytes(entry["data"]))
            for name, entry in safetensors.deserialize(path.read_bytes())}


def expect(what, got, wanted):
    if got != wanted:
        sys.exit(f"{what}: got {got!r}, wanted {wanted!r}")


def main():
    folder = pathlib.Path(sys.argv[1])

    tensors = load(folder / "dtypes.safetensors")
    expect("number of dtypes", len(tensors), 13)
    for name, (dtype, shape, data) in tensors.items():
        expect(name, dtype.lower(), name)
        expect(name, list(shape), [3, 4])
        if dtype == "BOOL":
            values = [i % 2 == 1 for i in range(12)]
        else:
            values = [i if dtype.startswith("U") else i - 4 for i in range(12)]
        expect(name, data, pack(dtype, values))

    tensors = load(folder / "shapes.safetensors")
    expect("names", sorted(tensors), sorted(["scalar", "empty", "transposed", "gr\u00f6\u00dfe \"\\"]))
    expect("scalar", tensors["scalar"], ("F32", [], pack("F32", [2.5])))
    expect("empty", tensors["empty"], ("F32", [0, 3], b""))
    expect("transposed", tensors["transposed"], ("F64", [3, 2], pack("F64", [0, 3, 1, 4, 2, 5])))
    with safetensors.safe_open(folder / "shapes.safetensors", "np") as file:
        expect("metadata", file.metadata(), {"format": "pt", "note": "a \"b\"\n\u2603"})

    expect("empty file", load(folder / "none.safetensors"), {})

    model = folder / "model"
    index = json.loads((model / "model.safetensors.index.json").read_text())
    expect("total_size", index["metadata"]["total_size"], 5 * 40)
    shards = {shard: load(model / shard) for shard in set(index["weight_map"].values())}
    expect("number of shards", len(shards), 3)
    for i in range(5):
        name = f"layer.{i}"
        expect(name, shards[index["weight_map"][name]][name],
               ("F32", [10], pack("F32", [i + j for j in range(10)])))
    expect("tensors in all shards", sum(len(shard) for shard in shards.values()), 5)
    print(f"read by Python's safetensors {safetensors.__version__}")


if __name__ == "__main__":
    main()
