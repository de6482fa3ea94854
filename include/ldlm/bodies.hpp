#pragma once
// The bodies of all functions that are no templates, for the one unit of a program that has them.

#ifndef LDLM_LINKED
#error "define LDLM_LINKED for every unit of the program, or include no more than <ldlm/ldlm.hpp>"
#endif

#include <ldlm/generate/impl/generation_config.hpp>
#include <ldlm/io/impl/checkpoint.hpp>
#include <ldlm/io/impl/foreign_files.hpp>
#include <ldlm/io/impl/json.hpp>
#include <ldlm/io/impl/safetensors.hpp>
#include <ldlm/io/impl/safetensors_header.hpp>
#include <ldlm/io/impl/safetensors_model.hpp>
#include <ldlm/io/impl/safetensors_writer.hpp>
#include <ldlm/json/impl/parse.hpp>
#include <ldlm/json/impl/quote.hpp>
#include <ldlm/json/impl/reader.hpp>
#include <ldlm/json/impl/value.hpp>
#include <ldlm/ldlm/impl/config.hpp>
#include <ldlm/ldlm/impl/dataset.hpp>
#include <ldlm/ldlm/impl/evaluation.hpp>
#include <ldlm/ldlm/impl/linear_denoiser.hpp>
#include <ldlm/ldlm/impl/metrics.hpp>
#include <ldlm/ldlm/impl/text_dataset.hpp>
#include <ldlm/ldlm/impl/trainer.hpp>
#include <ldlm/models/impl/activation.hpp>
#include <ldlm/models/impl/bert_config.hpp>
#include <ldlm/models/impl/checkpoint_names.hpp>
#include <ldlm/models/impl/config_rules.hpp>
#include <ldlm/models/impl/gpt2_config.hpp>
#include <ldlm/models/impl/reverse_transformer_config.hpp>
#include <ldlm/models/impl/sentence_modules.hpp>
#include <ldlm/models/impl/token_ids.hpp>
#include <ldlm/text/impl/tokenizer_json.hpp>
