#!/usr/bin/env bash
# check.sh <compiler> <file> <flags...>: the file must compile as it is, and must not compile with
# -DLDLM_MUST_FAIL. Then the compiler's message must hold the text of the line `// expect: text`,
# so that the file cannot fail for another reason. A line `// flags: ...` names flags of both.
set -uo pipefail

compiler=$1 file=$2
shift 2
read -ra flags < <(sed -n 's|^// flags: ||p' "$file")
compile() { "$compiler" -std=c++20 -fsyntax-only "${flags[@]}" "$@" "$file" 2>&1; }

if ! output=$(compile "$@"); then
  printf '%s\n' "$output"
  echo "$file must compile without LDLM_MUST_FAIL"
  exit 1
fi
if output=$(compile "$@" -DLDLM_MUST_FAIL); then
  echo "$file must not compile with LDLM_MUST_FAIL"
  exit 1
fi
expected=$(sed -n 's|^// expect: ||p' "$file")
if [[ -z $expected ]]; then
  echo "$file has no line '// expect: text'"
  exit 1
fi
if ! grep -qE -- "$expected" <<<"$output"; then
  printf '%s\n' "$output"
  echo "$file fails, but the message lacks: $expected"
  exit 1
fi
