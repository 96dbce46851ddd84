# What pip installs beside python/polariscope: the library, and the programs with all that needs no LibTorch.
add_custom_target(wheel DEPENDS polariscope_c ${polariscope_plain_programs})
install(TARGETS polariscope_c LIBRARY DESTINATION polariscope COMPONENT python EXCLUDE_FROM_ALL)
install(FILES "${PROJECT_SOURCE_DIR}/include/polariscope/c_api.h" DESTINATION polariscope/include/polariscope
        COMPONENT python EXCLUDE_FROM_ALL)
if(NOT APPLE)
  install(TARGETS ${polariscope_plain_programs} RUNTIME DESTINATION polariscope/bin COMPONENT python EXCLUDE_FROM_ALL)
endif()
