#pragma once
// LDLM: everything, for users; the library itself never includes this file.
//
// It also compiles the CPU kernels for this unit's own instruction set, which takes most of the
// time, and registers them for the whole program. Where another unit has them, as with the CMake
// target ldlm::ldlm, LDLM_LINKED says so and it compiles none.

#include <ldlm/autograd/autograd.hpp>
#include <ldlm/core/backend_info.hpp>
#include <ldlm/core/format.hpp>
#include <ldlm/core/ops.hpp>
#include <ldlm/core/random.hpp>
#include <ldlm/core/threads.hpp>
#include <ldlm/diffusion/process.hpp>
#include <ldlm/diffusion/sampler.hpp>
#include <ldlm/diffusion/schedule.hpp>
#include <ldlm/generate/beam_search.hpp>
#include <ldlm/generate/gpt2_session.hpp>
#include <ldlm/generate/sampling.hpp>
#include <ldlm/io/checkpoint.hpp>
#include <ldlm/io/json.hpp>
#include <ldlm/io/safetensors.hpp>
#include <ldlm/io/safetensors_model.hpp>
#include <ldlm/io/safetensors_writer.hpp>
#include <ldlm/ldlm/dataset.hpp>
#include <ldlm/ldlm/denoiser.hpp>
#include <ldlm/ldlm/evaluation.hpp>
#include <ldlm/ldlm/masking.hpp>
#include <ldlm/ldlm/pipeline.hpp>
#include <ldlm/ldlm/stages.hpp>
#include <ldlm/ldlm/text_dataset.hpp>
#include <ldlm/ldlm/trainer.hpp>
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

#ifndef LDLM_LINKED
#include <ldlm_simd/simd.hpp>
#endif
