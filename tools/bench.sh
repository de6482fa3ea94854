#!/usr/bin/env bash
# Builds the benchmarks, runs them beside their peers and writes benchmarks/RESULTS.md:
#   bash tools/bench.sh [NAME...]      e.g. gemm tokenizers; all, if none is named
# Results of earlier runs stay in the report until they are made again. Peers from Python go into a
# virtual environment, build-release/peers; LDLM_BENCH_PYTHON names another Python that has them.
# LDLM_BENCH_LLMC names a folder in which llm.c's train_gpt2 was built. LDLM_BENCH_DATA (../shared)
# is where a text and tokenizers are looked for, which the repository does not carry.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD

all=(machine gemm memory shapes tokenizers safetensors compile encode attention train generate
  perplexity peak diffusion ldlm)
names=("$@")
[[ $# -eq 0 ]] && names=("${all[@]}")
for name in "${names[@]}"; do
  if [[ " ${all[*]} " != *" $name "* ]]; then
    echo "bench: no benchmark is called $name; there are: ${all[*]}" >&2
    exit 2
  fi
done

bash tools/setup.sh bench
cmake --preset release
targets=()
for name in "${names[@]}"; do
  [[ $name != compile ]] && targets+=("bench_$name")
done
[[ ${#targets[@]} -gt 0 ]] && cmake --build --preset release --target "${targets[@]}"

# The peers' Python. llama.cpp is compiled, for this processor; where that fails, the others are there.
if [[ -z ${LDLM_BENCH_PYTHON:-} ]]; then
  peers=$root/build-release/peers
  if [[ ! -e $peers/complete ]]; then
    python3 -m venv "$peers"
    "$peers/bin/pip" install -q torch transformers tokenizers safetensors numpy onnxruntime onnx &&
      "$peers/bin/pip" install -q gguf llama-cpp-python && touch "$peers/complete" ||
      echo "bench: the peers from Python could not all be installed" >&2
  fi
  export LDLM_BENCH_PYTHON=$peers/bin/python
fi

data=${LDLM_BENCH_DATA:-$root/../shared}
[[ -f $data/data/wikitext/wiki.test.raw ]] &&
  export LDLM_BENCH_TEXT=${LDLM_BENCH_TEXT:-$data/data/wikitext/wiki.test.raw}
[[ -d $data/tokenizers ]] && export LDLM_BENCH_TOKENIZERS=${LDLM_BENCH_TOKENIZERS:-$data/tokenizers}

results=$root/build-release/results
mkdir -p "$results"
for name in "${names[@]}"; do
  echo "== $name"
  if [[ $name == compile ]]; then
    "$LDLM_BENCH_PYTHON" benchmarks/compile_time.py "$root" >"$results/$name.partial"
  else
    "build-release/benchmarks/bench_$name" --benchmark_out="$results/$name.partial" \
      --benchmark_out_format=json
  fi
  mv "$results/$name.partial" "$results/$name.json"
  python3 benchmarks/report.py "$results" benchmarks
  python3 benchmarks/chart.py benchmarks/results.json docs/performance.svg
done
