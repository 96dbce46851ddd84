# polariscope_embed_report_assets(TARGET): the page's files and the bundled Vega, assembled into TARGET.

# Files are read at configure time (their SHA-256 goes into the page's security policy), so a change
# of one of them configures again.
function(polariscope_report_asset name output)
  set(text "")
  foreach(file IN LISTS ARGN)
    if(NOT EXISTS "${file}")
      message(FATAL_ERROR "The report's JavaScript is not installed (${file} is missing): run ./dev setup.")
    endif()
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
    file(READ "${file}" part)
    # A source map is a second file, which a page that stands alone does not have.
    string(REGEX REPLACE "\n//# sourceMappingURL=[^\n]*" "" part "${part}")
    string(APPEND text "${part}\n")
  endforeach()
  string(TOLOWER "${text}" lower)
  if(output MATCHES "[.]js$" AND lower MATCHES "</script|<!--")
    message(FATAL_ERROR "${output} holds text that would end a script element: escape it before embedding.")
  endif()
  set(bundle "${CMAKE_CURRENT_BINARY_DIR}/${output}")
  file(WRITE "${bundle}.new" "${text}")
  file(COPY_FILE "${bundle}.new" "${bundle}" ONLY_IF_DIFFERENT)
  file(REMOVE "${bundle}.new")
  file(SHA256 "${bundle}" hash)
  set_property(GLOBAL APPEND_STRING PROPERTY polariscope_asset_hashes
    "#define POLARISCOPE_HASH_${name} \"${hash}\"\n")
  set_property(GLOBAL APPEND PROPERTY polariscope_assets ${name} "${bundle}")
endfunction()

function(polariscope_embed_report_assets target)
  set(modules "${PROJECT_SOURCE_DIR}/node_modules")
  if(SKBUILD AND NOT EXISTS "${modules}/vega-embed")  # pip builds a clone that ./dev has not set up
    execute_process(COMMAND npm ci --omit=dev --no-audit --no-fund --loglevel=error
                    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}" RESULT_VARIABLE failed)
    if(failed)
      message(FATAL_ERROR "The report's JavaScript comes by npm, which did not work (${failed}): on Debian or Ubuntu "
                          "apt-get install npm")
    endif()
  endif()
  set(assets "${CMAKE_CURRENT_SOURCE_DIR}/assets")
  polariscope_report_asset(page_html page.html "${assets}/page.html")
  polariscope_report_asset(page_css page.css "${assets}/paper.css" "${assets}/page.css")
  polariscope_report_asset(page_js page.js
    "${assets}/theme.js" "${assets}/layout.js" "${assets}/figures.js" "${assets}/listings.js"
    "${assets}/page.js")
  polariscope_report_asset(charts_js charts.js
    "${modules}/vega/build/vega.min.js"
    "${modules}/vega-lite/build/vega-lite.min.js"
    "${modules}/vega-embed/build/vega-embed.min.js")
  polariscope_report_asset(charts_licences charts_licences.txt
    "${modules}/vega/LICENSE" "${modules}/vega-lite/LICENSE" "${modules}/vega-embed/LICENSE")

  get_property(hashes GLOBAL PROPERTY polariscope_asset_hashes)
  get_property(named_files GLOBAL PROPERTY polariscope_assets)
  file(CONFIGURE OUTPUT report_asset_hashes.h CONTENT "#pragma once\n${hashes}" @ONLY)
  polariscope_embed(${target} polariscope_asset ${named_files})
  target_include_directories(${target} PRIVATE "${CMAKE_CURRENT_BINARY_DIR}")
endfunction()
