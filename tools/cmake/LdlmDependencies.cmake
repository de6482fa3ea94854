# Third-party libraries: an installed one first (find_package), else a pinned download.
include(FetchContent)

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

# ldlm_dependency(<package> <minimum version> <target> <git URL> <tag>)
# Makes <target> available, from an installed package or from the pinned release.
function(ldlm_dependency package minimum target url tag)
  if(TARGET ${target})
    return()
  endif()
  find_package(${package} ${minimum} QUIET GLOBAL)
  if(TARGET ${target})
    message(STATUS "ldlm: ${package} ${${package}_VERSION}: installed")
    return()
  endif()
  message(STATUS "ldlm: ${package}: not installed, downloading ${tag}")
  FetchContent_Declare(${package} GIT_REPOSITORY ${url} GIT_TAG ${tag} GIT_SHALLOW ON SYSTEM)
  FetchContent_MakeAvailable(${package})
  if(NOT TARGET ${target})
    message(FATAL_ERROR "ldlm: ${package} ${tag} gives no target ${target}")
  endif()
endfunction()

# No version for xsimd: its package file calls 9 incompatible with 8, though both serve.
ldlm_dependency(xsimd "" xsimd https://github.com/xtensor-stack/xsimd.git 13.0.0)
ldlm_dependency(nlohmann_json 3.9 nlohmann_json::nlohmann_json
                https://github.com/nlohmann/json.git v3.11.3)
if(LDLM_BUILD_TESTS)
  ldlm_dependency(doctest 2.4 doctest::doctest https://github.com/doctest/doctest.git v2.4.11)
endif()
if(LDLM_BUILD_TOOLS)
  ldlm_dependency(CLI11 2.1 CLI11::CLI11 https://github.com/CLIUtils/CLI11.git v2.4.2)
endif()
