# Parquet files of data sets, by Arrow C++: found, not required. ASSAY_PARQUET = auto | on | off. It is the one that
# scripts/fetch_arrow.sh fetches, or any wheel of pyarrow that ASSAY_ARROW_ROOT names (its folder pyarrow).
set(ASSAY_PARQUET auto CACHE STRING "read Parquet files: auto, on or off")
set_property(CACHE ASSAY_PARQUET PROPERTY STRINGS auto on off)
if(NOT ASSAY_PARQUET MATCHES "^(auto|on|off)$")
  message(FATAL_ERROR "ASSAY_PARQUET is '${ASSAY_PARQUET}'; allowed: auto, on, off")
endif()
set(ASSAY_ARROW_ROOT "${PROJECT_SOURCE_DIR}/.deps/arrow/pyarrow" CACHE PATH "folder of Arrow's libraries and of include/")
file(GLOB arrow_libraries "${ASSAY_ARROW_ROOT}/libparquet.so.*" "${ASSAY_ARROW_ROOT}/libarrow.so.*")
list(LENGTH arrow_libraries arrow_count)
set(ASSAY_HAS_PARQUET OFF)
if(NOT ASSAY_PARQUET STREQUAL "off" AND arrow_count EQUAL 2 AND EXISTS "${ASSAY_ARROW_ROOT}/include/parquet/arrow/reader.h")
  set(ASSAY_HAS_PARQUET ON)
  list(APPEND CMAKE_BUILD_RPATH "${ASSAY_ARROW_ROOT}")
  # One file sees the headers.
  set_source_files_properties(harness/task/internal/parquet_file.cpp PROPERTIES COMPILE_DEFINITIONS ASSAY_PARQUET
    COMPILE_OPTIONS "-isystem;${ASSAY_ARROW_ROOT}/include" SKIP_PRECOMPILE_HEADERS ON SKIP_UNITY_BUILD_INCLUSION ON)
elseif(ASSAY_PARQUET STREQUAL "on")
  message(FATAL_ERROR "ASSAY_PARQUET=on, but there is no Arrow in ${ASSAY_ARROW_ROOT}: run scripts/fetch_arrow.sh")
endif()
message(STATUS "Parquet: ${ASSAY_HAS_PARQUET}")
