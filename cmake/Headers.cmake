# ASSAY_CHECK_HEADERS (the lint preset): compiles every header by itself, so that none leans on what its
# users happen to include before it.
option(ASSAY_CHECK_HEADERS "compile every header by itself" OFF)
if(ASSAY_CHECK_HEADERS)
  file(GLOB_RECURSE headers RELATIVE "${PROJECT_SOURCE_DIR}" CONFIGURE_DEPENDS
       harness/*.h methods/*.h tasks/*.h datasets/*.h results/*.h reports/*.h)
  set(sources "")
  foreach(header IN LISTS headers)
    set(source "${PROJECT_BINARY_DIR}/headers/${header}.cpp")
    file(CONFIGURE OUTPUT "${source}" CONTENT "#include \"${header}\"\n")
    list(APPEND sources "${source}")
  endforeach()
  add_library(assay_headers OBJECT ${sources})
  target_link_libraries(assay_headers PRIVATE assay_settings assay_torch CLI11::CLI11 SQLiteCpp)
  set_target_properties(assay_headers PROPERTIES CXX_CLANG_TIDY "")
endif()
