# assay_precompiled(TARGET): a target that links assay_core reads the headers that are precompiled for assay_tensor.
# A compiler takes them under the same flags only: position-independent as a library's, all of assay_tensor's macros.
function(assay_precompiled target)
  target_precompile_headers(${target} REUSE_FROM assay_tensor)
  target_compile_options(${target} PRIVATE -fPIC)
  target_compile_definitions(${target} PRIVATE $<TARGET_PROPERTY:assay_tensor,COMPILE_DEFINITIONS>)
endfunction()
