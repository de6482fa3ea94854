#!/usr/bin/env bash
# check.sh <compiler> <flags...>: prefetches in lambdas must reach the machine code. g++ drops calls
# of functions that do nothing else.
set -euo pipefail

assembly=$("$1" -std=c++20 -O2 -S -o - "${@:2}" "$(dirname "${BASH_SOURCE[0]}")/prefetch.cpp")
count=$(grep -c '^[[:space:]]*prefetch' <<<"$assembly" || true)
[[ $count -eq 4 ]] || { echo "$count of 4 prefetches are left"; exit 1; }
