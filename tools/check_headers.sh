#!/usr/bin/env bash
# Checks that every header compiles by itself, without warnings:
#   bash tools/check_headers.sh [compiler, c++ by default] [more flags]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

compiler=${1:-c++}
shift || true
if ! command -v "$compiler" >/dev/null; then
  echo "skipped: $compiler is not installed"
  exit 77
fi

check_header() {
  local header=$1 && shift
  # As an input of its own, a header would draw a warning about `#pragma once`.
  local name=${header#include/}
  name=${name#backends/}
  printf '#include <%s>\n' "$name" |
    "$@" -x c++ -std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror \
      -Iinclude -Ibackends - || { echo "$header does not compile by itself" && return 1; }
}
export -f check_header

headers=$(find include backends -name '*.hpp' | sort)
xargs -P "$(nproc)" -I{} bash -c 'check_header "$@"' _ {} "$compiler" "$@" <<<"$headers"
echo "$(wc -l <<<"$headers") headers compile by themselves"
