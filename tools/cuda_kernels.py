#!/usr/bin/env python3
"""Prints what ptxas makes of each kernel of the CUDA backend, as the table of docs/cuda.md.

usage: cuda_kernels.py [ARCHITECTURE [FILE.cu...]]        (90 and all of them by default; minutes)

A row is a kernel of a file, in all its instantiations; "29-80" are the least and the most of them.
Exit status 1 if one spills registers, 2 if something is not as it should be.
"""
import collections
import math
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Warps and KiB of shared memory of a multiprocessor, by architecture.
SIZES = {80: (64, 164), 86: (48, 100), 89: (48, 100), 90: (64, 228), 100: (64, 228),
         103: (64, 228), 120: (48, 100)}
MEMORY = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
WITHOUT_KERNELS = {"runtime.cu", "table.cu"}
Kernel = collections.namedtuple("Kernel", "name threads registers shared stack spilled")


def fail(message):
    print(f"cuda_kernels: {message}", file=sys.stderr)
    sys.exit(2)


def tool(*names):
    for name in names:
        found = shutil.which(name) or shutil.which(name, path="/usr/local/cuda/bin")
        if found:
            return found
    return fail(f"there is no {' and no '.join(names)}")


def output(*command, **options):
    done = subprocess.run(command, text=True, capture_output=True, **options)
    if done.returncode != 0:
        fail(f"{' '.join(map(str, command))}:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def kernels_of(source, architecture, nvcc, demangler):
    """What ptxas reports of the kernels of a file, and how many threads their PTX says."""
    with tempfile.TemporaryDirectory() as folder:
        report = output(nvcc, "-std=c++20", "-O3", "--expt-relaxed-constexpr",
                        f"-arch=sm_{architecture}", "-Iinclude", "-Ibackends", "-DLDLM_LINKED",
                        "-Xptxas", "-v", "-keep", "-keep-dir", folder, "-c", source,
                        "-o", f"{folder}/out.o", cwd=ROOT)
        ptx = pathlib.Path(folder, f"{source.stem}.ptx").read_text()
    # Between the parameters and the body of an entry are its bounds.
    threads = {name: re.search(r"\.maxntid (\d+)(?:, (\d+))?(?:, (\d+))?", bounds)
               for name, bounds in re.findall(r"\.entry (\w+)\([^)]*\)([^{]*)\{", ptx)}
    found = {}
    for part in report.split("Compiling entry function '")[1:]:
        name = part.split("'")[0]
        registers = re.findall(r"Used (\d+) registers", part)
        shared = re.search(r"(\d+) bytes smem", part)
        memory = MEMORY.findall(part)  # of the kernel, and of functions that it calls
        if len(registers) != 1 or not memory or name not in threads or name in found:
            fail(f"{source}: ptxas' report has another form:\n{part}")
        bounds = threads[name]
        found[name] = Kernel(
            name, math.prod(int(n or 1) for n in bounds.groups()) if bounds else None,
            int(registers[0]), int(shared[1]) if shared else 0,
            sum(int(stack) for stack, _, _ in memory),
            sum(int(stores) + int(loads) for _, stores, loads in memory))
    if found.keys() != threads.keys() or bool(found) == (source.name in WITHOUT_KERNELS):
        fail(f"{source}: ptxas reports {len(found)} kernels, the PTX has {len(threads)}")
    for name, full in zip(found, output(demangler, input="\n".join(found)).splitlines()):
        plain = full.replace("(anonymous namespace)::", "")
        short = re.match(r"(?:void )?(?:\w+::)*(\w+)[<(]", plain) or fail(f"what is {full}?")
        yield found[name]._replace(name=short[1])


def resident_warps(kernel, warps, shared_kib):
    """How many have room, by registers and by shared memory (None: that depends on the block).

    Registers go to a warp in units of 256, a quarter of them to each quarter of a multiprocessor;
    shared memory to a block in units of 128 bytes, and 1 KiB of its own. Of blocks only whole ones
    are resident, at most 32."""
    by_registers = 65536 // (-(-kernel.registers * 32 // 256) * 256) // 4 * 4
    if kernel.threads is None:
        return min(warps, by_registers), None if kernel.shared else warps
    block = -(-kernel.threads // 32)
    most = min(warps // block, 32)
    by_shared = shared_kib * 1024 // (-(-kernel.shared // 128) * 128 + 1024)
    return min(most, by_registers // block) * block, min(most, by_shared) * block


def span(values):
    values = set(values)
    if None in values:
        return "-"
    return min(values) if len(values) == 1 else f"{min(values)}-{max(values)}"


def main():
    architecture = int(sys.argv[1]) if len(sys.argv) > 1 else 90
    sizes = SIZES.get(architecture) or fail(f"sm_{architecture} is not one of {sorted(SIZES)}")
    nvcc, demangler = tool("nvcc"), tool("cu++filt", "c++filt")
    release = re.search(r"release .*V([\d.]+)", output(nvcc, "--version"))[1]
    sources = [pathlib.Path(name).resolve() for name in sys.argv[2:]]
    print(f"Made by nvcc {release} for sm_{architecture}, and printed by "
          f"`python3 tools/cuda_kernels.py {architecture}`.\n")
    print("| kernel | file | instances | block | registers | shared | stack | spilled "
          f"| warps of {sizes[0]}, by registers | by shared |")
    print("|---|---|" + "--:|" * 8)
    spilled = False
    for source in sources or sorted(ROOT.glob("backends/ldlm_cuda/*.cu")):
        rows = collections.defaultdict(list)
        for kernel in kernels_of(source, architecture, nvcc, demangler):
            rows[kernel.name].append(kernel)
            spilled |= kernel.spilled > 0
        for name, kernels in rows.items():
            limits = zip(*(resident_warps(kernel, *sizes) for kernel in kernels))
            columns = [*list(zip(*kernels))[1:], *limits]  # all but their name
            cells = [f"`{name}`", source.name, len(kernels), *map(span, columns)]
            print("|", " | ".join(map(str, cells)), "|", flush=True)
    sys.exit(spilled)


if __name__ == "__main__":
    main()
