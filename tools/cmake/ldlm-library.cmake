# ldlm::ldlm: the headers, the bodies of functions that are no templates, and the CPU kernels for every
# instruction set that this architecture is known to have, one unit each, of which a program picks the
# widest that its processor runs. Compiled in the project that links it.

# Where in a cache line a short loop begins is a matter of luck, and of up to half its speed.
function(ldlm_align_loops target)
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU,Clang>:-falign-loops=64>)
endfunction()

# ldlm_add_library(<folder of the units>)
function(ldlm_add_library folder)
  if(TARGET ldlm)
    return()
  endif()
  set(units baseline)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    list(APPEND units avx2 avx512)
  endif()
  set(flags_baseline "")
  set(flags_avx2 -mavx2 -mfma)
  # AMX and VNNI are only used where the processor has them, bf16 only with AMX: GemmAmx, GemmInt8.
  set(flags_avx512 -mavx2 -mfma -mavx512f -mavx512cd -mavx512dq -mavx512bw -mavx512vnni -mavx512bf16
      -mamx-tile -mamx-bf16)
  # The baseline first: of what units share, the linker takes the first it finds.
  list(TRANSFORM units PREPEND "${folder}/" OUTPUT_VARIABLE sources)
  list(TRANSFORM sources APPEND ".cpp")
  add_library(ldlm_units STATIC EXCLUDE_FROM_ALL ${sources})
  foreach(unit IN LISTS units)
    set_source_files_properties("${folder}/${unit}.cpp" PROPERTIES COMPILE_OPTIONS
                                                                   "${flags_${unit}}")
  endforeach()
  set(bodies "${CMAKE_CURRENT_BINARY_DIR}/ldlm_bodies.cpp")
  file(CONFIGURE OUTPUT "${bodies}" CONTENT "#include <ldlm/bodies.hpp>\n")
  add_library(ldlm_bodies STATIC EXCLUDE_FROM_ALL "${bodies}")
  target_compile_definitions(ldlm_bodies PRIVATE LDLM_LINKED)
  foreach(library IN ITEMS ldlm_units ldlm_bodies)
    target_link_libraries(${library} PUBLIC ldlm::header_only)
    # In every configuration: a debug build is after its own bugs, and kernels without optimisation
    # are a hundred times slower.
    target_compile_options(${library} PRIVATE -O2)
    set_target_properties(${library} PROPERTIES CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON)
  endforeach()
  ldlm_align_loops(ldlm_units)
  # The units whole: nothing names one, they register themselves.
  add_library(ldlm INTERFACE)
  target_link_libraries(ldlm INTERFACE $<LINK_LIBRARY:WHOLE_ARCHIVE,ldlm_units> ldlm_bodies)
  # The headers need not compile them once more.
  target_compile_definitions(ldlm INTERFACE LDLM_LINKED)
  add_library(ldlm::ldlm ALIAS ldlm)
endfunction()
