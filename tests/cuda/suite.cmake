# The suite of the CUDA backend: kernels of every type and layout beside the reference, cases beside
# PyTorch, models, trainings and the command. The same programs run on the emulated card
# (../cuda_emulator) and, in a build with LDLM_CUDA, on the machine's own.

file(GLOB cuda_test_sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_LIST_DIR}/test_*.cpp")

# ldlm_cuda_programs(<prefix> [SOURCES <more tests...>] LIBRARIES <what a program with a card links...>)
# makes <prefix>_tests, <prefix>_torch_cases and <prefix>_command.
function(ldlm_cuda_programs prefix)
  cmake_parse_arguments(PARSE_ARGV 1 suite "" "" "SOURCES;LIBRARIES")
  # What it runs on is LDLM_TEST_DEVICE's to say.
  add_executable(${prefix}_tests ${cuda_test_sources} ${suite_SOURCES}
                                 $<TARGET_OBJECTS:kernel_tests> $<TARGET_OBJECTS:golden_tests>)
  target_link_libraries(${prefix}_tests PRIVATE ldlm_test_main)
  target_include_directories(${prefix}_tests PRIVATE "${PROJECT_SOURCE_DIR}/tests")
  add_executable(${prefix}_torch_cases $<TARGET_OBJECTS:ldlm_cases>)
  set(programs ${prefix}_tests ${prefix}_torch_cases)
  if(TARGET ldlm_command)
    add_executable(${prefix}_command $<TARGET_OBJECTS:ldlm_command_units>)
    add_dependencies(${prefix}_tests ${prefix}_command)
    list(APPEND programs ${prefix}_command)
  endif()
  foreach(program IN LISTS programs)
    ldlm_own_target(${program})
    target_link_libraries(${program} PRIVATE ldlm_kernels ${suite_LIBRARIES})
  endforeach()
endfunction()

# ldlm_cuda_suite(<prefix> <sample> [how to run a program...]): ctest's tests <prefix>_..., of a
# sample of the kernels' cases if <sample> is 1, and then without what takes minutes when emulated.
function(ldlm_cuda_suite prefix sample)
  # A sanitizer makes minutes hours.
  set(timeout 1800)
  if(LDLM_SANITIZE)
    set(timeout 10800)
  endif()
  set(environment LDLM_TEST_DEVICE=cuda LDLM_TEST_SAMPLE=${sample} ${LDLM_CUDA_TEST_ENVIRONMENT})
  macro(cuda_suite_test name)
    add_test(NAME ${prefix}_${name} COMMAND ${launcher} ${ARGN})
    set_tests_properties(
      ${prefix}_${name}
      PROPERTIES LABELS ${prefix} TIMEOUT ${timeout} SKIP_RETURN_CODE 77
                 ENVIRONMENT "${environment}")
  endmacro()
  set(launcher ${ARGN})
  set(tests $<TARGET_FILE:${prefix}_tests>)
  cuda_suite_test(library ${tests} --source-file=*/test_cuda.cpp)
  cuda_suite_test(graphs ${tests} --source-file=*/test_cuda_graphs.cpp)
  cuda_suite_test(training ${tests} --source-file=*/test_cuda_training.cpp)
  if(TARGET ldlm_command)
    cuda_suite_test(command ${tests} --source-file=*/test_cuda_command.cpp)
    set_property(TEST ${prefix}_command
                 APPEND PROPERTY ENVIRONMENT LDLM_TEST_COMMAND=$<TARGET_FILE:${prefix}_command>
                                             LDLM_TEST_PATIENCE=${timeout})
  endif()
  foreach(family IN ITEMS attention elementwise gemm index random reduce rows)
    cuda_suite_test(kernels_${family} ${tests} --source-file=*/test_kernels_${family}.cpp)
  endforeach()
  # Without cuBLASLt, for which the emulated card has a stand-in.
  cuda_suite_test(kernels_gemm_own ${tests} --source-file=*/test_kernels_gemm.cpp)
  set_property(TEST ${prefix}_kernels_gemm_own APPEND PROPERTY ENVIRONMENT LDLM_CUDA_BLAS=own)
  foreach(model IN ITEMS bert bf16 gpt2 reverse_transformer)
    cuda_suite_test(${model} ${tests} --source-file=*/test_${model}.cpp)
  endforeach()
  if(NOT sample)
    cuda_suite_test(generate ${tests} --source-file=*/test_generate*.cpp)
    cuda_suite_test(ldlm ${tests} --source-file=*/test_cuda_ldlm.cpp)
  endif()
  cuda_suite_test(torch_cases $<TARGET_FILE:${prefix}_torch_cases> --cuda
      "${PROJECT_SOURCE_DIR}/tests/golden/torch_cases.safetensors")
endfunction()
