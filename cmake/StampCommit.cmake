# cmake -D SOURCE=... -D HEADER=... -P StampCommit.cmake: writes the commit of SOURCE into HEADER.
# The ceiling keeps an unpacked archive from taking the commit of a repository that it lies in.
get_filename_component(parent "${SOURCE}" DIRECTORY)
set(ENV{GIT_CEILING_DIRECTORIES} "${parent}")
execute_process(
  COMMAND git describe --always --dirty=+changes --exclude=*
  WORKING_DIRECTORY "${SOURCE}" OUTPUT_VARIABLE commit RESULT_VARIABLE failed
  OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(failed)
  set(commit "unknown")
endif()
file(CONFIGURE OUTPUT "${HEADER}" CONTENT "#define POLARISCOPE_COMMIT \"${commit}\"\n" @ONLY)
