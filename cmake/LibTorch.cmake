# LibTorch: tensors, operators, autograd and optimisers. Looked for in this order:
#   1. an installation the user names: -DTorch_DIR or -DCMAKE_PREFIX_PATH;
#   2. the torch package of the active Python environment;
#   3. the pinned wheel that scripts/bootstrap.sh unpacks under .deps/torch.
# Its own CMake package insists on a CUDA toolkit, so the libraries are imported here directly.
# Gives the target assay_torch and the variable ASSAY_TORCH_CUDA (ON when LibTorch itself runs on CUDA).

set(torch_candidates "")
if(Torch_DIR)
  list(APPEND torch_candidates "${Torch_DIR}/../../..")
endif()
list(APPEND torch_candidates ${CMAKE_PREFIX_PATH})
execute_process(
  COMMAND python3 -c "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')"
  OUTPUT_VARIABLE torch_python OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(torch_python)
  list(APPEND torch_candidates "${torch_python}")
endif()
list(APPEND torch_candidates "${PROJECT_SOURCE_DIR}/.deps/torch")

unset(ASSAY_TORCH_ROOT)
foreach(root IN LISTS torch_candidates)
  if(EXISTS "${root}/include/ATen/ATen.h" AND EXISTS "${root}/lib/libtorch_cpu.so")
    get_filename_component(ASSAY_TORCH_ROOT "${root}" REALPATH)
    break()
  endif()
endforeach()
if(NOT ASSAY_TORCH_ROOT)
  message(FATAL_ERROR "LibTorch was not found in: ${torch_candidates}\n"
                      "Run 'make build', which fetches it, or name one with -DCMAKE_PREFIX_PATH=/path/to/libtorch.")
endif()
file(STRINGS "${ASSAY_TORCH_ROOT}/include/torch/headeronly/version.h" version_lines REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH)")
string(REGEX MATCHALL "[0-9]+" version_parts "${version_lines}")
list(JOIN version_parts "." ASSAY_TORCH_VERSION)
message(STATUS "LibTorch ${ASSAY_TORCH_VERSION}: ${ASSAY_TORCH_ROOT}")

# The CUDA build of libtorch_cpu.so loads these two at run time, on machines without a GPU too.
set(torch_runtime_hints "${PROJECT_SOURCE_DIR}/.deps/nvidia" /usr/local/cuda/lib64 /usr/local/cuda/extras/CUPTI/lib64)
if(torch_python)
  file(GLOB torch_sibling_libs "${torch_python}/../nvidia/*/lib")
  list(APPEND torch_runtime_hints ${torch_sibling_libs})
endif()

add_library(assay_torch INTERFACE)
# -idirafter: the include folder carries its own fmt, which must not shadow the system's.
target_compile_options(assay_torch INTERFACE
  "SHELL:-idirafter ${ASSAY_TORCH_ROOT}/include"
  "SHELL:-idirafter ${ASSAY_TORCH_ROOT}/include/torch/csrc/api/include")
target_compile_definitions(assay_torch INTERFACE ASSAY_LIBTORCH_VERSION="${ASSAY_TORCH_VERSION}")
target_link_libraries(assay_torch INTERFACE
  "${ASSAY_TORCH_ROOT}/lib/libtorch_cpu.so" "${ASSAY_TORCH_ROOT}/lib/libc10.so")
set(torch_rpath "${ASSAY_TORCH_ROOT}/lib")
foreach(library cudart cupti)
  find_library(ASSAY_LIB_${library} NAMES lib${library}.so.13 lib${library}.so.12 HINTS ${torch_runtime_hints})
  if(ASSAY_LIB_${library})
    get_filename_component(folder "${ASSAY_LIB_${library}}" DIRECTORY)
    list(APPEND torch_rpath "${folder}")
  endif()
endforeach()
list(REMOVE_DUPLICATES torch_rpath)
list(APPEND CMAKE_BUILD_RPATH ${torch_rpath})
foreach(folder IN LISTS torch_rpath)
  target_link_options(assay_torch INTERFACE "-Wl,-rpath-link,${folder}")
endforeach()
# DT_RPATH, unlike DT_RUNPATH, is also searched for the libraries that LibTorch itself needs.
target_link_options(assay_torch INTERFACE "-Wl,--disable-new-dtags")
