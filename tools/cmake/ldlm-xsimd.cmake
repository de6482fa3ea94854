# Debian's package of xsimd 8 makes its users link "-lxtl", although xtl is a header-only library
# that xsimd does not use and that need not be installed. Included after xsimd was found.
get_target_property(ldlm_xsimd_links xsimd INTERFACE_LINK_LIBRARIES)
if("xtl" IN_LIST ldlm_xsimd_links AND NOT TARGET xtl)
  list(REMOVE_ITEM ldlm_xsimd_links xtl)
  set_property(TARGET xsimd PROPERTY INTERFACE_LINK_LIBRARIES ${ldlm_xsimd_links})
endif()
unset(ldlm_xsimd_links)
