#pragma once
// The bodies of all functions that are no templates, for the one unit of a program that has them.

#ifndef LDLM_LINKED
#error "define LDLM_LINKED for every unit of the program, or include no more than <ldlm/ldlm.hpp>"
#endif

#include <ldlm/io/impl/json.hpp>
#include <ldlm/json/impl/parse.hpp>
#include <ldlm/json/impl/quote.hpp>
#include <ldlm/json/impl/reader.hpp>
#include <ldlm/json/impl/value.hpp>
#include <ldlm/text/impl/tokenizer_json.hpp>
