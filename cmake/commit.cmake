# The commit this build was made from; "unknown" outside a git checkout. Stored with every measurement.
execute_process(
  COMMAND git -C ${CMAKE_CURRENT_SOURCE_DIR} describe --always --dirty
  OUTPUT_VARIABLE OPCLOCK_COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT OPCLOCK_COMMIT)
  set(OPCLOCK_COMMIT unknown)
endif()
