#pragma once
// All optimisers, schedules, clipping and moving averages.

#include <ldlm/optim/adam.hpp>
#include <ldlm/optim/clip.hpp>
#include <ldlm/optim/ema.hpp>
#include <ldlm/optim/optimizer.hpp>
#include <ldlm/optim/parameter_group.hpp>
#include <ldlm/optim/schedule.hpp>
#include <ldlm/optim/sgd.hpp>
