#!/usr/bin/env bash
# What samples of a model that tools/train_slots.sh made are worth, beside held-out text and beside a
# GPT-2 of the same size and text, over several seeds:
#   bash tools/eval_slots.sh RUN_DIR [MINILM_DIR]
# MINILM_DIR (tools/setup_minilm.py) adds MAUVE and the Frechet distance of sentence vectors. Results
# go to RUN_DIR/results-TEXT-SEED and figures.md; what is there already is not measured again. TEXT=valid
# measures on the text that choices are made on, SAMPLES (2000) and SEEDS ("1 2 3") say how much.
set -euo pipefail
if [[ $# -lt 1 || ! -f $1/model/ldlm.json || ! -d $1/judge || ! -d $1/ar ]]; then
  echo "usage: bash tools/eval_slots.sh RUN_DIR [MINILM_DIR]; RUN_DIR has a model, a judge and ar" >&2
  exit 2
fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
run=$(cd "$1" && pwd)
ldlm=${LDLM:-$root/build/ldlm}
text=${TEXT:-heldout}
samples=${SAMPLES:-2000}
results=()
for seed in ${SEEDS:-1 2 3}; do
  out=$run/results-$text-$seed
  results+=("$out")
  [[ -e $out/metrics.csv ]] && continue
  mkdir -p "$out"
  sets=()
  for temperature in 0.7 0.8 0.9 1.0 1.1; do
    file=$out/ar@$temperature.txt
    if [[ ! -e $file ]]; then
      prompts=()
      for ((i = 0; i < samples; ++i)); do prompts+=(""); done
      "$ldlm" --seed "$seed" generate --model "$run/ar" --bos --max-new-tokens 40 --top-p 0.95 \
        --temperature "$temperature" "${prompts[@]}" >"$file.new"
      mv "$file.new" "$file"
    fi
    sets+=(--also "ar@$temperature=$file")
  done
  "$ldlm" --seed "$seed" --model "$run/model" eval --text "$run/$text.txt" --train "$run/train.txt" \
    --texts $((2 * samples)) --samples "$samples" --no-beam --judge "$run/judge" "${sets[@]}" \
    ${2:+--embedder "$2"} --out "$out" >"$out/report.txt"
done
python3 "$root/tools/eval_table.py" "${results[@]}" | tee "$run/figures.md"
