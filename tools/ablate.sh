#!/usr/bin/env bash
# Which parts of the recipe earn their place: trains small models of short sentences that differ from
# the base in one thing each, and prints a table:
#   bash tools/ablate.sh CORPUS_DIR [RUN_DIR]
# CORPUS_DIR is as for tools/train_tiny.sh, which must have made build/ldlm, RUN_DIR/tokenizer.json
# and RUN_DIR/judge (runs/tiny). What is done already is not done again; ABLATION_STEPS shortens the
# trainings, VARIANTS="base no-tuning" picks some, SEED=2 repeats them with other random numbers.
# Forms of the latent are compared by what samples of them are worth, in a second table.
set -euo pipefail
if [[ $# -lt 1 || ! -d $1 ]]; then
  echo "usage: bash tools/ablate.sh CORPUS_DIR [RUN_DIR]" >&2
  exit 2
fi
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
run=${2:-$root/runs/tiny}
ldlm=${LDLM:-$root/build/ldlm}
for needed in "$ldlm" "$run/tokenizer.json" "$run/judge" "$run/train.txt" "$run/valid.txt"; do
  if [[ ! -e $needed ]]; then
    echo "ablate: $needed is missing; run tools/train_tiny.sh first" >&2
    exit 1
  fi
done
seed=${SEED:-1}
steps=${ABLATION_STEPS:-1000}
out=$run/ablation-$steps-$seed
common=(--quiet --seed "$seed" --threads "${THREADS:-0}")
training=("${common[@]}" train)
data=(--corpus "$run/train.txt" --batch-size 64)

# config FOLDER: a smaller and shorter model than the shipped one. The variables of a variant change
# it.
config() {
  mkdir -p "$1"/{encoder,decoder,denoiser}
  cat >"$1/ldlm.json" <<END
{"model_type": "ldlm", "latent": "$latent", "latent_length": $length, "latent_channels": $channels,
 ${more:+$more, }"schedule": {"kind": "$schedule"}, "prediction": "$prediction",
 "num_beams": 5, "max_new_tokens": 16}
END
  cat >"$1/encoder/config.json" <<END
{"model_type": "bert", "vocab_size": 8192, "hidden_size": 128, "num_hidden_layers": $layers,
 "num_attention_heads": 4, "intermediate_size": 512, "hidden_act": "gelu_new",
 "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
 "max_position_embeddings": $((length + 16)), "type_vocab_size": 1}
END
  cat >"$1/decoder/config.json" <<END
{"model_type": "gpt2", "vocab_size": 8192, "n_positions": $((length + 33)), "n_embd": 128, "n_layer": 3,
 "n_head": 4, "embd_pdrop": 0.0, "resid_pdrop": 0.0, "attn_pdrop": 0.0}
END
  cat >"$1/denoiser/config.json" <<END
{"model_type": "reverse_transformer", "latent_dim": $channels, "width": 160, "heads": 4,
 "feed_forward": 640, "encoder_layers": 6, "decoder_layers": 0, "length": $length, "norm_first": true,
 "activation": "gelu_new", "dropout": 0.0, "self_conditioning": $self_conditioning,
 "time_conditioning": "log_snr"}
END
}

# autoencoder FOLDER NAME: trained once, and shared by the variants of the denoiser.
autoencoder() {
  local folder=$1 options=()
  case $2 in
    no-masking) options=(--encoder-mask-rows 0 --decoder-mask-rows 0) ;;
    no-noise) options=(--clean-rows 1 --wild-rows 0) ;;
    no-strong-noise) options=(--wild-rows 0) ;;
    no-normalization) options=(--no-normalization) ;;
  esac
  # Of forms of the latent, what their noise is; and whether the decoder could write before.
  case $noise in
    warmed) options+=(--clean-rows 0.1 --wild-rows 0.7 --mild-noise 0.5 --strong-noise 6
      --noise-warmup $((steps * 7 / 10))) ;;
    strong) options+=(--clean-rows 0.1 --wild-rows 0.7 --mild-noise 0.5 --strong-noise 6) ;;
    less-strong) options+=(--clean-rows 0.1 --wild-rows 0.7 --mild-noise 0.5 --strong-noise 3) ;;
  esac
  [[ $noise == usual ]] || options+=(--dropped-rows 0.1)
  [[ $written == false ]] || options+=(--decoder "$out/writer-$length")
  [[ -e $folder/ldlm.json ]] && return
  if [[ $written == true && ! -e $out/writer-$length/config.json ]]; then
    config "$out/writer-$length.config"
    "$ldlm" "${common[@]}" pretrain decoder "${data[@]}" --tokenizer "$run/tokenizer.json" \
      --config "$out/writer-$length.config" --length 16 --out "$out/writer-$length" \
      --steps "$steps" --learning-rate 2e-3 --warmup 150
  fi
  config "$folder.config"
  "$ldlm" "${training[@]}" autoencoder "${data[@]}" --tokenizer "$run/tokenizer.json" \
    --config "$folder.config" --out "$folder" --steps "$steps" --learning-rate 2e-3 --warmup 150 \
    "${options[@]}"
}

# wanted NAME: whether VARIANTS has it.
wanted() {
  [[ -z ${VARIANTS:-} || " $VARIANTS " == *" $1 "* ]]
}

# measure NAME [VARIABLE=VALUE...]: trains what is not there yet, and evaluates it.
measure() {
  local name=$1 folder=$out/$1 assignment
  local latent=sequence length=16 more="" noise=usual written=false
  local from=base channels=64 layers=3 schedule=tan_d prediction=x0 self_conditioning=true
  local shift=0.3333 ema=0.995 denoiser_steps=$steps tune=decoder rate=5e-4
  local samples=200 temperature="" levels=schedule
  for assignment in "${@:2}"; do
    local "$assignment"
  done
  if [[ ! -e $out/results-$name/metrics.csv ]]; then
    if [[ ! -e $folder/encoder ]]; then
      rm -rf "$folder.new"
      autoencoder "$out/autoencoder-$from" "$from"
      config "$folder.changed"
      cp -r "$out/autoencoder-$from" "$folder.new"
      cp "$folder.changed/ldlm.json" "$folder.new/"
      cp "$folder.changed/denoiser/config.json" "$folder.new/denoiser/"
      mv "$folder.new" "$folder"
    fi
    if [[ ! -e $folder/denoiser/model.safetensors ]]; then
      "$ldlm" "${training[@]}" denoiser "${data[@]}" --out "$folder" --steps "$denoiser_steps" \
        --learning-rate 1.5e-3 --warmup 150 --ema "$ema" --noise-shift "$shift" \
        --levels "$levels"
    fi
    if [[ $tune != nothing && ! -e $folder.tuned ]]; then
      "$ldlm" "${training[@]}" "$tune" "${data[@]}" --out "$folder" --steps $((steps / 3)) \
        --learning-rate "$rate" --warmup 50 --noise-shift "$shift"
      touch "$folder.tuned"
    fi
    "$ldlm" "${common[@]}" --model "$folder" eval --text "$run/valid.txt" --train "$run/train.txt" \
      --texts 500 --train-texts 10000 --samples "$samples" --no-beam --judge "$run/judge" \
      ${temperature:+--temperature "$temperature"} --out "$out/results-$name" >"$out/$name.txt"
  fi
}

# variant NAME [VARIABLE=VALUE...]: a row of the recipe's table.
variant() {
  local name=$1
  wanted "$name" || return 0
  measure "$@"
  awk -F, -v name="$name" '
    $1 == "reconstruction" && $4 == "mse" { mse[$2, $3] = $5 }
    $1 == "decoding" && $4 == "token_accuracy" { accuracy[$2] = $5; interval[$2] = $6 }
    $1 == "samples" && $4 == "nats_a_token" { nats[$3] = $5 }
    END {
      printf "| %s | %.3f | %.3f | %.3f | %.3f | %.3f | %.3f ± %.3f | %.2f |\n", name,
        mse[250, "ldlm"] / mse[250, "linear"], mse[500, "ldlm"] / mse[500, "linear"],
        mse[750, "ldlm"] / mse[750, "linear"], accuracy[-1], accuracy[250], accuracy[500],
        interval[500], nats["samples"]
    }' "$out/results-$name/metrics.csv"
}

# form NAME [VARIABLE=VALUE...]: a row of the table of forms of the latent. Samples stand beside as
# many texts that the same decoder writes without a latent: real text is too little at this length for
# its entropy and distinct-2 to be compared.
form() {
  local name=$1
  wanted "$name" || return 0
  measure "$@" temperature=0.9 samples=1000
  awk -F, -v name="$name" '
    $1 == "decoding" && $2 == -1 && $4 == "token_accuracy" { accuracy = $5 > accuracy ? $5 : accuracy }
    $1 == "worth" && $4 == "saved" { saved[$3] = $5 }
    $1 == "samples" { value[$3, $4] = $5 }
    function pair(figure, digits) {
      return sprintf("%.*f, %.*f", digits, value["samples", figure], digits, value["no_latent", figure])
    }
    END {
      printf "| %s | %.3f | %.1f | %.1f | %.1f | %s | %s | %s | %s |\n", name, accuracy,
        saved["0.50"], saved["2.00"], saved["3.00"], pair("nats_a_token", 2), pair("word_entropy", 2),
        pair("distinct_2", 3), pair("non_words", 3)
    }' "$out/results-$name/metrics.csv"
}

mkdir -p "$out"
echo "| variant | MSE / linear, t = 250 | 500 | 750 | token accuracy, clean | t = 250 | t = 500 | nats a token of samples |"
echo "|---|---|---|---|---|---|---|---|"
variant base
variant joint tune=joint
variant joint-fast tune=joint rate=1e-3
variant longer denoiser_steps=$((steps * 4 / 3))
variant no-tuning tune=nothing
variant no-self-conditioning self_conditioning=false
variant tan-d-whole shift=1
variant slope levels=slope
variant cosine schedule=cosine shift=1
variant scaled-linear schedule=scaled_linear shift=1
variant v-prediction prediction=v
variant no-masking from=no-masking
variant no-noise from=no-noise
variant no-strong-noise from=no-strong-noise
variant no-normalization from=no-normalization
variant embeddings from=embeddings layers=0
variant narrow-latent from=narrow channels=32
variant wide-latent from=wide channels=128
variant no-average ema=0

echo
echo "Samples, and texts of the same decoder without a latent:"
echo "| form of the latent | token accuracy, clean | nats saved, sigma 0.5 | 2 | 3 | nats a token | entropy of words | distinct-2 | non-words |"
echo "|---|---|---|---|---|---|---|---|---|"
slots=(latent=slots length=5)
form sequence-joint tune=joint from=sequence-joint
form sequence from=sequence noise=strong
form slots from=slots noise=strong "${slots[@]}"
form slots-usual-noise from=slots-usual-noise "${slots[@]}"
form slots-less-noise from=slots-less-noise noise=less-strong "${slots[@]}"
form slots-written from=slots-written noise=strong written=true "${slots[@]}"
form slots-warmed from=slots-warmed noise=warmed written=true "${slots[@]}"
form slots-warmed-joint from=slots-warmed-joint noise=warmed written=true tune=joint "${slots[@]}"
form slots-warmed-slope from=slots-warmed levels=slope noise=warmed written=true "${slots[@]}"
form slots-warmed-details from=slots-warmed-details noise=warmed written=true \
  more='"details": true' "${slots[@]}"
form slots-warmed-three from=slots-warmed-three noise=warmed written=true latent=slots length=3
form slots-warmed-eight from=slots-warmed-eight noise=warmed written=true latent=slots length=8
form sequence-warmed from=sequence-warmed noise=warmed written=true
