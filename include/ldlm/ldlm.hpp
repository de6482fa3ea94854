#pragma once
// The whole library, for users; itself it never includes this file. The model that this project is
// named for, made of its parts, is in <ldlm/latent_diffusion.hpp>.
//
// A unit that includes it compiles everything, the CPU kernels for its own instruction set among
// it, which takes most of the time, and registers them for the whole program. Where another unit
// has all that, as with the CMake target ldlm::ldlm, LDLM_LINKED says so: see
// <ldlm/implementation.hpp>.

#include <ldlm/autograd/autograd.hpp>
#include <ldlm/core/devices.hpp>
#include <ldlm/core/format.hpp>
#include <ldlm/core/ops.hpp>
#include <ldlm/core/random.hpp>
#include <ldlm/core/threads.hpp>
#include <ldlm/diffusion/interpolation.hpp>
#include <ldlm/diffusion/process.hpp>
#include <ldlm/diffusion/sampler.hpp>
#include <ldlm/diffusion/schedule.hpp>
#include <ldlm/generate/beam_search.hpp>
#include <ldlm/generate/generate.hpp>
#include <ldlm/generate/generation_config.hpp>
#include <ldlm/generate/gpt2_session.hpp>
#include <ldlm/generate/sampling.hpp>
#include <ldlm/io/checkpoint.hpp>
#include <ldlm/io/json.hpp>
#include <ldlm/io/safetensors.hpp>
#include <ldlm/io/safetensors_model.hpp>
#include <ldlm/io/safetensors_writer.hpp>
#include <ldlm/models/bert.hpp>
#include <ldlm/models/gpt2.hpp>
#include <ldlm/models/pooling.hpp>
#include <ldlm/models/reverse_transformer.hpp>
#include <ldlm/models/sentence_encoder.hpp>
#include <ldlm/nn/nn.hpp>
#include <ldlm/optim/optim.hpp>
#include <ldlm/text/batch.hpp>
#include <ldlm/text/corpus.hpp>
#include <ldlm/text/decode_stream.hpp>
#include <ldlm/text/tokenizer.hpp>
#include <ldlm/text/tokenizer_trainer.hpp>
#include <ldlm/train/batch_order.hpp>
#include <ldlm/train/dataset.hpp>
#include <ldlm/train/embedding_metrics.hpp>
#include <ldlm/train/language_modeling.hpp>
#include <ldlm/train/masking.hpp>
#include <ldlm/train/metrics.hpp>
#include <ldlm/train/nearest_text.hpp>
#include <ldlm/train/ngram_model.hpp>
#include <ldlm/train/text_metrics.hpp>
#include <ldlm/train/train_options.hpp>
#include <ldlm/train/trainer.hpp>

#ifndef LDLM_LINKED
#include <ldlm_simd/simd.hpp>
#endif
