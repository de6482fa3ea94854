#!/usr/bin/env bash
# Ends `ldlm` at chosen system calls of every stage, by kill -9 or by a full disk, and checks what
# is left:
#   bash tools/kill_test.sh LDLM [--points N] [--full-points N] [--pairs N] [--stage NAME]
# LDLM is the command, N how many places to try over all stages (40 kills, 20 full disks, 2 pairs of
# trainings that run in one folder at once). After each: the folder is wholly the old one or wholly
# the new one, the same command run again ends with the bits of an undisturbed run, and nothing else
# is left. Exit status 77: strace is missing.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ldlm=${1:?usage: bash tools/kill_test.sh LDLM [--points N] [--full-points N] [--pairs N] [--stage NAME]}
ldlm=$(realpath "$ldlm")
shift
points=40 full_points=20 pairs=2 only=
while (($# > 0)); do
  case $1 in
    --points) points=$2 ;;
    --full-points) full_points=$2 ;;
    --pairs) pairs=$2 ;;
    --stage) only=$2 ;;
    *) echo "kill_test: unknown option $1" >&2; exit 2 ;;
  esac
  shift 2
done
if ! command -v strace >/dev/null || ! strace -o /dev/null true 2>/dev/null; then
  echo "skipped: strace is missing, or may not trace here"
  exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# ---- A corpus, two seeds, and a model of a few thousand weights. ----

cat >corpus.txt <<'TEXT'
The cat sat on the mat.
A dog ran over the hill.
The sun rose over the sea.
Two birds sat in the tree.
The dog saw the cat.
A ship came over the sea.
The tree stood on the hill.
The cat ran to the ship.
TEXT
mkdir -p config/encoder config/decoder config/denoiser
echo '{"latent": "sequence", "latent_length": 14, "latent_channels": 8,
  "schedule": {"kind": "tan_d"}, "num_beams": 2, "max_new_tokens": 14}' >config/ldlm.json
echo '{"model_type": "bert", "vocab_size": 290, "num_hidden_layers": 1, "num_attention_heads": 2,
  "max_position_embeddings": 14, "type_vocab_size": 1, "hidden_dropout_prob": 0,
  "attention_probs_dropout_prob": 0, "hidden_size": 16, "intermediate_size": 16}' \
  >config/encoder/config.json
echo '{"model_type": "gpt2", "vocab_size": 290, "n_positions": 32, "n_layer": 1, "n_head": 2,
  "embd_pdrop": 0, "resid_pdrop": 0, "attn_pdrop": 0, "n_embd": 16}' >config/decoder/config.json
echo '{"model_type": "reverse_transformer", "latent_dim": 8, "heads": 2, "encoder_layers": 1,
  "decoder_layers": 0, "length": 14, "norm_first": true, "activation": "gelu_new", "dropout": 0,
  "self_conditioning": true, "time_conditioning": "log_snr", "width": 16, "feed_forward": 16}' \
  >config/denoiser/config.json

quiet=(--quiet --threads 1)
training=(--corpus corpus.txt --steps 4 --batch-size 4 --warmup 1 --checkpoint-every 2
  --report-every 1)
base=(--tokenizer base/tokenizer.json --config config)

# What a stage runs, in the work folder, on the folder "out"; the seed tells old from new.
command_of() {  # STAGE SEED
  command=("$ldlm" "${quiet[@]}" --seed "$2")
  case $1 in
    train-tokenizer)
      command+=(train-tokenizer --corpus "corpus.txt" --out out/tokenizer.json
        --vocab-size $((280 + $2))) ;;
    pretrain-encoder) command+=(pretrain encoder "${training[@]}" "${base[@]}" --out out) ;;
    pretrain-decoder) command+=(pretrain decoder "${training[@]}" "${base[@]}" --out out) ;;
    autoencoder) command+=(train autoencoder "${training[@]}" "${base[@]}" --out out) ;;
    denoiser | joint | decoder) command+=(train "$1" "${training[@]}" --out out) ;;
    export) command+=(--model "model-$2" export --out out --judge "judge-$2") ;;
    quantize) command+=(--model "judge-$2" quantize --out out --file corpus.txt) ;;
    *) echo "kill_test: unknown stage $1" >&2; exit 2 ;;
  esac
}
stages=(train-tokenizer pretrain-encoder pretrain-decoder autoencoder denoiser joint decoder export
  quantize)
[[ -z $only ]] || stages=("$only")

run() {  # STAGE SEED
  local command
  command_of "$1" "$2"
  "${command[@]}" >/dev/null
}

# What counts of a folder: its files and their bytes, but for the logs' times.
listing() {  # FOLDER...
  local path
  for path in "$@"; do
    [[ -e $path ]] || continue
    (cd "$path" && find . -type f ! -name log.jsonl -print0 | LC_ALL=C sort -z | xargs -0r sha256sum)
  done
}
# The steps that a log reports, and their losses.
logged() {
  [[ -d out.checkpoints ]] || return 0
  find out.checkpoints -name log.jsonl | LC_ALL=C sort |
    xargs -r sed -E 's/,"rows_per_second".*//'
}
# Everything but the model: names in the work folder, and hidden ones anywhere below it.
leftovers() {
  ls -A
  find . -mindepth 2 -name '.*'
}

mkdir base
"$ldlm" "${quiet[@]}" train-tokenizer --corpus corpus.txt --out base/tokenizer.json --vocab-size 290
for seed in 1 2; do
  for stage in autoencoder denoiser; do
    run $stage $seed
  done
  mv out model-$seed
  rm -r out.checkpoints
  run pretrain-decoder $seed
  mv out judge-$seed
  rm -r out.checkpoints
done

# The state before a stage: an old result of it with files of the user's, in work/before.
prepare() {  # STAGE
  rm -rf out out.checkpoints
  case $1 in
    denoiser | joint | decoder) cp -r model-1 out ;;
    *)
      mkdir out
      run "$1" 1
      rm -rf out.checkpoints ;;
  esac
  echo mine >out/notes.txt
  mkdir -p out/encoder
  echo mine >out/encoder/notes.txt
  rm -rf before
  cp -r out before
}
restore() {
  rm -rf out out.checkpoints
  find . -maxdepth 1 -name '.*' ! -name . -exec rm -rf {} +
  cp -r before out
}

failures=0 tried=0
fail() {  # WHAT
  echo "FAILED: $1"
  failures=$((failures + 1))
}

# After a stage was ended at some place: the folder is old or new, and a second run mends all.
check() {  # STAGE WHERE
  local now
  now=$(listing out | grep -vE ' \./\.(ldlm-lock|ldlm-new-|.*\.tmp-|probe)' || true)
  if [[ $now != "$old" && $now != "$new" ]]; then
    fail "$1, $2: the folder is neither the old nor the new one"
    diff <(echo "$old") <(echo "$now") || true
  fi
  if ! run "$1" 2 2>again.txt; then
    fail "$1, $2: the second run failed: $(cat again.txt)"
  elif [[ $(listing out out.checkpoints) != "$new_all" || $(logged) != "$new_log" ]]; then
    fail "$1, $2: the second run ends with other bits"
  fi
  rm -f again.txt
  if [[ $(leftovers) != "$new_names" ]]; then
    fail "$1, $2: left over is"
    diff <(echo "$new_names") <(leftovers) || true
  fi
  tried=$((tried + 1))
}

# Places "SYSCALL N" of a trace, evenly spaced: COUNT of them.
places() {  # COUNT TRACE
  sed -nE 's/^([0-9]+ +)?([a-z0-9_]+)\(.*/\2/p' "$2" | awk '{ print $1, ++n[$1] }' >all-places.txt
  awk -v count="$1" -v total="$(wc -l <all-places.txt)" \
    'int(NR * count / total) > int((NR - 1) * count / total)' all-places.txt
  rm all-places.txt
}

kill_calls=openat,write,pwrite64,fsync,ftruncate,fchmod,chmod,rename,renameat2,linkat,unlink,unlinkat,mkdir,rmdir,flock
disk_calls=write,fsync,mkdir,linkat,ftruncate,rename,renameat2
for stage in "${stages[@]}"; do
  prepare "$stage"
  old=$(listing out)
  command_of "$stage" 2
  strace -qq -e signal=none -e trace=$kill_calls -o trace-kill.txt "${command[@]}" >/dev/null
  new=$(listing out)
  new_all=$(listing out out.checkpoints) new_log=$(logged)
  if [[ $new == "$old" || $new != *"./notes.txt"* || $new != *"./encoder/notes.txt"* ]]; then
    fail "$stage: the new folder is the old one, or lacks the user's files"
  fi
  grep -E "^(${disk_calls//,/|})\(" trace-kill.txt >trace-disk.txt
  places $(((points + ${#stages[@]} - 1) / ${#stages[@]})) trace-kill.txt >kill-places.txt
  places $(((full_points + ${#stages[@]} - 1) / ${#stages[@]})) trace-disk.txt >disk-places.txt
  rm trace-kill.txt trace-disk.txt
  new_names=$(leftovers)
  before_count=$failures
  while read -r call number <&3; do
    restore
    status=0
    { # the shell's own word of it as well
      strace -qq -e signal=none -o /dev/null -e trace="$call" \
        -e inject="$call:signal=KILL:when=$number" "${command[@]}" >/dev/null
    } 2>/dev/null || status=$?
    [[ $status -eq 137 ]] || fail "$stage, kill at $call $number: it ended with status $status"
    check "$stage" "killed at $call $number"
  done 3<kill-places.txt
  while read -r call number <&3; do
    restore
    status=0
    strace -qq -e signal=none -o /dev/null -e trace=$disk_calls \
      -e inject="$call:error=ENOSPC:when=$number+" "${command[@]}" >/dev/null 2>error.txt ||
      status=$?
    # Where only the clearing away fails, it may have done its work.
    [[ $status -eq 1 || ($status -eq 0 && $(listing out) == "$new") ]] ||
      fail "$stage, full at $call $number: it ended with status $status: $(cat error.txt)"
    rm -f error.txt
    check "$stage" "full disk at $call $number"
  done 3<disk-places.txt
  echo "$stage: $(wc -l <kill-places.txt) kills, $(wc -l <disk-places.txt) full disks," \
    "$((failures - before_count)) failures"
done

# ---- Two trainings at once: one does its work, the other says who is at it. ----

if [[ -z $only ]]; then
  prepare autoencoder
  run autoencoder 2
  new=$(listing out)
  refused=0
  for ((i = 0; i < pairs; ++i)); do
    restore
    command_of autoencoder 2
    "${command[@]}" 2>first.txt & first=$!
    "${command[@]}" 2>second.txt & second=$!
    first_status=0 second_status=0
    wait $first || first_status=$?
    wait $second || second_status=$?
    for which in first second; do
      status=${which}_status
      if [[ ${!status} -ne 0 ]]; then
        refused=$((refused + 1))
        grep -q "is in use by " $which.txt || fail "pair $i: the $which said $(cat $which.txt)"
      fi
    done
    [[ $first_status -eq 0 || $second_status -eq 0 ]] || fail "pair $i: both were refused"
    [[ $(listing out) == "$new" ]] || fail "pair $i: the folder is another one"
    rm first.txt second.txt
  done
  echo "two at once: $pairs pairs, $refused refused"
fi

echo "$tried places tried, $failures failures"
[[ $failures -eq 0 ]]
