# polariscope_embed(TARGET PREFIX NAME FILE [NAME FILE ...]): the bytes of each file in TARGET, as they lie, between the
# symbols PREFIX_NAME and PREFIX_NAME_end (base/embedded.h).
function(polariscope_embed target prefix)
  set(assembly "  .section .rodata\n")
  set(files)
  while(ARGN)
    list(POP_FRONT ARGN name file)
    set(symbol ${prefix}_${name})
    string(APPEND assembly
      "  .global ${symbol}\n  .balign 16\n${symbol}:\n  .incbin \"${file}\"\n"
      "  .global ${symbol}_end\n${symbol}_end:\n  .byte 0\n")
    list(APPEND files "${file}")
  endwhile()
  set(assembled "${CMAKE_CURRENT_BINARY_DIR}/${prefix}.S")
  file(CONFIGURE OUTPUT "${assembled}" @ONLY
    CONTENT "${assembly}  .section .note.GNU-stack,\"\",%progbits\n")
  set_source_files_properties("${assembled}" PROPERTIES OBJECT_DEPENDS "${files}")
  target_sources(${target} PRIVATE "${assembled}")
endfunction()
