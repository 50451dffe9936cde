# LibTorch: tensors, operators, autograd and optimisers. Gives the target assay_torch.
# Its own CMake package insists on a CUDA toolkit, so the libraries are imported here directly.
include(LocateTorch)
message(STATUS "LibTorch ${ASSAY_TORCH_VERSION}: ${ASSAY_TORCH_ROOT}")

# The CUDA build of libtorch_cpu.so loads these two at run time, on machines without a GPU too.
# Wheels keep them in a sibling folder; elsewhere they come with the CUDA toolkit.
file(GLOB torch_runtime_hints "${ASSAY_TORCH_ROOT}/../nvidia/*/lib")
list(APPEND torch_runtime_hints /usr/local/cuda/lib64 /usr/local/cuda/extras/CUPTI/lib64)

add_library(assay_torch INTERFACE)
# -idirafter: the include folder carries its own fmt, which must not shadow the system's.
target_compile_options(assay_torch INTERFACE
  "SHELL:-idirafter ${ASSAY_TORCH_ROOT}/include"
  "SHELL:-idirafter ${ASSAY_TORCH_ROOT}/include/torch/csrc/api/include")
target_compile_definitions(assay_torch INTERFACE ASSAY_LIBTORCH_VERSION="${ASSAY_TORCH_VERSION}")
# Classes in LibTorch's headers have other members without NDEBUG, which it was built with.
target_compile_definitions(assay_torch INTERFACE $<$<CONFIG:Debug,>:NDEBUG>)
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
