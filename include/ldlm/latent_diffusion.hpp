#pragma once
// The Latent Diffusion Language Model, and the library that it is made of.

#include <ldlm/latent_diffusion/denoiser.hpp>
#include <ldlm/latent_diffusion/evaluation.hpp>
#include <ldlm/latent_diffusion/infilling.hpp>
#include <ldlm/latent_diffusion/latent_worth.hpp>
#include <ldlm/latent_diffusion/pipeline.hpp>
#include <ldlm/latent_diffusion/stages.hpp>
#include <ldlm/latent_diffusion/text_batch.hpp>
#include <ldlm/latent_diffusion/text_dataset.hpp>

#include <ldlm/ldlm.hpp>
