"""Random cases: one op with its arguments, alone or with the gradients."""

from compare import samplers_networks, samplers_tensors  # noqa: F401 (they register)
from compare.program import FLOATS, Builder, Program
from compare.samplers import SAMPLERS

VARIABLES_ONLY = {"add_layer_norm", "cross_entropy", "linear_cross_entropy", "mse_loss"}


def make_op_case(name, seed, largest=300):
    """One op, forward, or with the gradients of its arguments."""
    b = Builder(Program(f"{name}/{seed}", seed, name), largest)
    make, types, has_graph = SAMPLERS[name]
    graph = has_graph and (name in VARIABLES_ONLY or b.chance(0.4))
    b.program.dtype = b.rng.choice([t for t in types if t in FLOATS] if graph else types)
    results = make(b, name, graph)
    b.want(*results)
    if graph and b.program.leaves:
        finish_graph(b, results)
    return b.program


def finish_graph(b, results):
    """Backward passes from the results, and the gradients of all leaves."""
    b.add_backward(results)
    for leaf in b.program.leaves:
        b.want(b.step("grad", [leaf]))
