# The emulator of GPUs, and in front of it a library with the names of the HIP runtime: what the
# tests and anybody without such a GPU runs kernels on. It needs LLVM's disassembler for them.

set(emulator tests/emulator)
add_library(emu_core STATIC
    ${emulator}/access.c ${emulator}/amd.c ${emulator}/buffers.c ${emulator}/constant.c ${emulator}/control.c
    ${emulator}/cross.c ${emulator}/decode.c ${emulator}/disasm.c ${emulator}/emu.c
    ${emulator}/group.c ${emulator}/image.c ${emulator}/lanes_compare.c ${emulator}/lanes_float.c
    ${emulator}/lanes_int.c ${emulator}/lanes_wide.c ${emulator}/launch.c ${emulator}/lds.c
    ${emulator}/matrix.c ${emulator}/memory.c ${emulator}/note.c ${emulator}/ops.c
    ${emulator}/ptx_decode.c ${emulator}/ptx_group.c ${emulator}/ptx_image.c ${emulator}/ptx_memory.c
    ${emulator}/ptx_mma.c ${emulator}/ptx_ops.c ${emulator}/ptx_race.c ${emulator}/ptx_scan.c
    ${emulator}/ptx_warp.c
    ${emulator}/race.c ${emulator}/report.c ${emulator}/salu.c ${emulator}/text.c
    ${emulator}/valu.c ${emulator}/valu_result.c ${emulator}/valu_source.c
    ${emulator}/valu_spread.c ${emulator}/wait.c ${emulator}/wave.c runtime/unpack.c)
target_compile_options(emu_core PRIVATE ${warnings} -fvisibility=hidden -fno-math-errno -fno-trapping-math)
if(NOT RWKVC_SANITIZE)
    target_compile_options(emu_core PRIVATE -O3)
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64") # loops over lanes; fma in one instruction
    target_compile_options(emu_core PRIVATE -mavx2 -mfma -mf16c)
endif()
target_include_directories(emu_core PRIVATE "${CMAKE_SOURCE_DIR}")
target_include_directories(emu_core SYSTEM PRIVATE ${LLVM_INCLUDE_DIRS})
set_target_properties(emu_core PROPERTIES POSITION_INDEPENDENT_CODE ON)
target_link_libraries(emu_core PUBLIC LLVM Threads::Threads m)

add_library(emu SHARED ${emulator}/hip_device.c ${emulator}/hip_errors.c ${emulator}/hip_graph.c ${emulator}/hip_memory.c
    ${emulator}/hip_module.c ${emulator}/hip_state.c ${emulator}/hip_stream.c)
target_compile_options(emu PRIVATE ${warnings} -fvisibility=hidden)
target_link_libraries(emu PRIVATE emu_core)
set_target_properties(emu PROPERTIES OUTPUT_NAME amdhip64-emu)

# The same with the names of NVIDIA's driver in front: what drivers remember is shared, HIP's names stay inside.
add_library(emu_cuda SHARED ${emulator}/cuda_context.c ${emulator}/cuda_device.c ${emulator}/cuda_errors.c
    ${emulator}/cuda_function.c ${emulator}/cuda_memory.c ${emulator}/cuda_module.c ${emulator}/cuda_stream.c
    ${emulator}/hip_graph.c ${emulator}/hip_memory.c ${emulator}/hip_module.c ${emulator}/hip_state.c
    ${emulator}/hip_stream.c)
target_compile_options(emu_cuda PRIVATE ${warnings} -fvisibility=hidden)
target_compile_definitions(emu_cuda PRIVATE HIP_API=)
target_link_libraries(emu_cuda PRIVATE emu_core)
set_target_properties(emu_cuda PROPERTIES OUTPUT_NAME cuda-emu)
install(TARGETS emu emu_cuda LIBRARY DESTINATION lib)

# What its tests share: code objects made in the process, registers set by hand.
add_library(emu_testing STATIC ${emulator}/assemble.c ${emulator}/rig.c)
target_compile_options(emu_testing PRIVATE ${warnings})
target_include_directories(emu_testing PRIVATE "${CMAKE_SOURCE_DIR}")
target_include_directories(emu_testing SYSTEM PRIVATE ${LLVM_INCLUDE_DIRS})
target_link_libraries(emu_testing PUBLIC emu_core rwkvc_codegen)
