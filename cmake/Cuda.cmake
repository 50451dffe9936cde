# CUDA: found, not required. ASSAY_CUDA = auto | on | off.
#   auto  kernels (*.cu) are compiled when nvcc is there; LibTorch's CUDA half is used when all that it
#         needs is there and the machine has an NVIDIA driver.
#   on    as auto, but anything missing is an error.      off   no CUDA at all.
set(ASSAY_CUDA auto CACHE STRING "build for CUDA: auto, on or off")
set_property(CACHE ASSAY_CUDA PROPERTY STRINGS auto on off)
if(NOT ASSAY_CUDA MATCHES "^(auto|on|off)$")
  message(FATAL_ERROR "ASSAY_CUDA is '${ASSAY_CUDA}'; allowed: auto, on, off")
endif()
set(ASSAY_CUDA_ARCHITECTURES 80 86 89 90 100 120 CACHE STRING "GPU architectures the kernels are compiled for")

set(ASSAY_CUDA_KERNELS OFF)
set(ASSAY_TORCH_CUDA OFF)
if(NOT ASSAY_CUDA STREQUAL "off")
  if(NOT CMAKE_CUDA_COMPILER)
    find_program(nvcc_program nvcc HINTS /usr/local/cuda/bin)
    if(nvcc_program)
      set(CMAKE_CUDA_COMPILER "${nvcc_program}")
    endif()
  endif()
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(CMAKE_CUDA_ARCHITECTURES ${ASSAY_CUDA_ARCHITECTURES})
    enable_language(CUDA)
    set(CMAKE_CUDA_STANDARD 17)
    set(ASSAY_CUDA_KERNELS ON)
  elseif(ASSAY_CUDA STREQUAL "on")
    message(FATAL_ERROR "ASSAY_CUDA=on, but no CUDA compiler (nvcc) was found")
  endif()

  if(EXISTS "${ASSAY_TORCH_ROOT}/lib/libtorch_cuda.so" AND ASSAY_CUDA_KERNELS)
    execute_process(COMMAND ldd "${ASSAY_TORCH_ROOT}/lib/libtorch_cuda.so"
                    OUTPUT_VARIABLE torch_cuda_needs ERROR_QUIET)
    string(REGEX MATCHALL "[^ \t\n]+ => not found" torch_cuda_missing "${torch_cuda_needs}")
    if(torch_cuda_missing AND ASSAY_CUDA STREQUAL "on")
      message(FATAL_ERROR "ASSAY_CUDA=on, but LibTorch's CUDA half lacks: ${torch_cuda_missing}")
    endif()
    if(NOT torch_cuda_missing AND (EXISTS /dev/nvidiactl OR ASSAY_CUDA STREQUAL "on"))
      set(ASSAY_TORCH_CUDA ON)
    endif()
  elseif(ASSAY_CUDA STREQUAL "on")
    message(FATAL_ERROR "ASSAY_CUDA=on, but this LibTorch was built without CUDA")
  endif()
endif()

# The definitions go with assay_torch, to all that share its precompiled header.
if(ASSAY_CUDA_KERNELS)
  target_compile_definitions(assay_torch INTERFACE ASSAY_CUDA_KERNELS)
endif()
if(ASSAY_TORCH_CUDA)
  target_compile_definitions(assay_torch INTERFACE ASSAY_TORCH_CUDA)
  # Nothing names symbols of libtorch_cuda directly, so the linker must be told to keep it.
  target_link_libraries(assay_torch INTERFACE
    -Wl,--no-as-needed "${ASSAY_TORCH_ROOT}/lib/libtorch_cuda.so" "${ASSAY_TORCH_ROOT}/lib/libc10_cuda.so" -Wl,--as-needed)
endif()
message(STATUS "CUDA kernels: ${ASSAY_CUDA_KERNELS}; LibTorch on CUDA: ${ASSAY_TORCH_CUDA}")
