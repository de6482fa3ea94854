#pragma once
// All ops on tensors.

#include <ldlm/core/ops/elementwise.hpp>
#include <ldlm/core/ops/index.hpp>
#include <ldlm/core/ops/matrix.hpp>
#include <ldlm/core/ops/nn.hpp>
#include <ldlm/core/ops/reduce.hpp>
#include <ldlm/core/ops/shape.hpp>
#include <ldlm/core/random.hpp>
