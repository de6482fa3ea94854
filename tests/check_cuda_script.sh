#!/usr/bin/env bash
# What tools/cuda.sh says before it builds anything, with a compiler that only has a version.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{tools,include,backends,tests,benchmarks/cuda,bin}
touch "$work/CMakeLists.txt"
cp "$root/tools/cuda.sh" "$work/tools"
printf '#!/bin/sh\necho 13.0\n' >"$work/bin/nvcc"
chmod +x "$work/bin/nvcc"

expect() { # <status> <part of the output> <argument...>
  local wanted=$1 part=$2 status=0 output
  shift 2
  output=$(PATH=$work/bin:$PATH bash "$work/tools/cuda.sh" "$@" 2>&1) || status=$?
  if [[ $status -ne $wanted || $output != *"$part"* ]]; then
    echo "tools/cuda.sh $*: status $status, not $wanted, or not \"$part\": $output"
    exit 1
  fi
}
expect 2 'no stage is called biuld; there are: build test' biuld
expect 2 'no stage is called --help' --help
expect 1 'not all is built yet: run the stage build' test
expect 1 'not all is built yet' report bench
echo "tools/cuda.sh refuses what it cannot do"
