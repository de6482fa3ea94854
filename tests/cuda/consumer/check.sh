#!/usr/bin/env bash
# check.sh <source dir> <build dir> <work dir> <compiler>
# Builds a project that uses an installed copy with its CUDA backend, for the architectures that
# LDLM_CUDA_ARCHITECTURES names, one by default; no warning may come, and no kernel may spill
# registers, as ptxas reports. Then runs it, on a card or without. Prints kernels, registers and
# shared memory.
set -euo pipefail

source_dir=$1 build=$2 work=$3 compiler=$4
nvcc=$(command -v nvcc || command -v /usr/local/cuda/bin/nvcc) || {
  echo "skipped: nvcc is not installed"
  exit 77
}
rm -rf "$work"
mkdir -p "$work"
cmake --install "$build" --prefix "$work/prefix" >"$work/install.log"
cmake -S "$source_dir/tests/cuda/consumer" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_CUDA_COMPILER="$nvcc" -DCMAKE_CUDA_FLAGS=-Xptxas=-v \
  -DLDLM_CUDA_ARCHITECTURES="${LDLM_CUDA_ARCHITECTURES:-90-real}" -DCMAKE_PREFIX_PATH="$work/prefix" \
  -DCMAKE_CXX_COMPILER_LAUNCHER="$(command -v ccache || true)" >"$work/configure.log"
cmake --build "$work/build" >"$work/build.log" 2>&1 || { tail -50 "$work/build.log" && exit 1; }
if grep -i 'warning' "$work/build.log"; then
  echo "nvcc warns"
  exit 1
fi
awk '
  /spill stores/ {
    kernels++
    if ($0 !~ / 0 bytes spill stores, 0 bytes spill loads/) { print "spills: " name "\n" $0; spills++ }
  }
  /Compiling entry function/ { name = $0; sub(/^.*function ./, "", name); sub(/. for.*$/, "", name) }
  match($0, /Used [0-9]+ registers/) {
    registers = substr($0, RSTART + 5, RLENGTH - 15) + 0
    if (registers > most) { most = registers; which = name }
  }
  match($0, /[0-9]+ bytes smem/) {
    bytes = substr($0, RSTART, RLENGTH - 11) + 0
    if (bytes > shared) { shared = bytes }
  }
  END {
    print kernels " kernels, none of which may spill: " spills + 0 " do; at most " most \
      " registers (" which "), " shared + 0 " bytes of static shared memory"
    exit kernels < 100 || spills > 0 || most == 0
  }' "$work/build.log"
output=$("$work/build/consumer")
printf '%s\n' "$output"
grep -Eq '^cuda: (\[cuda\] no card can be used: .*|.*compute capability.*)$' <<<"$output"
