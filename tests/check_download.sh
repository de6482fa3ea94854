#!/usr/bin/env bash
# Checks tools/download.sh without a network: a copy of it with a small table of its own takes
# files from a folder in place of the hosts. Skipped (77) without curl, which reads file:// URLs.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
for command in curl sha256sum unzip gzip; do
  if ! command -v "$command" >/dev/null; then
    echo "skipped: $command is not installed"
    exit 77
  fi
done

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
first=$root/hosts/first second=$root/hosts/second to=$root/to
mkdir -p "$first" "$second" "$root/tools"
export LDLM_DOWNLOAD_BASE=file://$root/hosts

# wiki.train.raw, wiki.valid.raw and wiki.test.raw, each with one title.
base64 -d <<'ZIP' | gzip -d >"$first/text.zip"
H4sIAAAAAAACAwvwZmYRYYAARYYJlQd4+IAsEBYA4mT98szsTL2SosTMPL2ixHIFLgVbBTAPSHMFoOjdL5f6G4vessSczBS4
XjAPU+9jg79uvEAWCPMj2ZtaXIKwFsiB6GRkEmHG7WYYaGBkwOIDdN3orkbotsHiB3Td6O5G6K7A9EWANysbSJIZCHcC6U1g
DQB7SgMOgQEAAA==
ZIP
printf '{"some": "configuration"}\n' >"$first/config.json"
head -c 100000 tools/download.sh >"$first/model.bin"
row() { echo "file $(wc -c <"$first/$1") $(sha256sum <"$first/$1" | cut -d ' ' -f 1) $1"; }
cat >"$root/table" <<TABLE
name model MIT a model
from https://localhost/first
from https://localhost/second
$(row config.json)
$(row model.bin)

name text MIT a corpus
from https://localhost/first
$(row text.zip)
TABLE
awk -v table="$root/table" '
  $0 == "TABLE" { inside = 0 }
  !inside
  /<<.TABLE.$/ { inside = 1; while ((getline line <table) > 0) print line }
' tools/download.sh >"$root/tools/download.sh"

failures=0
# expect STATUS TEXT WHAT ARGUMENTS...: the copy, run so, ends with STATUS and says TEXT.
expect() {
  local status=$1 text=$2 what=$3 output got=0
  shift 3
  output=$(bash "$root/tools/download.sh" "$@" 2>&1) || got=$?
  if [[ $got -ne $status || $output != *"$text"* ]]; then
    printf '%s\n' "FAILED: $what: status $got, not $status, or no \"$text\" in:" "$output"
    failures=$((failures + 1))
  fi
}
check() { # check WHAT COMMAND...
  local what=$1
  shift
  if ! "$@"; then
    echo "FAILED: $what: $*"
    failures=$((failures + 1))
  fi
}
restart() { rm -rf "$to" && mkdir -p "$to/model" "$to/text"; }

# The published table is well-formed.
malformed=$(sed -n '/<<.TABLE.$/,/^TABLE$/p' tools/download.sh | sed '1d;$d' | grep -vE \
  -e '^$' -e '^name [A-Za-z0-9-]+ (MIT|Apache-2\.0|CC-BY-SA-3\.0) .+$' \
  -e '^from https://(wikitext\.smerity\.com|huggingface\.co/.*/resolve/[0-9a-f]{40})$' \
  -e '^file [1-9][0-9]* [0-9a-f]{64} [A-Za-z0-9.-]+$')
check "the table has lines of another form: $malformed" test -z "$malformed"
check "the list names all" test "$(bash tools/download.sh | grep -c ' MB ')" -eq 6

expect 0 "a corpus" "the list"
expect 2 "usage: " "an unknown name" nothing
expect 2 "usage: " "two names in one" "model text"
expect 2 "usage: " "an unknown option" --all
expect 2 "usage: " "no folder" --to
check "wrong usage makes no folder" test ! -e "$to"

expect 0 "model is in $to/model" "a download" --to "$to" model
check "the files are right" cmp "$first/config.json" "$to/model/config.json"
check "the files are right" cmp "$first/model.bin" "$to/model/model.bin"
check "no other file is left" test "$(ls "$to/model")" == $'config.json\nmodel.bin'
LDLM_DOWNLOAD_BASE=file://$root/nowhere \
  expect 0 "model is in" "what is there is not downloaded again" --to "$to" model

echo more >>"$to/model/config.json"
expect 1 "is not the published file. Move it away" "a file of the user" --to "$to" model
check "it is left as it is" grep -q more "$to/model/config.json"

restart
LDLM_DOWNLOAD_BASE=file://$root/nowhere \
  expect 1 "put it into $to/model by hand" "a host out of reach" --to "$to" model
cp "$first"/* "$to/model"
LDLM_DOWNLOAD_BASE=file://$root/nowhere \
  expect 0 "model is in" "files that were put there by hand" --to "$to" model

restart
mv "$first/model.bin" "$second"
expect 0 "model is in" "the second host serves" --to "$to" model

restart
mv "$second/model.bin" "$root/model"
tr '[:lower:]' '[:upper:]' <"$root/model" >"$root/other"
head -c 1000 "$root/model" >"$to/model/model.bin.part"
{ head -c 1000 "$root/other" && tail -c +1001 "$root/model"; } >"$first/model.bin"
expect 0 "model is in" "an interrupted download goes on" --to "$to" model

restart
cp "$root/other" "$first/model.bin"
expect 1 "is not the published file, and was removed" "a wrong checksum" --to "$to" model
check "nothing of it is left" test "$(ls "$to/model")" == config.json

expect 0 "text is in" "a corpus" --to "$to" text
check "it is unpacked" test "$(cat "$to"/text/wiki.{train,valid,test}.raw)" == \
  $' \n = train = \n \n = valid = \n \n = test = '
check "no other file is left" test "$(find "$to/text" -type f | wc -l)" -eq 4
LDLM_DOWNLOAD_BASE=file://$root/nowhere expect 0 "text is in" "a corpus again" --to "$to" text
echo more >>"$to/text/wiki.test.raw"
expect 1 "Move them away" "a corpus that was changed" --to "$to" text

# A folder of programs in which some are missing, or say something else.
restart
mkdir "$root/programs"
for program in bash dirname awk cat mkdir wc cut rm mv curl; do
  ln -s "$(command -v "$program")" "$root/programs"
done
PATH=$root/programs expect 1 "please install sha256sum" "no sha256sum" --to "$to" model
ln -s "$(command -v sha256sum)" "$root/programs"
PATH=$root/programs expect 1 "please install unzip" "no unzip" --to "$to" text
printf '#!/bin/sh\necho; echo disk 4096 3072 1024 75%% /\n' >"$root/programs/df"
chmod +x "$root/programs/df"
sed -i 's/^file [0-9]* \(.* model.bin\)$/file 9000000 \1/' "$root/tools/download.sh"
PATH=$root/programs expect 1 "has only 1 MiB free" "a full disk" --to "$to" model
rm "$root/programs/curl"
PATH=$root/programs expect 1 "please install curl or wget" "no curl" --to "$to" model

[[ $failures -eq 0 ]] || exit 1
echo "tools/download.sh is right"
