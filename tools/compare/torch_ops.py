"""All ops of the cases' table in PyTorch."""

from compare import ops_elementwise, ops_networks, ops_tensors
from compare.op_table import DTYPES, OPS, Noise, noisy

__all__ = ["DTYPES", "OPS", "Noise", "noisy", "ops_elementwise", "ops_networks", "ops_tensors"]
