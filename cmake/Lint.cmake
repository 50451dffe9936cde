# ASSAY_LINT (the lint preset): clang-tidy on every source as it is compiled, and every header compiled by itself, so
# that none leans on what its users happen to include before it.
option(ASSAY_LINT "run clang-tidy on every source and compile every header by itself" OFF)
if(NOT ASSAY_LINT)
  return()
endif()

# The plugin is made now, since everything that is compiled later needs it.
set(plugin_source "${PROJECT_SOURCE_DIR}/scripts/lint/own_code.cpp")
set(plugin "${PROJECT_BINARY_DIR}/own_code.so")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${plugin_source}")
execute_process(COMMAND llvm-config --includedir OUTPUT_VARIABLE llvm_includes OUTPUT_STRIP_TRAILING_WHITESPACE
                COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND "${CMAKE_CXX_COMPILER}" -std=c++17 -O1 -fPIC -shared -isystem "${llvm_includes}"
                        "${plugin_source}" -o "${plugin}"
                COMMAND_ERROR_IS_FATAL ANY)
set(CMAKE_CXX_CLANG_TIDY clang-tidy --quiet --load=${plugin})

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
