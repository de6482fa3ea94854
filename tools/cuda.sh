#!/usr/bin/env bash
# Builds the CUDA backend with nvcc, runs its tests on this machine's card, looks at a part of them
# with compute-sanitizer, measures beside PyTorch, and prints and writes benchmarks/RESULTS-cuda.md.
#   bash tools/cuda.sh [stage...]     of: build test sanitize bench torch report
# It goes on where it was cut: a stage that was done for these sources on this card is not repeated,
# unless it is named. LDLM_PYTHON names a Python that has torch (and transformers), python3 by
# default. Exit status 3 where there is no card; then what can be built has been. 2: wrong usage.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for name in "$@"; do
  if [[ " build test sanitize bench torch report " != *" $name "* ]]; then
    echo "cuda: no stage is called $name; there are: build test sanitize bench torch report" >&2
    exit 2
  fi
done

build=build-cuda
python=${LDLM_PYTHON:-python3}
nvcc=$(command -v nvcc || command -v /usr/local/cuda/bin/nvcc) || {
  echo "cuda: there is no CUDA compiler: nvcc is neither on the PATH nor in /usr/local/cuda/bin" >&2
  exit 1
}

mkdir -p "$build"
# Sources, compiler and card: what was done for others is done again.
state=$({
  find CMakeLists.txt include backends tests benchmarks/cuda tools -type f | sort | xargs cat
  "$nvcc" --version
  echo "${LDLM_CUDA_ARCHITECTURES:-}"
  nvidia-smi --query-gpu=name,compute_cap --format=csv,noheader 2>/dev/null || true
} | sha256sum | cut -c1-16)
# stage <name> <command...>: runs it, unless it is done; its output goes to <build>/<name>.log, too.
wanted=("$@")
stage() {
  local name=$1 start=$SECONDS status=0
  shift
  if [[ ${#wanted[@]} -gt 0 ]]; then
    [[ " ${wanted[*]} " == *" $name "* ]] || return 0
  elif [[ $(cat "$build/$name.done" 2>/dev/null) == "$state" ]]; then
    echo "== $name: done before"
    return 0
  fi
  echo "== $name"
  rm -f "$build/$name.done"
  "$@" 2>&1 | tee "$build/$name.log" || status=$?
  echo "== $name: $((SECONDS - start)) s, exit status $status"
  [[ $status -ne 0 ]] || echo "$state" >"$build/$name.done"
  return $status
}

build() {
  local architecture=90
  if command -v nvidia-smi >/dev/null; then
    architecture=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -1 | tr -d .) ||
      architecture=90
  fi
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLDLM_CUDA=ON \
    -DLDLM_CUDA_ARCHITECTURES="${LDLM_CUDA_ARCHITECTURES:-$architecture}" \
    -DCMAKE_CUDA_COMPILER="$nvcc" -DLDLM_CUDA_EMULATED=OFF -DLDLM_BUILD_EXAMPLES=OFF &&
    cmake --build "$build" --target ldlm_command card_tests card_torch_cases bench_cuda
}
# What a sanitizer makes a hundred times slower: some kernels of each kind.
sanitize() {
  local status=0 tool
  for tool in memcheck racecheck synccheck initcheck; do
    echo "-- $tool"
    LDLM_CUDA_CACHE=off LDLM_TEST_DEVICE=cuda LDLM_TEST_SAMPLE=1 timeout 120 compute-sanitizer --tool "$tool" \
      --error-exitcode 1 "$build/tests/card_tests" \
      --source-file='*/test_kernels_index.cpp,*/test_kernels_rows.cpp,*/test_gpt2.cpp' |
      tail -5 || status=$?
  done
  return $status
}
# The last measurement stays where one fails.
measure() { # <file> <command...>
  local file=$1
  shift
  "$@" | tee "$file.new" && mv "$file.new" "$file"
}
report() {
  local torch=()
  [[ ! -s $build/torch.jsonl ]] || torch=("$build/torch.jsonl")
  "$python" benchmarks/cuda/report.py "$build/ours.jsonl" "${torch[@]}" >"$build/report.md" &&
    cp "$build/report.md" benchmarks/RESULTS-cuda.md && cat "$build/report.md"
}

failed=0
stage build build || exit 1
if [[ ! -f $build/build.done ]]; then
  echo "cuda: not all is built yet: run the stage build" >&2
  exit 1
fi
"$build/ldlm" devices
if "$build/ldlm" --json devices | grep -q '"device":"cuda".*"error"'; then
  echo "cuda: all is built, and nothing can be run: there is no card" >&2
  exit 3
fi
stage test ctest --test-dir "$build" -L card --output-on-failure || failed=1
PATH=$PATH:$(dirname "$nvcc")
if command -v compute-sanitizer >/dev/null; then
  stage sanitize sanitize || failed=1
else
  echo "== sanitize: skipped, there is no compute-sanitizer"
fi
stage bench measure "$build/ours.jsonl" "$build/benchmarks/cuda/bench_cuda" || failed=1
if "$python" -c 'import torch' 2>/dev/null; then
  stage torch measure "$build/torch.jsonl" "$python" benchmarks/cuda/bench_torch.py || failed=1
else
  echo "== torch: skipped, $python has no torch; name one that has it in LDLM_PYTHON"
fi
stage report report || failed=1
exit $failed
