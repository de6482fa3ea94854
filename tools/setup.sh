#!/usr/bin/env bash
# Installs what the build needs, where it is missing (Debian and its kin, as root or with sudo).
#   bash tools/setup.sh demo    compiler, CMake, Ninja and the libraries of the ldlm command
#   bash tools/setup.sh test    the same, and what the tests use
#   bash tools/setup.sh bench   the same as test, and the peers of the benchmarks
# On other systems it says what is missing; libraries that are not installed are then
# downloaded by CMake.
set -euo pipefail

what=${1:-test}
# "command:package" is needed when the command is missing, ":package" when it is not installed.
needs=(g++:g++ cmake:cmake ninja:ninja-build
       :libxsimd-dev :nlohmann-json3-dev :libcli11-dev)
case $what in
  demo) ;;
  test | bench)
    needs+=(ccache:ccache strace:strace clang++:clang clang-format-14:clang-format-14
            clang-tidy-14:clang-tidy-14 :doctest-dev)
    ;;&
  bench)
    needs+=(:libbenchmark-dev :libdnnl-dev :libopenblas-dev :libeigen3-dev :libxtensor-dev
            :python3-venv)
    ;;
  test) ;;
  *)
    echo "usage: bash tools/setup.sh [demo|test|bench]" >&2
    exit 2
    ;;
esac

installed() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

missing=()
for need in "${needs[@]}"; do
  command=${need%%:*} package=${need#*:}
  if [[ -n $command ]]; then
    command -v "$command" >/dev/null || missing+=("$package")
  elif command -v dpkg-query >/dev/null; then
    installed "$package" || missing+=("$package")
  fi
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "setup: this is not a Debian system; please install by hand: ${missing[*]}" >&2
  exit 1
fi
run=()
if [[ $(id -u) -ne 0 ]]; then
  if ! command -v sudo >/dev/null; then
    echo "setup: please install as root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  run=(sudo)
fi

echo "Installing ${missing[*]} ..."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
  "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" \
    >>"$log" 2>&1 </dev/null
}
if ! apt update || ! apt install -y --no-install-recommends "${missing[@]}"; then
  tail -n 20 "$log" >&2
  echo "setup: apt-get could not install ${missing[*]} (its last words are above)" >&2
  exit 1
fi
