#!/usr/bin/env bash
# Installs what is missing, builds everything and runs the tests.
#   bash tools/test.sh [--preset NAME] [arguments for ctest, such as -R matmul]
# Shows one line per test, the full output of those that fail, and what was skipped and why;
# the last lines are ctest's summary, the exit status is ctest's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=release
if [[ ${1:-} == --preset ]]; then
  preset=${2:?--preset needs a name}
  shift 2
fi

bash tools/setup.sh test
cmake --preset "$preset"
cmake --build --preset "$preset"

# ctest -V prefixes a test's output with its number: keep it until its verdict is known.
filter='
  summary { print; next }
  /^[0-9]+: / {
    number = $1
    sub(/^[0-9]+: /, "")
    if (/^(Test command|Working Directory|Test timeout computed to be): ?/) next
    output[number] = output[number] "    " $0 "\n"
    if (/skipped: /) skipped[number] = skipped[number] "    " $0 "\n"
    next
  }
  / Test +#[0-9]+: / {
    print
    number = $0
    sub(/^.* Test +#/, "", number)
    sub(/:.*$/, ":", number)
    printf "%s", /\*\*\*/ ? output[number] : skipped[number]
    delete output[number]
    fflush()
  }
  /^[0-9]+% tests passed/ || /^No tests were found/ { summary = 1; print "\n" $0 }'
set +e
ctest --preset "$preset" -V -j "$(nproc)" "$@" 2>&1 | awk "$filter"
exit "${PIPESTATUS[0]}"
