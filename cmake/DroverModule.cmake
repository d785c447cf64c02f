# SPDX-License-Identifier: GPL-3.0-or-later
# Helpers that every module's CMakeLists.txt uses: warnings, libraries and cmocka tests.

option(DROVER_WERROR "Treat warnings as errors (presets turn it on)" OFF)
set(DROVER_SANITIZE "" CACHE STRING "Sanitizers, such as address,undefined")

add_library(drover_flags INTERFACE)
target_compile_options(drover_flags INTERFACE
  -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wformat=2
  -Wswitch-enum -Wundef -Wnull-dereference -Wwrite-strings
  -fstack-protector-strong
  # Names and messages are cut to their field on purpose; clang does not know the flag.
  $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation>
  $<$<BOOL:${DROVER_WERROR}>:-Werror>)
target_compile_definitions(drover_flags INTERFACE _GNU_SOURCE DROVER_VERSION="${PROJECT_VERSION}")
if(DROVER_SANITIZE)
  target_compile_options(drover_flags INTERFACE -fsanitize=${DROVER_SANITIZE}
    -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(drover_flags INTERFACE -fsanitize=${DROVER_SANITIZE})
endif()

# drover_module(NAME dependencies…): static library drover_NAME from src/*.c, public headers in include/.
function(drover_module name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/src/*.c
       ${CMAKE_CURRENT_SOURCE_DIR}/src/*/*.c)
  if(NOT sources)
    return()
  endif()
  add_library(drover_${name} STATIC ${sources})
  target_include_directories(drover_${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/include
                                            PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/src)
  target_link_libraries(drover_${name} PUBLIC drover_flags ${ARGN})
endfunction()

# drover_unit_tests(MODULE libraries…): every test_*.c of the current folder is one ctest unit/MODULE/NAME.
function(drover_unit_tests module)
  file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/test_*.c)
  foreach(source ${tests})
    get_filename_component(file ${source} NAME_WE)
    string(REPLACE "test_" "" short ${file})
    add_executable(${module}_${file} ${source})
    target_link_libraries(${module}_${file} PRIVATE ${ARGN} PkgConfig::CMOCKA)
    target_include_directories(${module}_${file} PRIVATE ${PROJECT_SOURCE_DIR}/${module}/src)
    set_target_properties(${module}_${file} PROPERTIES
      RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    add_test(NAME unit/${module}/${short} COMMAND ${module}_${file})
    set_tests_properties(unit/${module}/${short} PROPERTIES LABELS unit SKIP_RETURN_CODE 77 TIMEOUT 60)
  endforeach()
endfunction()
