# Sets ASSAY_TORCH_ROOT and ASSAY_TORCH_VERSION: the LibTorch to use, the first of
#   1. an installation the user names: Torch_DIR or CMAKE_PREFIX_PATH (variables or environment);
#   2. the torch package of the active Python environment;
#   3. the pinned wheel that scripts/bootstrap.sh unpacks under .deps/torch.
# One that is older than ASSAY_TORCH_MINIMUM is passed over, unless Torch_DIR names it: an error then.
# Also run as a script by scripts/bootstrap.sh, with IGNORE_FETCHED: fails when only 3 could serve.
if(NOT ASSAY_TORCH_MINIMUM)
  set(ASSAY_TORCH_MINIMUM 2.11)  # what Assay is tested with
endif()

set(torch_candidates "")
set(torch_named "")
foreach(folder IN ITEMS "${Torch_DIR}" "$ENV{Torch_DIR}")
  if(folder)
    get_filename_component(torch_named "${folder}/../../.." ABSOLUTE)  # it names share/cmake/Torch
    list(APPEND torch_candidates "${torch_named}")
  endif()
endforeach()
string(REPLACE ":" ";" torch_prefixes "$ENV{CMAKE_PREFIX_PATH}")
list(APPEND torch_candidates ${CMAKE_PREFIX_PATH} ${torch_prefixes})
execute_process(
  COMMAND python3 -c "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')"
  OUTPUT_VARIABLE torch_python OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(torch_python)
  list(APPEND torch_candidates "${torch_python}")
endif()
if(NOT IGNORE_FETCHED)
  get_filename_component(torch_fetched "${CMAKE_CURRENT_LIST_DIR}/../.deps/torch" ABSOLUTE)
  list(APPEND torch_candidates "${torch_fetched}")
endif()

# Sets `out` to the version of the LibTorch in `root`, or to nothing when none is there.
function(torch_version root out)
  set(${out} "" PARENT_SCOPE)
  if(NOT EXISTS "${root}/include/ATen/ATen.h" OR NOT EXISTS "${root}/lib/libtorch_cpu.so")
    return()
  endif()
  foreach(header torch/headeronly/version.h torch/csrc/api/include/torch/version.h)
    if(EXISTS "${root}/include/${header}")
      file(STRINGS "${root}/include/${header}" lines REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
      if(lines)
        string(REGEX MATCHALL "[0-9]+" parts "${lines}")
        list(JOIN parts "." version)
        set(${out} "${version}" PARENT_SCOPE)
        return()
      endif()
    endif()
  endforeach()
  set(${out} "0" PARENT_SCOPE)
endfunction()

unset(ASSAY_TORCH_ROOT)
foreach(root IN LISTS torch_candidates)
  torch_version("${root}" version)
  if(version AND version VERSION_GREATER_EQUAL ASSAY_TORCH_MINIMUM)
    get_filename_component(ASSAY_TORCH_ROOT "${root}" REALPATH)
    set(ASSAY_TORCH_VERSION "${version}")
    break()
  elseif(root STREQUAL torch_named)
    message(FATAL_ERROR "Torch_DIR names ${root}, which holds ${version} where LibTorch "
                        "${ASSAY_TORCH_MINIMUM} or later is needed")
  elseif(NOT version STREQUAL "")
    message(STATUS "passing over the LibTorch in ${root}: older than ${ASSAY_TORCH_MINIMUM}")
  endif()
endforeach()
if(NOT ASSAY_TORCH_ROOT)
  list(JOIN torch_candidates "\n  " places)
  message(FATAL_ERROR "LibTorch ${ASSAY_TORCH_MINIMUM} or later was not found in:\n  ${places}\n"
                      "Run 'make build', which fetches it, or name one with -DCMAKE_PREFIX_PATH=/path/to/libtorch.")
endif()
