"""Makes a failing case small: fewer steps, fewer wanted results, shorter axes, plainer numbers."""

import copy

import torch

from compare import driver
from compare.expected import expected, quiet


def fails(path, program):
    """Why a case fails, or None; one that PyTorch refuses is none."""
    try:
        with quiet():
            results = expected(program)
    except (RuntimeError, IndexError, ValueError, TypeError, AttributeError):
        return None
    if (not results or not program.wants) and not program.throws:
        return None
    why = driver.run(path, [(program, results)]).failed.get(program.id)
    return why if why is None or not why.startswith("threw [cases]") else None


def without(values, i):
    return values[:i] + values[i + 1 :]


def used(program):
    """Without inputs and steps that nothing depends on."""
    needed = set(program.wants)
    steps = []
    for step in reversed(program.steps):
        names, op, arguments, _ = step
        effect = op == "backward" or (op.endswith("_") and any(a in needed for a in arguments))
        if effect or any(n in needed for n in names):
            steps.append(step)
            needed |= set(arguments)
    program.steps = steps[::-1]
    program.inputs = {k: v for k, v in program.inputs.items() if k in needed}
    return program


def candidates(program):
    """Smaller versions, the smallest first."""
    for i in range(len(program.wants)):
        if len(program.wants) > 1:
            smaller = copy.copy(program)
            smaller.wants = [program.wants[i]]
            yield used(smaller)
    for i, (names, op, arguments, _) in enumerate(program.steps):
        if len(names) <= 1 and op not in ("leaf", "grad"):  # an argument in place of its result
            for argument in (a for a in arguments if a):
                smaller = copy.copy(program)
                rename = {n: argument for n in names}
                smaller.steps = [[r, o, [rename.get(a, a) for a in args], opts]
                                 for r, o, args, opts in without(program.steps, i)]  # fmt: skip
                smaller.wants = [rename.get(w, w) for w in program.wants]
                yield used(smaller)
    extents = sorted({e for v in program.inputs.values() for e in v.shape if e > 1}, reverse=True)
    for extent in extents:  # one extent everywhere, so that shapes go on fitting
        for shorter in (1, extent // 2, extent - 1):
            if 1 <= shorter < extent:
                for from_end in (False, True):
                    smaller = copy.copy(program)
                    smaller.inputs = {k: cut(v, extent, shorter, from_end) for k, v in program.inputs.items()}
                    smaller.steps = [[r, o, a, cut_options(opts, extent, shorter)]
                                     for r, o, a, opts in program.steps]  # fmt: skip
                    yield smaller
    for name, value in program.inputs.items():
        for plain in (torch.zeros_like(value), torch.ones_like(value), value.new_tensor(2).expand(value.shape)):
            if not value.equal(plain) and value.is_floating_point():
                smaller = copy.copy(program)
                smaller.inputs = dict(program.inputs, **{name: plain.clone()})
                yield smaller


def cut(tensor, extent, shorter, from_end):
    for axis in range(tensor.dim()):
        if tensor.shape[axis] == extent:
            tensor = tensor.narrow(axis, extent - shorter if from_end else 0, shorter)
    if tensor.dtype == torch.int64 and tensor.numel():
        tensor = tensor.clamp(max=max(shorter - 1, 0)) if tensor.max() < extent else tensor
    return tensor.contiguous()


def cut_options(options, extent, shorter):
    changed = dict(options)
    if "shape" in options:
        changed["shape"] = [shorter if e == extent else e for e in options["shape"]]
    return changed


def shrink(path, program, why, budget=150):
    """The smallest version that is found within so many tries and fails in the same way."""
    if program.throws:  # any smaller one may rightly not throw
        return program
    threw = why.startswith("threw")
    progress = True
    while progress and budget > 0:
        progress = False
        for smaller in candidates(program):
            budget -= 1
            if weight(smaller) >= weight(program):
                continue
            reason = fails(path, smaller)
            if reason is not None and reason.startswith("threw") == threw:
                program, progress = smaller, True
                break
            if budget <= 0:
                break
    return program


def weight(program):
    elements = sum(v.numel() for v in program.inputs.values())
    odd = sum(int((v != v.round()).sum()) if v.is_floating_point() else 0 for v in program.inputs.values())
    nonzero = sum(int((v != 0).sum()) for v in program.inputs.values())
    return (len(program.wants) + len(program.steps), elements, odd, nonzero)


def report(path, program, why):
    """A failure as text."""
    small = shrink(path, program, why)
    lines = [f"---- {program.id} ({program.dtype}); --op {program.op} --seed {program.seed} --cases 1"]
    for name, value in small.inputs.items():
        torch.set_printoptions(precision=9 if value.dtype != torch.float64 else 17, threshold=40)
        lines.append(f"{name} = {value.dtype} {list(value.shape)} {value.tolist() if value.numel() <= 40 else value}")
    for names, op, arguments, options in small.steps:
        lines.append(f"{', '.join(names)} = {op}({', '.join(arguments)}) {options or ''}")
    lines.append(f"{fails(path, small) or why}")
    return "\n".join(lines)
