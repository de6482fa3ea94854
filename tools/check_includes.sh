#!/usr/bin/env bash
# Checks the order of the house:
#   - a file includes only files of lower levels, or of its own folder, and never in a circle;
#   - every include of ours names a file that exists;
#   - xsimd stays in ldlm_simd, nlohmann-json in json/impl/parse.hpp, <iostream> out of the library;
#   - what differs between versions of xsimd is called in ldlm_simd/batch.hpp alone;
#   - bodies (the folders impl) are included by <ldlm/bodies.hpp>, and by other files of their folder:
#     by headers at their end only, after #ifndef LDLM_LINKED;
#   - CONTRIBUTING.md's table has each folder, what it may include, its files and lines (by 10%);
#   - no source file is longer than 600 lines (generated tables, *_tables.hpp, aside).
set -euo pipefail
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/..}"

# What each folder may include besides itself. The umbrella may include everything.
declare -A allowed=(
  [core]=""
  [files]="core"
  [json]="core"
  [text]="core files json"
  [io]="core files json"
  [autograd]="core"
  [nn]="core autograd"
  [optim]="core autograd nn"
  [models]="core files json autograd nn io text"
  [diffusion]="core autograd nn"
  [generate]="core files json autograd nn io text models"
  [train]="core files json autograd nn optim io text models"
  [latent_diffusion]="core files json autograd nn optim io text models diffusion generate train"
  [ldlm_bf16]="core"
  [ldlm_reference]="core ldlm_bf16"
  [ldlm_simd]="core ldlm_bf16 ldlm_reference"
  [ldlm_cuda]="core"
)
max_lines=600
status=0
report() {
  echo "$1"
  status=1
}

# folder_of include/ldlm/nn/linear.hpp -> nn; backends/ldlm_simd/gemm.hpp -> ldlm_simd
folder_of() {
  case $1 in
    include/ldlm/*/*) local rest=${1#include/ldlm/}; echo "${rest%%/*}" ;;
    include/ldlm/*) echo umbrella ;;
    backends/*) local rest=${1#backends/}; echo "${rest%%/*}" ;;
  esac
}

graph=$(mktemp)
trap 'rm -f "$graph"' EXIT

while read -r file; do
  report "$file: of another kind than .hpp, .cuh, .cu and .cpp"
done < <(find include backends -type f | grep -vE '\.(hpp|cuh|cu|cpp)$')

while read -r file; do
  folder=$(folder_of "$file")
  if [[ $folder != umbrella && -z ${allowed[$folder]+known} ]]; then
    report "$file: the folder '$folder' has no level; add it to tools/check_includes.sh"
    continue
  fi
  [[ $file == *_tables.hpp ]] || {
    lines=$(wc -l <"$file")
    ((lines <= max_lines)) || report "$file: $lines lines, more than $max_lines"
  }
  while IFS= read -r line; do
    report "$file:$line: write #include <...> on a line of its own"
  done < <(grep -nE '^[ \t]*(/\*.*\*/)?[ \t]*(#|%:)[ \t]*(/\*.*\*/)?[ \t]*(include|import)' "$file" |
    grep -vE '^[0-9]+:[ \t]*#[ \t]*include [<"][A-Za-z0-9_./+-]+[>"]( *//.*)?$')
  while IFS=: read -r line target; do
    where="$file:$line"
    case $target in
      *..* | *//*) report "$where: write <ldlm/...> or <ldlm_backend/...> in full, not $target" ;;
      bits/*) report "$where: $target is the compiler's own" ;;
      iostream) report "$where: <iostream> does not belong in a library header" ;;
      xsimd/*)
        [[ $folder == ldlm_simd ]] || report "$where: only backends/ldlm_simd includes xsimd" ;;
      nlohmann/*)
        [[ $file == include/ldlm/json/impl/parse.hpp ]] ||
          report "$where: only json/impl/parse.hpp includes nlohmann-json" ;;
      ldlm/* | ldlm_*/*)
        if [[ -f include/$target ]]; then
          path=include/$target
        elif [[ -f backends/$target ]]; then
          path=backends/$target
        else
          report "$where: there is no $target"
          continue
        fi
        if [[ $path == */impl/* && $file != include/ldlm/bodies.hpp ]]; then
          [[ ${file/\/impl\//\/} == "${path%%/impl/*}"/* ]] ||
            report "$where: the bodies of another folder"
          if [[ $file != */impl/* ]]; then
            sed -n '/^#ifndef LDLM_LINKED/,$p' "$file" | grep -q "$target" ||
              report "$where: bodies are included after #ifndef LDLM_LINKED"
            continue # the one circle: they include the header
          fi
        fi
        [[ $folder != ldlm_cuda || ! $target =~ ^ldlm/core/(tensor|ops|random|format)(/|\.) ]] ||
          report "$where: tensors do not pass nvcc ($target)"
        echo "$file $path" >>"$graph"
        to=$(folder_of "$path")
        if [[ $to == umbrella && $folder != umbrella ]]; then
          report "$where: the umbrella header is for users, not for the library"
        elif [[ $folder != umbrella && $to != "$folder" &&
          " ${allowed[$folder]} " != *" $to "* ]]; then
          report "$where: $folder may not include $to ($target)"
        fi
        ;;
      *.hpp | *.cuh)
        report "$where: write <ldlm/...> or <ldlm_backend/...> in full, not $target" ;;
    esac
  done < <(grep -nE '^[ \t]*#[ \t]*include' "$file" | sed -E 's/:[^<"]*[<"]([^>"]*).*/:\1/')
done < <(find include backends -name '*.hpp' -o -name '*.cuh' -o -name '*.cu' -o -name '*.cpp' | sort)

while read -r file; do
  lines=$(wc -l <"$file")
  ((lines <= max_lines)) || report "$file: $lines lines, more than $max_lines"
done < <(find tests examples benchmarks tools -name '*.cpp' -o -name '*.hpp' | sort)

while IFS= read -r line; do
  report "$line: use what ldlm_simd/batch.hpp has for it, since versions of xsimd differ"
done < <(grep -rnoE 'xsimd::(max|min|fmax|fmin|log|neg|neq|default_arch|best_arch)\b|Arch::version' \
  backends tests benchmarks tools --include='*.[hc]pp' | grep -v '^backends/ldlm_simd/batch.hpp:')
while IFS= read -r line; do
  report "$line: use detail::stable_sort, since the standard's warns with newer compilers"
done < <(grep -rnoE 'std::stable_sort\(' include backends tools --include='*.[hc]pp')

if ! cycle=$(tsort "$graph" 2>&1 >/dev/null); then
  report "includes in a circle: $(tr '\n' ' ' <<<"${cycle//tsort: /}")"
fi
# The table of folders that people read: | `name` | what | `a b` and below | files, lines |
below() { # the folders, and all that those may include
  local name
  for name in "$@"; do
    echo "$name"
    tr ' ' '\n' <<<"${allowed[$name]}"
  done | sed '/^$/d' | sort -u | tr '\n' ' '
}
sorted() { tr ' ' '\n' | sed '/^$/d' | sort | tr '\n' ' '; }
declare -A described=()
while IFS='|' read -r _ name _ may counts _; do
  name=$(tr -d ' \`' <<<"$name")
  if [[ -z ${allowed[$name]+known} || -n ${described[$name]:-} ]]; then
    report "CONTRIBUTING.md: a line for '$name', which is no folder or has one already"
    continue
  fi
  described[$name]=1
  read -ra named <<<"$(grep -oE '`[^`]*`' <<<"$may" | tr '`\n' '  ')"
  case $may in
    *'and below'*) said=$(below "${named[@]}") ;;
    ' all of these ') said=$(below "${!described[@]}" | sed "s/\b$name //") ;;
    *) said=$(sorted <<<"${named[*]:-}") ;;
  esac
  [[ $said == "$(sorted <<<"${allowed[$name]}")" ]] ||
    report "CONTRIBUTING.md: $name may include '${allowed[$name]}', not '$said'"
  folder=include/ldlm/$name
  [[ -d $folder ]] || folder=backends/$name
  files=$(find "$folder" -type f | wc -l)
  lines=$(find "$folder" -type f ! -name '*_tables.hpp' -exec cat {} + | wc -l)
  IFS=', ' read -r said_files said_lines <<<"$counts"
  ((files == said_files)) || report "CONTRIBUTING.md: $name has $files files, not $said_files"
  ((10 * lines > 9 * said_lines && 10 * lines < 11 * said_lines)) ||
    report "CONTRIBUTING.md: $name has $lines lines, not $said_lines"
done < <(sed -n '/^| folder | what |/,/^$/p' CONTRIBUTING.md | sed '1,2d;$d')
for name in "${!allowed[@]}"; do
  [[ -n ${described[$name]:-} ]] || report "CONTRIBUTING.md: the table of folders lacks '$name'"
done
[[ $status -eq 0 ]] && echo "includes are in order: $(wc -l <"$graph") of them"
exit $status
