#pragma once
// All modules.

#include <ldlm/nn/attention.hpp>
#include <ldlm/nn/dropout.hpp>
#include <ldlm/nn/embedding.hpp>
#include <ldlm/nn/init.hpp>
#include <ldlm/nn/kv_cache.hpp>
#include <ldlm/nn/linear.hpp>
#include <ldlm/nn/module.hpp>
#include <ldlm/nn/norm.hpp>
#include <ldlm/nn/pack.hpp>
#include <ldlm/nn/transformer.hpp>
#include <ldlm/nn/transformer_layer.hpp>
