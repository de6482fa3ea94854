#pragma once
// The bodies of all functions that are no templates, for the one unit of a program that has them.

#ifndef LDLM_LINKED
#error "define LDLM_LINKED for every unit of the program, or include no more than <ldlm/ldlm.hpp>"
#endif
