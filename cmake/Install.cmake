# cmake --install: a tree that works wherever it is moved.
#   bin/assay, lib/libassay.so     found through $ORIGIN, as is a LibTorch under lib/assay
#   lib/assay/torch, nvidia        LibTorch, when it is the one that scripts/bootstrap.sh fetched
#   lib/cmake/assay                find_package(assay): assay::core, assay_add_plugin()
#   include/assay                  the headers that authors include, with all that these include
#   share/assay                    tasks, datasets, sweeps, recipes
#   share/man, bash-completion, zsh, fish    generated from the commands of the program
get_filename_component(torch_home "${ASSAY_TORCH_ROOT}" DIRECTORY)
set(own_torch OFF)
if(torch_home STREQUAL "${PROJECT_SOURCE_DIR}/.deps")
  set(own_torch ON)
endif()
option(ASSAY_INSTALL_LIBTORCH "install LibTorch, too" ${own_torch})

set(core_rpath ${torch_rpath})
set(program_rpath ${torch_rpath})
if(ASSAY_INSTALL_LIBTORCH)
  set(core_rpath "$ORIGIN/assay/torch/lib" "$ORIGIN/assay/nvidia/cu13/lib")
  set(program_rpath "$ORIGIN/../lib/assay/torch/lib" "$ORIGIN/../lib/assay/nvidia/cu13/lib")
  # A link there, as assay-gpu-check makes, would lead the files into somebody else's LibTorch.
  install(CODE "set(own \"${torch_home}\")")
  install(CODE [[
    foreach(folder torch nvidia)
      set(link "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}/lib/assay/${folder}")
      if(IS_SYMLINK "${link}")
        file(REAL_PATH "${link}" target)
        file(REAL_PATH "${own}/${folder}" source)
        if(NOT target STREQUAL source)
          message(FATAL_ERROR "'${link}' is a link to ${target}, whose files would be replaced: remove the link")
        endif()
      endif()
    endforeach()
  ]])
  # LibTorch looks for its CUDA libraries beside itself.
  install(DIRECTORY "${ASSAY_TORCH_ROOT}/lib" "${ASSAY_TORCH_ROOT}/include" DESTINATION lib/assay/torch)
  install(DIRECTORY "${torch_home}/nvidia" DESTINATION lib/assay OPTIONAL)
  set(ASSAY_INSTALLED_LIBTORCH "${torch_home}" CACHE INTERNAL "what is installed to lib/assay")
endif()
# Other libraries of a bundle lie beside this one.
set_target_properties(assay_core PROPERTIES INSTALL_RPATH "$ORIGIN;${core_rpath}")
set_target_properties(assay PROPERTIES INSTALL_RPATH "$ORIGIN/../lib;${program_rpath}")
if(ASSAY_HAS_PARQUET)
  install(FILES ${arrow_libraries} DESTINATION lib)
endif()
install(TARGETS assay assay_core RUNTIME DESTINATION bin LIBRARY DESTINATION lib)

foreach(folder tasks datasets sweeps recipes)
  install(DIRECTORY "${folder}/" DESTINATION "share/assay/${folder}" FILES_MATCHING PATTERN "*.json")
endforeach()
install(DIRECTORY templates/ DESTINATION share/assay/templates)
install(FILES LICENSE DESTINATION share/doc/assay)

# New headers make a build configure itself again.
file(GLOB_RECURSE unused CONFIGURE_DEPENDS harness/*.h methods/*.h)
include(PublicHeaders)
assay_public_headers("${PROJECT_SOURCE_DIR}" headers)
foreach(header IN LISTS headers)
  get_filename_component(folder "${header}" DIRECTORY)
  install(FILES "${header}" DESTINATION "include/assay/${folder}")
endforeach()

# Compiled into every plugin: with what it was built.
install(FILES harness/plugin/abi.cpp DESTINATION lib/cmake/assay)
install(FILES "${ASSAY_HEADERS_HASH_FILE}" DESTINATION include/assay/harness/plugin)

include(CMakePackageConfigHelpers)
configure_package_config_file(cmake/assayConfig.cmake.in "${PROJECT_BINARY_DIR}/assayConfig.cmake"
                              INSTALL_DESTINATION lib/cmake/assay)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/assayConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/assayConfig.cmake" "${PROJECT_BINARY_DIR}/assayConfigVersion.cmake"
        DESTINATION lib/cmake/assay)

# The program describes its own commands. It runs here from the build folder.
install(CODE "set(program \"$<TARGET_FILE:assay>\")\nset(pages \"${PROJECT_BINARY_DIR}/pages\")")
install(CODE [[
  foreach(page IN ITEMS "bash=share/bash-completion/completions/assay" "zsh=share/zsh/site-functions/_assay"
                        "fish=share/fish/vendor_completions.d/assay.fish" "man=share/man/man1/assay.1")
    string(REGEX MATCH "^([a-z]+)=(.*)/([^/]+)$" unused "${page}")
    set(folder "${CMAKE_MATCH_2}")
    set(file "${pages}/${CMAKE_MATCH_3}")
    file(MAKE_DIRECTORY "${pages}")
    execute_process(COMMAND "${program}" completion "${CMAKE_MATCH_1}" OUTPUT_FILE "${file}" RESULT_VARIABLE failed)
    if(failed)
      message(FATAL_ERROR "'${program} completion' failed: ${failed}")
    endif()
    file(INSTALL "${file}" DESTINATION "${CMAKE_INSTALL_PREFIX}/${folder}")
  endforeach()
]])

# Removes what an older version installed and this one does not. The list names files below the prefix.
install(CODE [[
  if(NOT CMAKE_INSTALL_COMPONENT)
    set(list "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}/lib/assay/installed.txt")
    set(new "")
    foreach(file IN LISTS CMAKE_INSTALL_MANIFEST_FILES)
      file(RELATIVE_PATH file "${CMAKE_INSTALL_PREFIX}" "${file}")
      list(APPEND new "${file}")
    endforeach()
    set(old "")
    if(EXISTS "${list}")
      file(STRINGS "${list}" old)
    endif()
    list(REMOVE_ITEM old ${new})
    file(REAL_PATH "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}" prefix)
    foreach(file IN LISTS old)
      get_filename_component(folder "${prefix}/${file}" DIRECTORY)
      file(REAL_PATH "${folder}" folder)
      string(FIND "${folder}/" "${prefix}/" at)  # 0: no link leads elsewhere
      if(NOT file MATCHES "(^|/)[.][.](/|$)|^/" AND at EQUAL 0)
        message(STATUS "Removing: ${CMAKE_INSTALL_PREFIX}/${file}")
        file(REMOVE "${prefix}/${file}")
      endif()
    endforeach()
    list(JOIN new "\n" text)
    file(WRITE "${list}" "${text}\n")
  endif()
]])
