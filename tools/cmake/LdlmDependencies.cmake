# Third-party libraries: an installed one first (find_package), else a pinned download.
include(FetchContent)

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

# ldlm_dependency(<package> <minimum version or ""> <target> <repository> <commit>)
# Makes <target> available, from an installed package or from the pinned commit's archive.
function(ldlm_dependency package minimum target repository commit)
  if(TARGET ${target})
    return()
  endif()
  find_package(${package} ${minimum} QUIET GLOBAL)
  if(TARGET ${target})
    message(STATUS "ldlm: ${package} ${${package}_VERSION} found")
    return()
  endif()
  message(STATUS "ldlm: ${package} is not installed, downloading ${repository} ${commit}")
  FetchContent_Declare(${package} URL "${repository}/archive/${commit}.tar.gz" SYSTEM
                       DOWNLOAD_EXTRACT_TIMESTAMP ON)
  FetchContent_MakeAvailable(${package})
  if(NOT TARGET ${target})
    message(FATAL_ERROR "ldlm: ${repository} ${commit} has no target ${target}")
  endif()
endfunction()

# xsimd 14.3.0. No minimum is asked for: its package file calls every other major version
# incompatible, although all from 8.1 on serve.
ldlm_dependency(xsimd "" xsimd https://github.com/xtensor-stack/xsimd
                e88a72831858123924f7118f345dfe5d70d95991)
include(ldlm-xsimd)

set(JSON_Install ${LDLM_INSTALL} CACHE BOOL "Install nlohmann-json beside ldlm")
# nlohmann-json 3.11.3
ldlm_dependency(nlohmann_json 3.9 nlohmann_json::nlohmann_json https://github.com/nlohmann/json
                9cca280a4d0ccf0c08f47a99aa71d1b0e52f8d03)

if(LDLM_BUILD_TESTS)
  # doctest 2.4.11
  ldlm_dependency(doctest 2.4 doctest::doctest https://github.com/doctest/doctest
                  ae7a13539fb71f270b87eb2e874fbac80bc8dda2)
endif()

if(LDLM_BUILD_TOOLS)
  # CLI11 2.4.2
  ldlm_dependency(CLI11 2.1 CLI11::CLI11 https://github.com/CLIUtils/CLI11
                  6c7b07a878ad834957b98d0f9ce1dbe0cb204fc9)
endif()
