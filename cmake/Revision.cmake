execute_process(COMMAND git -C "${SOURCE_DIR}" describe --always --abbrev=12 --dirty --exclude=*
                OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
# Written only when it changes.
file(CONFIGURE OUTPUT "${HEADER}" CONTENT "#define ASSAY_GIT_REVISION \"${revision}\"\n" @ONLY)
