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

# GCC 12's sanitizers take memory of the threads' variables of a library for what glibc did before 2.25 where its address
# happens to look like that, and then die while they look for leaks; without their eye on it they do not.
set(test_environment "RWKVC_SHARED=${RWKVC_SHARED}" "RWKVC_BIN=${CMAKE_BINARY_DIR}/bin"
    "RWKVC=${CMAKE_BINARY_DIR}/bin/rwkvc" "PYTHONDONTWRITEBYTECODE=1"
    "UBSAN_OPTIONS=print_stacktrace=1" "ASAN_OPTIONS=intercept_tls_get_addr=0")

function(a_test name labels)
    add_test(NAME ${name} COMMAND ${ARGN} WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
    set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 600 LABELS "${labels}"
        ENVIRONMENT "${test_environment}")
endfunction()

# c_test(ROOM NAME LIBRARY... [SOURCES FILE...] [ARGS WORD...]): the program tests/ROOM/NAME.c.
function(c_test room name)
    cmake_parse_arguments(t "" "" "SOURCES;ARGS" ${ARGN})
    string(REGEX REPLACE "^test_" "" short ${name})
    set(program test_${room}_${short})
    add_executable(${program} tests/${room}/${name}.c ${t_SOURCES})
    target_include_directories(${program} PRIVATE "${CMAKE_SOURCE_DIR}")
    target_compile_definitions(${program} PRIVATE RWKVC_SHARED="${RWKVC_SHARED}")
    target_compile_options(${program} PRIVATE ${warnings})
    target_link_libraries(${program} PRIVATE ${t_UNPARSED_ARGUMENTS})
    a_test(${room}/${short} sanitize $<TARGET_FILE:${program}> ${t_ARGS})
endfunction()

# py_test(NAME LABELS WORD...): the program tests/NAME.py.
function(py_test name labels)
    a_test(${name} "${labels}" "${PYTHON}" tests/${name}.py ${ARGN})
endfunction()

# ---- rules -----------------------------------------------------------------------------------

py_test(check_includes "")
py_test(check_style "")
if(NOT RWKVC_SANITIZE)
    a_test(check_data "" "${PYTHON}" tests/check_style.py --objects "${CMAKE_BINARY_DIR}")
endif()

# ---- rooms -----------------------------------------------------------------------------------

# What runs plans for tests, on the emulator too where there is one.
add_library(execute_testing STATIC tests/codegen/execute.c tests/codegen/threads.c tests/codegen/emulated.c)
target_compile_options(execute_testing PRIVATE ${warnings})
target_link_libraries(execute_testing PUBLIC rwkvc_codegen ${CMAKE_DL_LIBS})
if(TARGET emu_core)
    target_compile_definitions(execute_testing PRIVATE RWKVC_EMULATOR)
    target_link_libraries(execute_testing PUBLIC emu_core)
endif()

foreach(name file tensor npy weights damage rng convert data vocab sample layout)
    c_test(runtime ${name} rwkvrt)
endforeach()
if(NOT RWKVC_SANITIZE) # it puts an allocator of its own in place, as the sanitizers do
    c_test(runtime memory rwkvrt)
endif()
foreach(name program session)
    c_test(runtime ${name} rwkvc_dsl rwkvc_codegen rwkvrt)
endforeach()
c_test(runtime peak rwkvc_dsl rwkvc_codegen rwkvrt SOURCES tests/runtime/peak_text.c)
# Libraries that stand where a driver would: fake(NAME FILE DEFINITION...)
function(fake name file)
    add_library(${name} MODULE tests/runtime/${file}.c)
    target_compile_options(${name} PRIVATE ${warnings} -fvisibility=hidden)
    target_compile_definitions(${name} PRIVATE ${ARGN})
endfunction()
fake(fake_cuda fake_cuda)
fake(fake_hip fake_hip)
fake(fake_hip_old fake_hip FAKE_OLD)
fake(fake_hip_missing fake_hip FAKE_MISSING)
set(emulated "")
if(TARGET emu_cuda)
    set(emulated $<TARGET_FILE:emu_cuda>)
endif()
c_test(runtime drivers rwkvc_dsl rwkvc_codegen rwkvrt ${CMAKE_DL_LIBS} ARGS $<TARGET_FILE:fake_cuda>
    $<TARGET_FILE:fake_hip> $<TARGET_FILE:fake_hip_old> $<TARGET_FILE:fake_hip_missing> ${emulated})
add_dependencies(test_runtime_drivers fake_cuda fake_hip fake_hip_old fake_hip_missing)
if(TARGET emu_cuda)
    add_dependencies(test_runtime_drivers emu_cuda)
endif()
find_program(PTXAS ptxas HINTS /usr/local/cuda/bin) # NVIDIA's assembler, on some machines
set(ptxas "")
if(PTXAS)
    set(ptxas "${PTXAS}")
endif()
c_test(runtime cubin rwkvc_dsl rwkvc_codegen rwkvrt ${CMAKE_DL_LIBS} ARGS $<TARGET_FILE:fake_cuda>
    "${CMAKE_SOURCE_DIR}/tests/runtime/fake_ptxas.py" ${ptxas})
add_dependencies(test_runtime_cubin fake_cuda)
c_test(runtime types rwkvc_dsl rwkvc_codegen rwkvrt SOURCES tests/runtime/types_text.c)
foreach(name expr graph passes pull stream grad grad_random interp interp_time report plan_log)
    c_test(compiler test_${name} rwkvc_compiler)
endforeach()
c_test(compiler test_store rwkvc_dsl)
c_test(compiler test_beside rwkvc_dsl)
c_test(dsl test_parse rwkvc_dsl)
c_test(compiler test_again rwkvc_dsl SOURCES tests/random/generate.c tests/random/compose.c
    tests/random/compose_more.c)
c_test(codegen test_contract rwkvc_codegen ${CMAKE_DL_LIBS})
add_executable(speed_contract EXCLUDE_FROM_ALL tests/speed/contract.c) # figures of docs/numbers.md
target_link_libraries(speed_contract PRIVATE rwkvc_codegen ${CMAKE_DL_LIBS})
target_include_directories(speed_contract PRIVATE "${CMAKE_SOURCE_DIR}" "${CMAKE_SOURCE_DIR}/tests/codegen")
target_compile_options(speed_contract PRIVATE ${warnings})
c_test(codegen test_kernels rwkvc_dsl execute_testing SOURCES tests/random/generate.c)
set_target_properties(test_codegen_kernels PROPERTIES ENABLE_EXPORTS ON) # kernels call back
foreach(name threads64 threads32 threads32w) # code for GPUs, with coroutines for threads
    a_test(codegen/${name} "" $<TARGET_FILE:test_codegen_kernels> -a -t ${name})
endforeach()
# Recurrences run again in pieces, states in registers and in local memory, points that workgroups share.
a_test(codegen/model_threads64 "" "${CMAKE_SOURCE_DIR}/tests/codegen/gpu_model.sh"
    $<TARGET_FILE:test_codegen_kernels> threads64 64)
a_test(codegen/model_threads32 "" "${CMAKE_SOURCE_DIR}/tests/codegen/gpu_model.sh"
    $<TARGET_FILE:test_codegen_kernels> threads32 32)
py_test(codegen/gpu_files "")
c_test(codegen test_budget rwkvc_dsl execute_testing)
set_target_properties(test_codegen_budget PROPERTIES ENABLE_EXPORTS ON)
c_test(codegen test_mma rwkvc_codegen)
target_include_directories(test_codegen_mma SYSTEM PRIVATE ${LLVM_INCLUDE_DIRS})

# ---- emulator --------------------------------------------------------------------------------

if(TARGET emu_core)
    foreach(name valu salu memory cross matrix checks compiled kernels)
        c_test(emulator test_${name} emu_testing)
    endforeach()
    c_test(emulator test_ptx emu_core SOURCES tests/emulator/ptx_rig.c tests/emulator/ptx_test_checks.c
        tests/emulator/ptx_test_memory.c tests/emulator/ptx_test_rows.c tests/emulator/ptx_test_warp.c)
    add_executable(emulator_known tests/emulator/known.c)
    target_link_libraries(emulator_known PRIVATE emu_testing)
    target_compile_options(emulator_known PRIVATE ${warnings})
    py_test(emulator/known "")
    c_test(emulator test_hip emu_testing ${CMAKE_DL_LIBS} ARGS $<TARGET_FILE:emu>)
    add_dependencies(test_emulator_hip emu)
    foreach(name cuda cuda_code)
        c_test(emulator test_${name} Threads::Threads ${CMAKE_DL_LIBS} ARGS $<TARGET_FILE:emu_cuda>)
        add_dependencies(test_emulator_${name} emu_cuda)
    endforeach()
    c_test(runtime device rwkvc_dsl rwkvc_codegen rwkvrt ARGS $<TARGET_FILE:emu> $<TARGET_FILE:emu_cuda>)
    add_dependencies(test_runtime_device emu emu_cuda)
endif()

# Code for GPUs, on the emulator: the list of codegen/test_kernels (and what each barrier is there for: -x), a model, and
# random programs. Under more orders of waves: ctest -C more -L emulator-more.
function(more_test name)
    add_test(NAME ${name} CONFIGURATIONS more COMMAND ${ARGN} WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}")
    set_tests_properties(${name} PROPERTIES TIMEOUT 1200 LABELS emulator-more ENVIRONMENT "${test_environment}")
endfunction()
if(TARGET emu_core AND NOT RWKVC_SANITIZE)
    foreach(target gfx942 gfx1100 sm_80)
        a_test(codegen/${target} "" $<TARGET_FILE:test_codegen_kernels> -a -t ${target} -x)
        more_test(codegen/${target}_more $<TARGET_FILE:test_codegen_kernels> -a -t ${target} -S 3)
    endforeach()
    a_test(codegen/sm_90 "" $<TARGET_FILE:test_codegen_kernels> -a -t sm_90)
    a_test(codegen/model_sm_80 "" "${CMAKE_SOURCE_DIR}/tests/codegen/gpu_model.sh"
        $<TARGET_FILE:test_codegen_kernels> sm_80 32)
    a_test(codegen/model_sm_80_bf16 "" $<TARGET_FILE:test_codegen_kernels> -m models/rwkv7.rwkv grad -B 2 -T 64 -t sm_80
        -b bf16 -e 6e-3 -s -D D=128 -D N=64 -D V=33 -D L=1)
endif()

# ---- commands --------------------------------------------------------------------------------

foreach(name usage files eval compiled stages cubin)
    py_test(cli/${name} sanitize)
endforeach()

if(TARGET emu)
    py_test(cli/device "" $<TARGET_FILE:emu> $<TARGET_FILE:emu_cuda>)
endif()
py_test(cli/learning "")
py_test(cli/types "")

py_test(docs/examples "")
py_test(docs/errors "")
py_test(errors/run sanitize) # every diagnostic, word for word

# ---- programs --------------------------------------------------------------------------------

# How many of each part: all parts together take a minute or two. More by hand:
# build/bin/test_random_run -c FIRST COUNT, build/bin/test_fuzz_mutate FIRST COUNT.
if(RWKVC_SANITIZE)
    set(n_random 200)
    set(n_composed 50)
    set(n_mutations 100)
else()
    set(n_random 2500)
    set(n_composed 1000)
    set(n_mutations 2500)
endif()
c_test(random run rwkvc_dsl SOURCES tests/random/generate.c tests/random/compose.c tests/random/compose_more.c
    ARGS 0 ${n_random})
c_test(random stream rwkvc_dsl SOURCES tests/random/generate.c tests/random/compose.c
    tests/random/compose_more.c ARGS 0 ${n_composed})
c_test(random plans rwkvc_dsl SOURCES tests/random/generate.c tests/random/compose.c
    tests/random/compose_more.c ARGS 0 600)
c_test(fuzz mutate rwkvc_dsl ARGS 1 ${n_mutations})
# Compiled and run. More by hand: build/bin/test_random_compiled TARGET FIRST COUNT.
set(n_compiled 40)
if(RWKVC_SANITIZE)
    set(n_compiled 5)
endif()
c_test(random compiled rwkvc_dsl execute_testing
    SOURCES tests/random/generate.c tests/random/compose.c tests/random/compose_more.c
    ARGS x86-64-v3 0 ${n_compiled})
set_target_properties(test_random_compiled PROPERTIES ENABLE_EXPORTS ON)
set(first 0)
foreach(target v4 amx)
    math(EXPR first "${first} + ${n_compiled}")
    a_test(random/compiled_${target} sanitize $<TARGET_FILE:test_random_compiled> x86-64-${target} ${first}
        ${n_compiled})
endforeach()
foreach(target threads64 threads32) # as GPUs do it
    a_test(random/compiled_${target} "" $<TARGET_FILE:test_random_compiled> ${target} 200 ${n_compiled})
endforeach()
if(TARGET emu_core)
    foreach(target gfx942 gfx1100 sm_80)
        a_test(random/compiled_${target} sanitize $<TARGET_FILE:test_random_compiled> ${target} 240 5)
        a_test(random/compiled_${target}_bf16 "" $<TARGET_FILE:test_random_compiled> ${target} -b 245 5)
        more_test(random/compiled_${target}_more $<TARGET_FILE:test_random_compiled> ${target} -S3 200 40)
        more_test(random/compiled_${target}_bf16_more $<TARGET_FILE:test_random_compiled> ${target} -b -S3 240 40)
    endforeach()
endif()
foreach(part 1 2 3 4)
    math(EXPR first "(${part} - 1)*${n_composed}")
    a_test(random/composed_${part} sanitize $<TARGET_FILE:test_random_run> -c ${first} ${n_composed})
endforeach()
foreach(part 2 3 4)
    math(EXPR first "1 + (${part} - 1)*${n_mutations}")
    a_test(fuzz/mutate_${part} sanitize $<TARGET_FILE:test_fuzz_mutate> ${first} ${n_mutations})
endforeach()

# Comparisons with independent programs in numpy, a test each.
execute_process(COMMAND "${PYTHON}" tests/oracle/run.py --list WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}"
    OUTPUT_VARIABLE oracle_cases RESULT_VARIABLE code ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
if(code EQUAL 0)
    string(REPLACE "\n" ";" oracle_cases "${oracle_cases}")
    foreach(name IN LISTS oracle_cases)
        a_test(oracle/${name} "" "${PYTHON}" tests/oracle/run.py --jobs 1 --case ${name})
    endforeach()

    # Compiled code against the same programs, by target and dtype of weights and saved activations. All
    # cases by hand: run.py --mode run --target T --dtype D. A target that this processor lacks skips.
    set(compiled_v3_f32 odd_rwkv7 odd_rwkv6 tiny_7v0 train_warm zoo_documents zoo_lstm layers)
    set(compiled_v4_f32 odd_rwkv7 odd_vision tiny_5v2 train_curve zoo_ctc zoo_selective both_ways)
    set(compiled_amx_f32 odd_rwkv4 small_rwkv5_1 tiny_4v0 wkv7_48 train_warm zoo_unet dropout)
    set(compiled_v4_bf16 tiny_4v0 zoo_gla)
    set(compiled_amx_bf16 tiny_7v0 train_warm train_curve)
    foreach(target v3 v4 amx)
        foreach(dtype f32 bf16)
            foreach(name IN LISTS compiled_${target}_${dtype})
                if(NOT RWKVC_SANITIZE)
                    a_test(compiled/${target}_${dtype}_${name} "" "${PYTHON}" tests/oracle/run.py --jobs 1
                        --mode run --target x86-64-${target} --dtype ${dtype} --case ${name})
                endif()
            endforeach()
        endforeach()
    endforeach()

    # Through the drivers, on the emulator. Those labelled "waves" are no part of scripts/test.sh: waves of a
    # workgroup in three other orders (ctest --test-dir build -L waves).
    set(emulated_gfx942_f32 reverse train_warm small_rwkv7 dropout zoo_lstm)
    set(emulated_gfx942_bf16 train_warm retinex_tiny32)
    set(emulated_gfx1100_f32 train_warm small_rwkv6 rwkv7a layers zoo_unet)
    set(emulated_gfx1100_bf16 train_warm reverse)
    set(emulated_sm_80_f32 reverse tiny_7v0 train_warm retinex_tiny32 zoo_selective)
    set(emulated_sm_80_bf16 train_warm)
    set(emulated_sm_80_bf16_long train_curve) # of a minute: with the waves
    set(emulated_sm_90_f32 train_warm small_rwkv5_1 zoo_ctc)
    set(emulated_sm_90_bf16 reverse)
    set(emulated_targets gfx942 gfx1100 sm_80 sm_90)
    set(emulated_devices hip:0 hip:1 cuda:0 cuda:1)
    function(an_emulated_test name labels device target dtype case)
        string(REGEX REPLACE ":.*" "" kind ${device})
        set(library emu)
        if(kind STREQUAL "cuda")
            set(library emu_cuda)
        endif()
        a_test(emulated/${name} "${labels}" "${PYTHON}" tests/oracle/run.py --jobs 1 --mode run --target ${target}
            --dtype ${dtype} --device ${device} --${kind}-library $<TARGET_FILE:${library}> --case ${case})
    endfunction()
    foreach(device target IN ZIP_LISTS emulated_devices emulated_targets)
        foreach(dtype f32 bf16)
            foreach(name IN LISTS emulated_${target}_${dtype})
                if(TARGET emu AND NOT RWKVC_SANITIZE)
                    an_emulated_test(${target}_${dtype}_${name} "" ${device} ${target} ${dtype} ${name})
                endif()
            endforeach()
            foreach(name IN LISTS emulated_${target}_${dtype}_long)
                if(TARGET emu AND NOT RWKVC_SANITIZE)
                    an_emulated_test(${target}_${dtype}_${name} waves ${device} ${target} ${dtype} ${name})
                endif()
            endforeach()
            foreach(seed 1 2 3)
                if(TARGET emu AND NOT RWKVC_SANITIZE)
                    an_emulated_test(${target}_${dtype}_waves_${seed} waves ${device} ${target} ${dtype} train_warm)
                    set_tests_properties(emulated/${target}_${dtype}_waves_${seed} PROPERTIES ENVIRONMENT
                        "${test_environment};RWKVC_EMU_SEED=${seed}")
                endif()
            endforeach()
        endforeach()
    endforeach()
else()
    py_test(oracle/run "") # says why it cannot
endif()
