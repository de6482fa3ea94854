# cmake --install: headers, the command, and a package file for find_package(ldlm).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(DIRECTORY include/ldlm DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING
        PATTERN "*.hpp")
install(DIRECTORY backends/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ldlm-backends FILES_MATCHING
        PATTERN "*.hpp" PATTERN "*.cuh" PATTERN "*.cu")
install(DIRECTORY backends/ldlm_simd/units
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ldlm-backends/ldlm_simd)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
if(TARGET ldlm_command)
  install(TARGETS ldlm_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/ldlm)
install(TARGETS ldlm_header_only EXPORT ldlm-targets)
install(EXPORT ldlm-targets NAMESPACE ldlm:: DESTINATION ${config_dir})
set(LDLM_UNITS_DIR ${CMAKE_INSTALL_INCLUDEDIR}/ldlm-backends/ldlm_simd/units)
set(LDLM_CUDA_DIR ${CMAKE_INSTALL_INCLUDEDIR}/ldlm-backends/ldlm_cuda)
configure_package_config_file(
  tools/cmake/ldlm-config.cmake.in "${PROJECT_BINARY_DIR}/ldlm-config.cmake"
  INSTALL_DESTINATION ${config_dir} PATH_VARS LDLM_UNITS_DIR LDLM_CUDA_DIR)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/ldlm-config-version.cmake"
                                 COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES tools/cmake/ldlm-xsimd.cmake tools/cmake/ldlm-library.cmake tools/cmake/ldlm-cuda.cmake
              "${PROJECT_BINARY_DIR}/ldlm-config.cmake"
              "${PROJECT_BINARY_DIR}/ldlm-config-version.cmake" DESTINATION ${config_dir})
