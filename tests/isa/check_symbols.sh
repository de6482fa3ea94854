#!/usr/bin/env bash
# check_symbols.sh <archive of ldlm::ldlm's units>
# The linker takes one copy of a function that several units have, and the baseline's must be it: a
# function of a wider unit must be named for its instruction set or be in the baseline unit too.
set -euo pipefail

archive=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# "archive:member:address kind name" -> names that other objects may take from this one.
weak() {
  nm -A -C "$archive" | sed -n "s/.*:$1\.cpp\.o:[0-9a-f]* [WVu] //p" | sort -u
}
weak baseline >"$folder/baseline"
[[ -s $folder/baseline ]] || { echo "no functions in $archive"; exit 1; }
for unit in avx2 avx512; do
  weak "$unit" | grep -v -E 'xsimd::(fma3|avx)' >"$folder/shared" || true
  if comm -13 "$folder/baseline" "$folder/shared" | grep .; then
    echo "only the unit $unit has these, but other units may take them"
    exit 1
  fi
done
