#!/usr/bin/env bash
# Downloads public corpora and checkpoints and checks them against their published SHA-256:
#   bash tools/download.sh [--to DIR] NAME...
# Without a NAME it lists them. DIR/NAME (DIR is this repository's data/) then holds wiki.train.raw,
# wiki.valid.raw and wiki.test.raw of a corpus, or what from_pretrained and the Tokenizer read of a
# checkpoint. What is there already is checked, and not downloaded again; what was interrupted goes
# on where it stopped. LDLM_DOWNLOAD_BASE=URL stands for the hosts: a mirror, or file:///FOLDER.
set -euo pipefail

# For each NAME its licence and use, the folders that have it (the next is for when one fails), and
# its files, with their sizes in bytes and SHA-256. Zip files are unpacked. The folders of Hugging
# Face are those of one commit, which can't change.
table() {
  cat <<'TABLE'
name wikitext-103 CC-BY-SA-3.0 a corpus to train with: 28,475 articles, 544 MB unpacked
from https://wikitext.smerity.com
from https://huggingface.co/datasets/mattdangerw/wikitext-103-raw/resolve/3555105b17ae31cc619a136fac72dbe2865c3738
file 191984949 91c00ae287f0d699e18605c84afc9e45c192bc6b7797ff8837e5474655a33794 wikitext-103-raw-v1.zip

name wikitext-2 CC-BY-SA-3.0 the same in small: 600 articles, 13 MB unpacked
from https://wikitext.smerity.com
from https://huggingface.co/datasets/ggml-org/ci/resolve/927b3642933080f1b0e811e2f916e14c292992f9
file 4721645 ef7edb566e3e2b2d31b29c1fdb0c89a4cc683597484c3dc2517919c615435a11 wikitext-2-raw-v1.zip

name gpt2 MIT GPT-2 small: a decoder or a judge, 124 M parameters
from https://huggingface.co/openai-community/gpt2/resolve/607a30d783dfa663caf39e06633721c8d4cfcd7e
file 665 0daed7749b4f02b8f76240d5444551d7b08712dab4d0adb8239c56ba823bb7b4 config.json
file 1355256 8414cab924d8b9b33013f0d221c5862f365ee9be39c5c2bfae8a5a9e970478a6 tokenizer.json
file 548105171 248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707 model.safetensors

name distilgpt2 Apache-2.0 the same distilled: 82 M parameters
from https://huggingface.co/distilbert/distilgpt2/resolve/2290a62682d06624634c1f46a6ad5be0f47f38aa
file 762 4ec5947c1d59fee6212cdf3b0ec1a53eac02092554c5ff0a733488cbd2c64f3a config.json
file 1355256 8414cab924d8b9b33013f0d221c5862f365ee9be39c5c2bfae8a5a9e970478a6 tokenizer.json
file 352824413 e1ff18884359fe8beb795a5f414feb85a6ce3d929ad019c0d958c039d2b94a1b model.safetensors

name bert-base-uncased Apache-2.0 BERT: an encoder, 110 M parameters
from https://huggingface.co/google-bert/bert-base-uncased/resolve/86b5e0934494bd15c9632b12f734a8a67f723594
file 570 7160e1553ad2ca51d8c1cb066be533db31826e12d173824c1bb0cb1a4f187d20 config.json
file 466062 ce64fce797c24f68df90b40a3f74f579b336a493db14bd583fd520ea0d8c9a98 tokenizer.json
file 440449768 68d45e234eb4a928074dfd868cead0219ab85354cc53d20e772753c6bb9169d3 model.safetensors

name all-MiniLM-L6-v2 Apache-2.0 a small BERT for embeddings of sentences: 23 M parameters
from https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/1110a243fdf4706b3f48f1d95db1a4f5529b4d41
file 612 953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41 config.json
file 466247 be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037 tokenizer.json
file 90868376 53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db model.safetensors
TABLE
}

usage="usage: bash tools/download.sh [--to DIR] NAME..."
wrong_usage() {
  printf '%s\n' "download: $1" "$usage" >&2
  exit 2
}
fail() {
  echo "download: $*" >&2
  exit 1
}

# rows NAME KIND: the rest of NAME's lines of that kind.
rows() {
  table | awk -v name="$1" -v kind="$2" '
    $1 == "name" { here = $2 == name }
    here && $1 == kind { print substr($0, length(kind) + 2) }'
}
list() {
  printf '%s\n\n' "$usage"
  { table && echo; } | awk '
    $1 == "name" { name = $2; licence = $3; sub(/^name [^ ]+ [^ ]+ /, ""); use = $0; bytes = 0 }
    $1 == "file" { bytes += $2 }
    !NF { printf "%-18s %4.0f MB  %-13s %s\n", name, bytes / 1e6, licence, use }'
}

size() { if [[ -f $1 ]]; then wc -c <"$1"; else echo 0; fi; }
sha256() { sha256sum <"$1" | cut -d ' ' -f 1; }
is_right() { [[ -f $1 && $(size "$1") -eq $2 && $(sha256 "$1") == "$3" ]]; } # FILE BYTES SHA256

# fetch URL FILE: appends to FILE what it lacks.
fetch() {
  local curls=(-sS) wgets=(-nv)
  [[ ! -t 2 ]] || curls=(--progress-bar) wgets=(-nv --show-progress)
  if command -v curl >/dev/null; then
    curl -fL "${curls[@]}" --connect-timeout 30 --speed-limit 1 --speed-time 60 -C - -o "$2" \
      --url "$1" </dev/null && return
    [[ $? -ne 33 ]] || rm "$2" # the host can't begin in the middle
    return 1
  fi
  wget "${wgets[@]}" -c --tries 1 --timeout 60 -O "$2" -- "$1" </dev/null
}

# download NAME BYTES SHA256 FILE: FILE in $folder is then the published one.
download() {
  local file=$folder/$4 part=$folder/$4.part space=1 base url need free
  is_right "$file" "$2" "$3" && return
  [[ ! -e $file ]] || fail "$file is not the published file. Move it away, and run this again."
  [[ $file != *.zip ]] || space=4 # itself, and three times as much unpacked
  need=$(((space * $2 - $(size "$part")) / 1048576 + 1))
  free=$(df -Pk "$folder" | awk 'NR == 2 { print int($4 / 1024) }')
  [[ $free -ge $need ]] || fail "$4 needs $need MiB, but $folder has only $free MiB free."

  while read -r base; do
    url=$base/$4
    [[ -z ${LDLM_DOWNLOAD_BASE:-} ]] || url=${LDLM_DOWNLOAD_BASE%/}/${url#https://*/}
    [[ $(size "$part") -le $2 ]] || rm "$part"
    if [[ $(size "$part") -lt $2 ]]; then
      echo "$1: $url"
      fetch "$url" "$part" || continue
    fi
    if is_right "$part" "$2" "$3"; then
      mv "$part" "$file"
      return
    fi
    echo "download: $url is not the published file, and was removed: it has" \
      "$(size "$part") bytes and SHA-256 $(sha256 "$part"), not $2 and $3" >&2
    rm -f "$part"
  done < <(rows "$1" from)
  fail "could not get $4 (see above). Where there is no network, put it into" \
    "$folder by hand, and run this again to check it."
}

# unpack ZIP: wiki.*.raw out of it into $folder, with SHA256SUMS for the next time; ZIP goes.
unpack() {
  local new=$folder/unpacked.part raw=(wiki.train.raw wiki.valid.raw wiki.test.raw)
  rm -rf "$new"
  unzip -q -j "$1" "${raw[@]/#/*/}" -d "$new" </dev/null || fail "could not unpack $1."
  (cd "$new" && sha256sum "${raw[@]}" >SHA256SUMS)
  mv "$new"/* "$folder"
  rm -r "$new" "$1"
}
unpacked() { (cd "$folder" && [[ -f SHA256SUMS ]] && sha256sum --check --status SHA256SUMS); }

to=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/data
names=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --to)
      [[ -n ${2:-} ]] || wrong_usage "--to needs a folder"
      to=$2
      shift
      ;;
    --help | -h) names=() && break ;;
    -*) wrong_usage "there is no option $1" ;;
    *)
      [[ -n $(rows "$1" file) ]] || wrong_usage "there is no $1; without a NAME all are listed"
      names+=("$1")
      ;;
  esac
  shift
done
if [[ ${#names[@]} -eq 0 ]]; then
  list
  exit
fi

command -v curl >/dev/null || command -v wget >/dev/null || fail "please install curl or wget."
command -v sha256sum >/dev/null || fail "please install sha256sum (it is in coreutils)."
for name in "${names[@]}"; do
  folder=$to/$name
  mkdir -p "$folder" || fail "could not make the folder $folder."
  while read -r bytes sum file; do
    if [[ $file != *.zip ]]; then
      download "$name" "$bytes" "$sum" "$file"
    elif ! unpacked; then
      command -v unzip >/dev/null || fail "please install unzip."
      ! compgen -G "$folder/wiki.*.raw" >/dev/null ||
        fail "$folder/wiki.*.raw are not the published files. Move them away, and run this again."
      download "$name" "$bytes" "$sum" "$file"
      unpack "$folder/$file"
    fi
  done < <(rows "$name" file)
  echo "$name is in $folder"
done
