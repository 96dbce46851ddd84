# polariscope_embed_example(TARGET): example.cpp, and the files of data/example as they lie, assembled into TARGET.
function(polariscope_embed_example target)
  set(folder "${PROJECT_SOURCE_DIR}/data/example")
  set(files)
  set(assembly "  .section .rodata\n")
  foreach(file config.json model.safetensors tokenizer.json text.txt)
    get_filename_component(name ${file} NAME_WE)
    set(symbol polariscope_example_${name})
    string(APPEND assembly
      "  .global ${symbol}\n  .balign 16\n${symbol}:\n  .incbin \"${folder}/${file}\"\n"
      "  .global ${symbol}_end\n${symbol}_end:\n  .byte 0\n")
    list(APPEND files "${folder}/${file}")
  endforeach()
  set(assembled "${CMAKE_CURRENT_BINARY_DIR}/example_files.S")
  file(CONFIGURE OUTPUT "${assembled}" @ONLY
    CONTENT "${assembly}  .section .note.GNU-stack,\"\",%progbits\n")
  set_source_files_properties("${assembled}" PROPERTIES OBJECT_DEPENDS "${files}")
  target_sources(${target} PRIVATE example.cpp "${assembled}")
endfunction()
