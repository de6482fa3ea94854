#pragma once
// All of autograd: Variables, their functions, the backward pass.

#include <ldlm/autograd/checkpoint.hpp>
#include <ldlm/autograd/format.hpp>
#include <ldlm/autograd/functions/elementwise.hpp>
#include <ldlm/autograd/functions/index.hpp>
#include <ldlm/autograd/functions/loss.hpp>
#include <ldlm/autograd/functions/matrix.hpp>
#include <ldlm/autograd/functions/nn.hpp>
#include <ldlm/autograd/functions/reduce.hpp>
#include <ldlm/autograd/functions/shape.hpp>
#include <ldlm/autograd/gradcheck.hpp>
#include <ldlm/autograd/operand.hpp>
#include <ldlm/autograd/scopes.hpp>
