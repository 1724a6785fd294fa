# Every test, one line each. A test answers 0 passed, 77 skipped (it has said why), else failed.
# Those labelled "sanitize" run in the sanitizer build too.

find_program(PYTHON NAMES python3 REQUIRED)
foreach(candidate "${PYTHON}" /usr/bin/python3) # one with numpy, if there is one
    execute_process(COMMAND "${candidate}" -c "import numpy" RESULT_VARIABLE code OUTPUT_QUIET ERROR_QUIET)
    if(code EQUAL 0)
        set(PYTHON "${candidate}" CACHE FILEPATH "" FORCE)
        break()
    endif()
endforeach()

set(test_environment "RWKVC_SHARED=${RWKVC_SHARED}" "RWKVC_BIN=${CMAKE_BINARY_DIR}/bin"
    "RWKVC=${CMAKE_BINARY_DIR}/bin/rwkvc"
    "PYTHONDONTWRITEBYTECODE=1" "UBSAN_OPTIONS=print_stacktrace=1")

function(a_test name labels)
    add_test(NAME ${name} COMMAND ${ARGN} WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
    set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 600 LABELS "${labels}"
        ENVIRONMENT "${test_environment}")
endfunction()

# A program in C: tests/ROOM/NAME.c, with the libraries it is linked with.
function(c_test room name)
    if(NOT EXISTS "${CMAKE_SOURCE_DIR}/tests/${room}/${name}.c")
        message(STATUS "not there yet: tests/${room}/${name}.c")
        return()
    endif()
    add_executable(test_${room}_${name} tests/${room}/${name}.c)
    target_include_directories(test_${room}_${name} PRIVATE "${CMAKE_SOURCE_DIR}")
    target_compile_definitions(test_${room}_${name} PRIVATE RWKVC_SHARED="${RWKVC_SHARED}")
    target_compile_options(test_${room}_${name} PRIVATE ${warnings})
    target_link_libraries(test_${room}_${name} PRIVATE ${ARGN})
    a_test(${room}/${name} sanitize $<TARGET_FILE:test_${room}_${name}>)
endfunction()

# A program in Python: tests/NAME.py ARGUMENTS.
function(py_test name labels)
    if(NOT EXISTS "${CMAKE_SOURCE_DIR}/tests/${name}.py")
        message(STATUS "not there yet: tests/${name}.py")
        return()
    endif()
    a_test(${name} "${labels}" "${PYTHON}" tests/${name}.py ${ARGN})
endfunction()

py_test(check_includes "")
py_test(check_style "")
a_test(check_data "" "${PYTHON}" tests/check_style.py --objects "${CMAKE_BINARY_DIR}")

foreach(name tensor npy weights rng convert)
    c_test(runtime ${name} rwkvrt)
endforeach()

foreach(name test_grad)
    c_test(compiler ${name} rwkvc_compiler)
endforeach()

foreach(name usage files eval)
    py_test(cli/${name} sanitize)
endforeach()

# Comparisons with independent programs in numpy, a test each.
execute_process(COMMAND "${PYTHON}" tests/oracle/run.py --list WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}"
    OUTPUT_VARIABLE oracle_cases RESULT_VARIABLE code ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
if(code EQUAL 0)
    string(REPLACE "\n" ";" oracle_cases "${oracle_cases}")
    foreach(name IN LISTS oracle_cases)
        a_test(oracle/${name} "" "${PYTHON}" tests/oracle/run.py --jobs 1 --case ${name})
    endforeach()
else()
    py_test(oracle/run "") # says why it cannot
endif()
