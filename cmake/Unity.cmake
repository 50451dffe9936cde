# assay_unity(TARGET): sources of a folder are compiled together, up to eight at a time. Most of the time that a file takes
# goes into templates of LibTorch's, CLI11's and JSON's headers, which GCC makes anew for every file, precompiled
# header or not. Names in unnamed namespaces are then a folder's, not a file's.
option(ASSAY_UNITY "compile the sources of a folder together: a third of the time from scratch, more after a change" ON)

# Files by themselves: those with flags or a header of their own, those whose classes have members of types in unnamed
# namespaces, and Catch2's code.
set(assay_unity_exceptions "^harness/cost/|/search/evolution[.]cpp$|/axis_rules[.]cpp$|/plugin/|^tests/main[.]cpp$")

function(assay_unity target)
  if(NOT ASSAY_UNITY)
    return()
  endif()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
  get_target_property(sources ${target} SOURCES)
  foreach(source IN LISTS sources)
    get_filename_component(path "${source}" ABSOLUTE)
    file(RELATIVE_PATH path "${PROJECT_SOURCE_DIR}" "${path}")
    get_filename_component(folder "${path}" DIRECTORY)
    if(path MATCHES "^(harness|methods|tasks|datasets|results|reports|tests)/" AND NOT path MATCHES "${assay_unity_exceptions}")
      list(APPEND folders "${folder}")
      list(APPEND "sources_${folder}" "${source}")
    endif()
  endforeach()
  list(REMOVE_DUPLICATES folders)
  foreach(folder IN LISTS folders)
    string(REPLACE "/" "_" name "${folder}")
    list(LENGTH "sources_${folder}" count)
    math(EXPR groups "(${count} + 7) / 8")
    set(index 0)
    foreach(source IN LISTS "sources_${folder}")
      math(EXPR group "${index} * ${groups} / ${count}")
      set_source_files_properties("${source}" PROPERTIES UNITY_GROUP "${name}_${group}")
      math(EXPR index "${index} + 1")
    endforeach()
  endforeach()
endfunction()
