"""The right values of a case, and how far from them a right result may lie.

The value is PyTorch's in double, for cases in float; for cases in double it is PyTorch's own. What
PyTorch computes in the case's own type is right too, where it is another (an intermediate
overflow, say).

How far: an op of one function of its arguments has its error in units of the last place
(op_table.Op.ulps). For all others the case runs several times with the noise of rounding: the
arguments of each op, and its results, are changed by one relative rounding error of random sign (once
of one sign), those of sums of n terms by n of them, as a sum in sequence may be off. The largest change that is
seen, times SAFETY, is what rounding may do; it grows where terms cancel and nowhere else.
"""

import contextlib
import math

import numpy
import torch

from compare.torch_ops import DTYPES, OPS, Noise, noisy

SAFETY = 4.0
# In double: far above its rounding, far below where curvature counts; and smaller ones, for rows that
# are equal but for less than that. Each is tried so often that the changes hardly all cancel.
TRIALS = {2.0**-26: 12, 2.0**-40: 6}
EPSILON = {torch.float32: 2.0**-24, torch.float64: 2.0**-53, torch.float16: 2.0**-11,
           torch.bfloat16: 2.0**-8}  # fmt: skip
UNRECORDED = ("backward", "grad", "value", "leaf", "detach", "constant")
FLUSHING = ("exp", "erf", "sigmoid", "silu", "gelu", "gelu_tanh", "softmax", "log_softmax", "pow", "cross_entropy",
            "linear_cross_entropy", "cross_entropy_rows", "scaled_dot_product_attention")  # fmt: skip
IN_PLACE = ("unary_", "add_", "sub_", "mul_", "div_", "axpy_", "index_add_", "index_copy_",
            "scatter_add_", "matmul_into")  # fmt: skip


def execute(program, wide, noise=0.0, careful=False):
    """The wanted values. `wide`: floats of the case's type run in double; `careful`: by the formulas
    that lose no digits, where PyTorch's do."""
    narrow = DTYPES[program.dtype]
    widened = {narrow: torch.float64} if wide and narrow.is_floating_point else {}
    values = {"": None}
    for name, tensor in program.inputs.items():
        values[name] = tensor.clone().to(widened.get(tensor.dtype, tensor.dtype))
    count = max([1] + [t.numel() for t in program.inputs.values()])
    Noise.size = noise
    for names, op, arguments, options in program.steps:
        entry = OPS[op]
        args = [values[a] for a in arguments]
        if noise and not entry.view and not entry.exact:
            depth = entry.depth(args, options)
            amplitude = math.sqrt(depth) if op in IN_PLACE else depth
            fixed = 1 if op in IN_PLACE and op != "matmul_into" else 0
            if op == "matmul_into":
                args = [noisy(a, amplitude, 1) for a in args[:2]] + args[2:]
            else:
                args = args[:fixed] + [noisy(a, amplitude, max(depth, math.sqrt(count))) for a in args[fixed:]]
            results = (entry.careful or entry.run)(args, options)
            if op in IN_PLACE:
                target = args[2] if op == "matmul_into" else args[0]
                target.copy_(Noise.of(target, amplitude))
            else:
                results = [noisy(r, 1, math.sqrt(count)) for r in results]
        else:
            if noise and op not in UNRECORDED:  # its gradients are sums all the same
                args = [noisy(a, 0, math.sqrt(count)) if a is not None and a.requires_grad else a for a in args]
            results = (entry.careful if careful and entry.careful else entry.run)(args, options)
        values.update(zip(names, results))
    Noise.size = 0.0
    return {name: values[name].detach().clone().contiguous() for name in program.wants}


def ulp(values, dtype):
    """The distance of numbers of the type at these values, in double."""
    if dtype in (torch.float32, torch.float64):
        kind = numpy.float32 if dtype == torch.float32 else numpy.float64
        with numpy.errstate(all="ignore"):
            narrow = numpy.abs(numpy.asarray(values.numpy(), dtype=kind))
            narrow = numpy.minimum(narrow, numpy.finfo(kind).max)
            return torch.from_numpy(numpy.asarray(numpy.abs(numpy.spacing(narrow)), dtype=numpy.float64))
    return values.abs().double() * EPSILON[dtype] * 2


def may_flush(program):
    """Whether an exponential takes part, whose results below 200 times the smallest normal number
    may be zeros (ldlm_simd/math.hpp)."""
    return any(op in FLUSHING or options.get("of") in FLUSHING or options.get("activation", "none") != "none"
               for _, op, _, options in program.steps)


def single_ulps(program):
    """The units in the last place of a case of one op without gradients, or None."""
    ulps = None
    for _, op, _, options in program.steps:
        entry = OPS[op]
        if op in ("backward", "grad"):
            return None
        if entry.view:
            continue
        if ulps is not None:
            return None
        inner = OPS[options["of"]] if op in ("unary", "unary_") else entry
        ulps = 0.0 if inner.exact else inner.ulps
        if ulps is None:
            return None
    return ulps


def expected(program):
    """name -> (want, slack or None, peer or None) for each wanted result, or None: an error."""
    if program.throws:
        return None
    dtype = DTYPES[program.dtype]
    native = execute(program, wide=False)
    exact = single_ulps(program)
    if not dtype.is_floating_point or program.native or dtype in (torch.float16, torch.bfloat16):
        return {name: (value, None, None) for name, value in native.items()}
    truth = execute(program, wide=True, careful=True)
    if exact is None:
        torch.manual_seed(program.seed)
        Noise.generator.manual_seed(program.seed)
        spread = {name: torch.zeros(value.shape, dtype=torch.float64) for name, value in truth.items()}
        for noise, trial in [(noise, trial) for noise, count in TRIALS.items() for trial in range(count)]:
            Noise.common = trial == 0
            for name, value in execute(program, wide=True, noise=noise).items():
                if value.is_floating_point():
                    change = (value.double() - truth[name].double()).abs() / noise
                    spread[name] = torch.maximum(spread[name], torch.nan_to_num(change, 0.0, 0.0, 0.0))
    out = {}
    for name, right in truth.items():
        if not native[name].is_floating_point():
            out[name] = (native[name], None, None)
            continue
        result_type = native[name].dtype
        want = right.to(result_type)
        wide = right.double()
        if exact is None:
            size = torch.maximum(wide.abs(), torch.nan_to_num(native[name].double().abs(), 0.0))
            # 16 of the smallest numbers, where all is subnormal.
            least = ulp(torch.zeros((), dtype=torch.float64), result_type)
            slack = SAFETY * EPSILON[result_type] * spread[name] + 2 * ulp(size, result_type) + 16 * least
        else:
            # The units of ours, and one of PyTorch's own where there is no wider oracle.
            units = exact + (1 if dtype == torch.float64 and exact > 0 else 0)
            slack = units * ulp(wide, result_type)
        if may_flush(program):
            slack = slack + 200 * torch.finfo(result_type).tiny
        largest = torch.finfo(result_type).max
        slack = torch.nan_to_num(slack, 0.0, largest, 0.0).clamp(max=largest).to(result_type)
        slack = torch.nextafter(slack, torch.tensor(largest, dtype=result_type))  # it was rounded
        peer = native[name] if differs(want, native[name], slack) else None
        out[name] = (want, slack if exact is None or exact > 0 else None, peer)
    return out


def differs(want, peer, slack):
    a, b = want.double(), peer.double()
    same = (a == b) | (torch.isnan(a) & torch.isnan(b)) | ((a - b).abs() <= slack)
    return not bool(same.all())


@contextlib.contextmanager
def quiet():
    """Without PyTorch's warnings about degrees of freedom and the like."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
