# The git revision is looked up at every build, not at configuration, and only its own small source
# is compiled again when it changes.
add_custom_target(assay_revision
  COMMAND ${CMAKE_COMMAND} -DSOURCE_DIR=${PROJECT_SOURCE_DIR} -DHEADER=${PROJECT_BINARY_DIR}/generated/revision.h
          -P "${PROJECT_SOURCE_DIR}/cmake/Revision.cmake"
  BYPRODUCTS "${PROJECT_BINARY_DIR}/generated/revision.h" VERBATIM)
add_dependencies(assay_plain assay_revision)
target_include_directories(assay_plain PRIVATE "${PROJECT_BINARY_DIR}/generated")
