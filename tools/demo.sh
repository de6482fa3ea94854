#!/usr/bin/env bash
# Installs what is missing, builds the ldlm command and shows one sentence go through the
# latent diffusion language model:  bash tools/demo.sh ["a sentence"]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash tools/setup.sh demo

log=build/demo.log
mkdir -p build
[[ -x build/ldlm ]] || echo "Building the ldlm command into build/ (once, a few minutes) ..."
if ! {
  cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DLDLM_BUILD_TESTS=OFF \
    -DLDLM_BUILD_EXAMPLES=OFF -DLDLM_BUILD_BENCHMARKS=OFF -DLDLM_WERROR=OFF &&
    cmake --build build --target ldlm_command
} >"$log" 2>&1; then
  tail -n 40 "$log" >&2
  echo "demo: the build failed (all of its output is in $log)" >&2
  exit 1
fi

build/ldlm demo --model weights/ldlm-tiny "$@"
