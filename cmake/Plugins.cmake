# The ABI of plugins holds a hash of the public headers' declarations, which is looked up at every build, and
#   assay_add_plugin(NAME FILE...)    a plugin of these sources for `assay --plugin NAME.so`, as installed packages have
set(ASSAY_HEADERS_HASH_FILE "${PROJECT_BINARY_DIR}/generated/harness/plugin/headers_hash.h")
add_custom_target(assay_headers_hash
  COMMAND ${CMAKE_COMMAND} -DSOURCE_DIR=${PROJECT_SOURCE_DIR} -DHEADER=${ASSAY_HEADERS_HASH_FILE}
          -P "${PROJECT_SOURCE_DIR}/cmake/HeadersHash.cmake"
  BYPRODUCTS "${ASSAY_HEADERS_HASH_FILE}" VERBATIM)
add_dependencies(assay_tensor assay_headers_hash)
set_source_files_properties(harness/plugin/abi.cpp PROPERTIES
  INCLUDE_DIRECTORIES "${PROJECT_BINARY_DIR}/generated" SKIP_PRECOMPILE_HEADERS ON)

function(assay_add_plugin name)
  add_library(${name} MODULE ${ARGN} "${PROJECT_SOURCE_DIR}/harness/plugin/abi.cpp")
  add_dependencies(${name} assay_headers_hash)
  set_source_files_properties("${PROJECT_SOURCE_DIR}/harness/plugin/abi.cpp" PROPERTIES SKIP_PRECOMPILE_HEADERS ON)
  target_include_directories(${name} PRIVATE "${PROJECT_BINARY_DIR}/generated")
  target_link_libraries(${name} PRIVATE assay_core)
  set_target_properties(${name} PROPERTIES PREFIX "")
endfunction()
