#!/usr/bin/env bash
# check_complete.sh TORCH_CASES: every public function of core/ops and autograd/functions is among
# the ops that cases may call, so that a new one is compared with PyTorch from its first day.
set -euo pipefail
driver=$1

# The functions of a folder, outside namespace detail: the word before the first parenthesis of a
# declaration that begins a line (or follows its template on the same line).
functions() {
  awk '
    /^namespace detail/ { inside = 1 }
    /^}  \/\/ namespace detail/ { inside = 0 }
    inside || /^ / || /^\/\// || /^#/ || /^[a-z]*struct/ || /^using/ || /LDLM_/ { next }
    /\(/ {
      line = $0
      sub(/^template <[^(]*> requires detail::VariablePair<A, B> /, "", line)
      while (sub(/^template <[^<>]*> /, "", line)) {}
      if (line ~ /^requires/) next
      sub(/\(.*/, "", line)
      n = split(line, words, " ")
      if (n >= 2) print words[n]
    }' "$@" | sort -u
}

# Those of the list that both kinds are made of.
listed_functions() {
  sed -n 's/^  X(\([a-z_0-9]*\), .*/\1/p' include/ldlm/core/kernel_ops.hpp
}

status=0
for kind in tensors variables; do
  folder=include/ldlm/core/ops
  [[ $kind == tensors ]] || folder=include/ldlm/autograd/functions
  names=$({ functions $folder/*.hpp; listed_functions; } | sort -u)
  # The patterns above must go on finding what is there.
  for known in add softmax sum gather matmul 'operator-' exp; do
    grep -qxF -- "$known" <<<"$names" || { echo "check_complete: no $known found in $folder"; exit 1; }
  done
  listed=$("$driver" --list | sed -n "s/^$kind //p")
  missing=$(comm -23 <(echo "$names") <(sort -u <<<"$listed"))
  if [[ -n $missing ]]; then
    echo "no case can call these functions of $kind; add them to tests/cases:" $missing
    status=1
  fi
done
[[ $status -eq 0 ]] && echo "every function is in the table"
exit $status
