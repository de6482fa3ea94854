# How our own executables (tests, examples, benchmarks, the command) are built.

if(PROJECT_IS_TOP_LEVEL)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
  endif()
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  find_program(LDLM_CCACHE ccache)
  if(LDLM_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER "${LDLM_CCACHE}")
  endif()
endif()

set(LDLM_WARNINGS -Wall -Wextra -Wpedantic -Wconversion -Wshadow)

# Flags of one of our own targets; never of the library, whose consumers choose their own.
function(ldlm_own_target target)
  target_link_libraries(${target} PRIVATE ldlm::header_only)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
  target_compile_options(${target} PRIVATE ${LDLM_WARNINGS} $<$<BOOL:${LDLM_WERROR}>:-Werror>)
  if(LDLM_NATIVE)
    target_compile_options(${target} PRIVATE -march=native)
  endif()
  if(LDLM_SANITIZE)
    # (GCC warns of optionals in instrumented code that are not uninitialised.)
    target_compile_options(
      ${target} PRIVATE -fsanitize=${LDLM_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all
                        -g1 $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
    target_link_options(${target} PRIVATE -fsanitize=${LDLM_SANITIZE})
  endif()
  if(LDLM_COVERAGE)
    target_compile_options(${target} PRIVATE --coverage)
    target_link_options(${target} PRIVATE --coverage)
  endif()
endfunction()

# The CPU kernels of our own executables and the bodies of functions that are no templates, compiled
# once. The kernels for this machine's processor, or for all (ldlm::ldlm).
function(ldlm_add_kernels)
  if(LDLM_NATIVE)
    add_library(ldlm_kernels OBJECT EXCLUDE_FROM_ALL
                "${PROJECT_SOURCE_DIR}/tools/ldlm/kernels.cpp"
                "${PROJECT_SOURCE_DIR}/tools/ldlm/bodies.cpp")
    ldlm_own_target(ldlm_kernels)
    ldlm_align_loops(ldlm_kernels)
    if(NOT LDLM_COVERAGE)
      target_compile_options(ldlm_kernels PRIVATE $<$<CONFIG:Debug>:-O2>)
    endif()
    target_compile_definitions(ldlm_kernels PUBLIC LDLM_LINKED)
  else()
    add_library(ldlm_kernels INTERFACE)
    target_link_libraries(ldlm_kernels INTERFACE ldlm::ldlm)
  endif()
endfunction()

# The command `ldlm`, from tools/ldlm/*.cpp.
function(ldlm_add_command)
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tools/ldlm/*.cpp")
  list(REMOVE_ITEM sources "${PROJECT_SOURCE_DIR}/tools/ldlm/kernels.cpp"
       "${PROJECT_SOURCE_DIR}/tools/ldlm/bodies.cpp")
  add_library(ldlm_command_units OBJECT ${sources})
  set_target_properties(ldlm_command_units PROPERTIES UNITY_BUILD ${LDLM_UNITY}
                                                      UNITY_BUILD_BATCH_SIZE 6)
  ldlm_own_target(ldlm_command_units)
  target_link_libraries(ldlm_command_units PRIVATE ldlm_kernels CLI11::CLI11)
  target_compile_definitions(ldlm_command_units PRIVATE LDLM_VERSION="${PROJECT_VERSION}")
  add_executable(ldlm_command $<TARGET_OBJECTS:ldlm_command_units>)
  set_target_properties(ldlm_command PROPERTIES OUTPUT_NAME ldlm RUNTIME_OUTPUT_DIRECTORY
                                                                 "${PROJECT_BINARY_DIR}")
  ldlm_own_target(ldlm_command)
  target_link_libraries(ldlm_command PRIVATE ldlm_kernels)
  if(LDLM_CUDA)
    target_link_libraries(ldlm_command PRIVATE ldlm::cuda)
  endif()
endfunction()
