# polariscope_embed(TARGET PREFIX NAME FILE [NAME FILE ...]): the bytes of each file in TARGET, as they lie, between the
# symbols PREFIX_NAME and PREFIX_NAME_end (base/embedded.h).
function(polariscope_embed target prefix)
  # Mach-O has other sections, and an underscore before the names of C.
  if(APPLE)
    set(assembly "  .section __TEXT,__const\n")
    set(before "_")
    set(end "")
  else()
    set(assembly "  .section .rodata\n")
    set(before "")
    set(end "  .section .note.GNU-stack,\"\",%progbits\n")
  endif()
  set(files)
  while(ARGN)
    list(POP_FRONT ARGN name file)
    set(symbol ${before}${prefix}_${name})
    string(APPEND assembly
      "  .globl ${symbol}\n  .balign 16\n${symbol}:\n  .incbin \"${file}\"\n"
      "  .globl ${symbol}_end\n${symbol}_end:\n  .byte 0\n")
    list(APPEND files "${file}")
  endwhile()
  set(assembled "${CMAKE_CURRENT_BINARY_DIR}/${prefix}.S")
  file(CONFIGURE OUTPUT "${assembled}" @ONLY
    CONTENT "${assembly}${end}")
  set_source_files_properties("${assembled}" PROPERTIES OBJECT_DEPENDS "${files}")
  target_sources(${target} PRIVATE "${assembled}")
endfunction()
