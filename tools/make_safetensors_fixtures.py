#!/usr/bin/env python3
"""Writes tests/golden/safetensors/*.safetensors with Python's safetensors.

Needs: pip install safetensors numpy torch. The values are rules that the tests know:
element i of every tensor is derived from i alone.
"""

import json
import pathlib
import struct

import numpy as np
import safetensors
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_torch_file

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "safetensors"


def raw_file(path, tensors):
    """A file of any dtypes, from (name, dtype, shape, bytes), in the order given."""
    header, data = {}, b""
    for name, dtype, shape, content in tensors:
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    blob = struct.pack("<Q", len(text)) + text + data
    safetensors.deserialize(blob)  # Python must accept it
    path.write_bytes(blob)


def main():
    OUT.mkdir(parents=True, exist_ok=True)

    # Every dtype with a tensor type of ours: element i is i - 4 (unsigned and bool: i, i odd).
    i = torch.arange(12)
    signed = {
        "f64": torch.float64, "f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16,
        "i64": torch.int64, "i32": torch.int32, "i16": torch.int16, "i8": torch.int8,
    }
    unsigned = {"u64": torch.uint64, "u32": torch.uint32, "u16": torch.uint16, "u8": torch.uint8}
    tensors = {name: (i - 4).to(dtype).reshape(3, 4) for name, dtype in signed.items()}
    tensors |= {name: i.to(dtype).reshape(3, 4) for name, dtype in unsigned.items()}
    tensors["bool"] = (i % 2 == 1).reshape(3, 4)
    save_torch_file(tensors, str(OUT / "dtypes.safetensors"))

    # Shapes that are easily got wrong, odd names, metadata.
    save_file(
        {
            "scalar": np.array(2.5, np.float32),
            "empty": np.zeros((0, 3), np.float32),
            "one": np.array([-1.0], np.float32),
            "rank7": np.arange(2, dtype=np.float32).reshape(1, 1, 1, 2, 1, 1, 1),
            "odd": np.arange(3, dtype=np.uint8),
            "gr\u00f6\u00dfe \u2603 \U0001f600 \"quoted\\": np.arange(2, dtype=np.int16),
            "nan": np.array([np.nan, np.inf, -np.inf, -0.0], np.float32),
        },
        str(OUT / "shapes.safetensors"),
        metadata={"format": "pt"},
    )
    save_file({}, str(OUT / "none.safetensors"))

    # All 256 codes of each 8-bit float, beside the values that torch gives them.
    codes = torch.arange(256, dtype=torch.uint8)
    eight = {
        "F8_E5M2": torch.float8_e5m2, "F8_E4M3": torch.float8_e4m3fn,
        "F8_E8M0": torch.float8_e8m0fnu, "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
        "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    }
    rows = [(name, name, [256], codes.numpy().tobytes()) for name in eight]
    rows += [(name + ".f32", "F32", [256], codes.view(dtype).float().numpy().tobytes())
             for name, dtype in eight.items()]
    raw_file(OUT / "float8.safetensors", rows)

    # Types that can be inspected only; and a header of odd length, so that nothing is aligned.
    raw_file(OUT / "other.safetensors", [
        ("f4", "F4", [2, 3], bytes(3)), ("f6a", "F6_E2M3", [4], bytes(3)),
        ("f6b", "F6_E3M2", [8], bytes(6)), ("c64", "C64", [2], bytes(16)),
    ])
    values = np.arange(5, dtype=np.float32)
    header = json.dumps({"x": {"dtype": "F32", "shape": [5], "data_offsets": [0, 20]}}).encode()
    header += b" " * (1 - len(header) % 2)
    blob = struct.pack("<Q", len(header)) + header + values.tobytes()
    safetensors.deserialize(blob)
    (OUT / "misaligned.safetensors").write_bytes(blob)

    for path in sorted(OUT.iterdir()):
        print(f"{path.stat().st_size:6d} {path.name}")


if __name__ == "__main__":
    main()
