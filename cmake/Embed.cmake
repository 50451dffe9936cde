# assay_embed(OUT): sources that carry files inside the program, each as
#   extern const char NAME[]; extern const size_t NAME_size;   in namespace assay::embedded.
# For the store's schema and the report's page, style, script and Chart.js.
find_file(ASSAY_CHART_JS NAMES chart.min.js chart.js
  PATHS /usr/share/javascript/chart.js /usr/share/nodejs/chart.js/dist NO_DEFAULT_PATH)
if(NOT ASSAY_CHART_JS)
  message(FATAL_ERROR "Chart.js was not found: install Debian's libjs-chart.js ('make build' does)")
endif()

function(assay_embed out)
  set(sources "")
  foreach(pair IN ITEMS
      "schema_sql=${PROJECT_SOURCE_DIR}/results/schema.sql"
      "page_html=${PROJECT_SOURCE_DIR}/reports/page.html"
      "page_css=${PROJECT_SOURCE_DIR}/reports/page.css"
      "page_js=${PROJECT_SOURCE_DIR}/reports/page.js"
      "chart_js=${ASSAY_CHART_JS}")
    string(REPLACE "=" ";" parts "${pair}")
    list(GET parts 0 name)
    list(GET parts 1 file)
    set(source "${PROJECT_BINARY_DIR}/embedded/${name}.cpp")
    add_custom_command(OUTPUT "${source}"
      COMMAND ${CMAKE_COMMAND} -DNAME=${name} -DFILE=${file} -DSOURCE=${source}
              -P "${PROJECT_SOURCE_DIR}/cmake/EmbedFile.cmake"
      DEPENDS "${file}" "${PROJECT_SOURCE_DIR}/cmake/EmbedFile.cmake"
      COMMENT "embedding ${name}" VERBATIM)
    list(APPEND sources "${source}")
  endforeach()
  set(${out} ${sources} PARENT_SCOPE)
endfunction()
