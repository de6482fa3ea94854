# ldlm::cuda: the CUDA backend, compiled by nvcc in the project that links it beside ldlm::ldlm.
#
# LDLM_CUDA_ARCHITECTURES names what it is compiled for, as CMake's CUDA_ARCHITECTURES; without it
# 8.0, 8.6, 8.9 and 9.0, with a toolkit of 12.8 or newer 10.0 and 12.0, and PTX for later ones.

# ldlm_add_cuda(<folder of the sources>). A macro: languages are enabled for the caller's folder.
macro(ldlm_add_cuda folder)
  if(NOT TARGET ldlm_cuda)
    if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
      set(CMAKE_CUDA_ARCHITECTURES 80)  # for the compiler's test
    endif()
    enable_language(CUDA)
    find_package(CUDAToolkit 12.4 REQUIRED)
    if(NOT DEFINED LDLM_CUDA_ARCHITECTURES)
      if(CUDAToolkit_VERSION VERSION_LESS 12.8)
        set(LDLM_CUDA_ARCHITECTURES 80-real 86-real 89-real 90)
      else()
        set(LDLM_CUDA_ARCHITECTURES 80-real 86-real 89-real 90-real 100-real 120)
      endif()
    endif()
    ldlm_add_cuda_targets("${folder}")
  endif()
endmacro()

function(ldlm_add_cuda_targets folder)
  file(GLOB sources CONFIGURE_DEPENDS "${folder}/*.cu")
  add_library(ldlm_cuda_units STATIC EXCLUDE_FROM_ALL ${sources})
  target_link_libraries(ldlm_cuda_units PUBLIC ldlm::header_only CUDA::cudart_static
                                               CUDA::cublasLt)
  target_compile_definitions(ldlm_cuda_units PRIVATE LDLM_LINKED)
  # (The standard as an option: CMake 3.25 passes none to nvcc 13.)
  target_compile_options(
    ldlm_cuda_units PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:-std=c++20 -O3 --expt-relaxed-constexpr>)
  set_target_properties(
    ldlm_cuda_units PROPERTIES CUDA_ARCHITECTURES "${LDLM_CUDA_ARCHITECTURES}" CUDA_EXTENSIONS OFF
                               POSITION_INDEPENDENT_CODE ON)
  # Whole: nothing names a unit, the table registers itself.
  add_library(ldlm_cuda INTERFACE)
  target_link_libraries(ldlm_cuda INTERFACE $<LINK_LIBRARY:WHOLE_ARCHIVE,ldlm_cuda_units>)
  add_library(ldlm::cuda ALIAS ldlm_cuda)
endfunction()
