/* What GPUs do beyond plain code, by family: small functions that every module begins with, as IR.
 *
 *   thread, group    the thread's number in its workgroup, and the workgroup's in its launch
 *   barrier, .local  all threads of the workgroup meet; what they wrote (to local memory) is seen by all
 *   divide, sqrt     to 2.5 units in the last place, wherever the result is normal
 *   keep.order       what stands before it is not scheduled behind it, nor the other way round
 *   otherN           x of the thread whose number differs in bit N; what is in N threads around is the same,
 *                    so that a mirror does where there is no exchange
 *
 * AMD: the first flag is the version of code objects. A barrier alone orders no memory; tagged fences wait for
 * local memory only. v_permlanex16 would be the exchange with 16 threads away on gfx11, but LLVM 19 moves it
 * behind branches that part the threads. And it forgets the waits of a fence at the head of a loop, so that they
 * are said once more, in a way that stays. */
#include "gpu.h"

static const char amd[] =
    "define internal void @rwkvc.keep.order() alwaysinline convergent nounwind {\n"
    "  call void @llvm.amdgcn.sched.barrier(i32 0)\n  ret void\n}\n"
    "declare void @llvm.amdgcn.sched.barrier(i32)\n"
    "define internal float @rwkvc.divide(float %x, float %y) alwaysinline nounwind {\n"
    "  %q = fdiv float %x, %y, !fpmath !3\n  ret float %q\n}\n"
    "define internal float @rwkvc.sqrt(float %x) alwaysinline nounwind {\n"
    "  %y = call float @llvm.sqrt.f32(float %x), !fpmath !3\n  ret float %y\n}\n"
    "declare float @llvm.sqrt.f32(float)\n!3 = !{float 2.5}\n"
    "define internal i32 @rwkvc.thread() alwaysinline nounwind {\n"
    "  %x = call i32 @llvm.amdgcn.workitem.id.x(), !range !2\n  ret i32 %x\n}\n"
    "define internal i32 @rwkvc.group() alwaysinline nounwind {\n"
    "  %x = call i32 @llvm.amdgcn.workgroup.id.x()\n  ret i32 %x\n}\n"
    "define internal void @rwkvc.barrier() alwaysinline convergent nounwind {\n"
    "  fence syncscope(\"workgroup\") release\n  call void @rwkvc.written()\n"
    "  call void @llvm.amdgcn.s.barrier()\n"
    "  fence syncscope(\"workgroup\") acquire\n  ret void\n}\n"
    "define internal void @rwkvc.barrier.local() alwaysinline convergent nounwind {\n"
    "  fence syncscope(\"workgroup\") release, !mmra !1\n  call void @rwkvc.written.local()\n"
    "  call void @llvm.amdgcn.s.barrier()\n"
    "  fence syncscope(\"workgroup\") acquire, !mmra !1\n  ret void\n}\n"
#define DPP(n, control)                                                                            \
    "define internal i32 @rwkvc.other" #n "(i32 %x) alwaysinline convergent nounwind {\n"          \
    "  %y = call i32 @llvm.amdgcn.update.dpp.i32(i32 poison, i32 %x, i32 " #control                \
    ", i32 15, i32 15, i1 true)\n  ret i32 %y\n}\n"
    DPP(1, 177) DPP(2, 78) DPP(4, 321) DPP(8, 320)
#undef DPP
        "define internal i32 @rwkvc.other16(i32 %x) alwaysinline convergent nounwind {\n"
        "  %y = call i32 @llvm.amdgcn.ds.swizzle(i32 %x, i32 16415)\n  ret i32 %y\n}\n"
        "declare i32 @llvm.amdgcn.ds.swizzle(i32, i32)\n"
        "declare i32 @llvm.amdgcn.workitem.id.x()\ndeclare i32 @llvm.amdgcn.workgroup.id.x()\n"
        "declare void @llvm.amdgcn.s.barrier()\ndeclare void @llvm.amdgcn.s.waitcnt(i32)\n"
        "declare i32 @llvm.amdgcn.update.dpp.i32(i32, i32, i32, i32, i32, i1)\n"
        "!llvm.module.flags = !{!0}\n!0 = !{i32 1, !\"amdhsa_code_object_version\", i32 500}\n"
        "!1 = !{!\"amdgpu-as\", !\"local\"}\n!2 = !{i32 0, i32 1024}\n";

/* What the thread wrote has arrived: lgkmcnt(0). */
static const char amd64[] =
    "define internal void @rwkvc.written.local() alwaysinline convergent nounwind {\n"
    "  call void @llvm.amdgcn.s.waitcnt(i32 49279)\n  ret void\n}\n"
    "define internal void @rwkvc.written() alwaysinline convergent nounwind {\n"
    "  call void @llvm.amdgcn.s.waitcnt(i32 49279)\n  ret void\n}\n"
    "define internal i32 @rwkvc.other32(i32 %x) alwaysinline convergent nounwind {\n"
    "  %t = call i32 @llvm.amdgcn.workitem.id.x()\n  %o = xor i32 %t, 32\n  %a = shl i32 %o, 2\n"
    "  %y = call i32 @llvm.amdgcn.ds.bpermute(i32 %a, i32 %x)\n  ret i32 %y\n}\n"
    "declare i32 @llvm.amdgcn.ds.bpermute(i32, i32)\n";

/* The same; and vmcnt(0), vscnt(0): a workgroup has two caches. */
static const char amd32[] =
    "define internal void @rwkvc.written.local() alwaysinline convergent nounwind {\n"
    "  call void @llvm.amdgcn.s.waitcnt(i32 64519)\n  ret void\n}\n"
    "define internal void @rwkvc.written() alwaysinline convergent nounwind {\n"
    "  call void @llvm.amdgcn.s.waitcnt(i32 7)\n"
    "  call void asm sideeffect \"s_waitcnt_vscnt null, 0x0\", \"\"()\n  ret void\n}\n";

static const char nvidia[] =
    "define internal void @rwkvc.keep.order() alwaysinline nounwind {\n  ret void\n}\n"
    "define internal float @rwkvc.divide(float %x, float %y) alwaysinline nounwind {\n"
    "  %q = call float asm \"div.full.ftz.f32 $0, $1, $2;\", \"=f,f,f\"(float %x, float %y)\n"
    "  ret float %q\n}\n"
    "define internal float @rwkvc.sqrt(float %x) alwaysinline nounwind {\n"
    "  %y = call float asm \"sqrt.approx.ftz.f32 $0, $1;\", \"=f,f\"(float %x)\n"
    "  ret float %y\n}\n"
    "define internal i32 @rwkvc.thread() alwaysinline nounwind {\n"
    "  %x = call i32 @llvm.nvvm.read.ptx.sreg.tid.x(), !range !0\n  ret i32 %x\n}\n"
    "define internal i32 @rwkvc.group() alwaysinline nounwind {\n"
    "  %x = call i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()\n  ret i32 %x\n}\n"
    "define internal void @rwkvc.barrier() alwaysinline convergent nounwind {\n"
    "  call void @llvm.nvvm.barrier0()\n  ret void\n}\n"
    "define internal void @rwkvc.barrier.local() alwaysinline convergent nounwind {\n"
    "  call void @llvm.nvvm.barrier0()\n  ret void\n}\n"
#define SHFL(n)                                                                                    \
    "define internal i32 @rwkvc.other" #n "(i32 %x) alwaysinline convergent nounwind {\n"          \
    "  %y = call i32 @llvm.nvvm.shfl.sync.bfly.i32(i32 -1, i32 %x, i32 " #n ", i32 31)\n"          \
    "  ret i32 %y\n}\n"
    SHFL(1) SHFL(2) SHFL(4) SHFL(8) SHFL(16)
#undef SHFL
        "declare i32 @llvm.nvvm.read.ptx.sreg.tid.x()\n"
        "declare i32 @llvm.nvvm.read.ptx.sreg.ctaid.x()\ndeclare void @llvm.nvvm.barrier0()\n"
        "declare i32 @llvm.nvvm.shfl.sync.bfly.i32(i32, i32, i32, i32)\n"
        "!0 = !{i32 0, i32 1024}\n";

/* The functions rwkvc_* are whoever runs the kernels: see tests/codegen/threads.h. */
static const char threads[] =
    "define internal void @rwkvc.keep.order() alwaysinline nounwind {\n  ret void\n}\n"
    "define internal float @rwkvc.divide(float %x, float %y) alwaysinline nounwind {\n"
    "  %q = fdiv float %x, %y\n  ret float %q\n}\n"
    "define internal float @rwkvc.sqrt(float %x) alwaysinline nounwind {\n"
    "  %y = call float @llvm.sqrt.f32(float %x)\n  ret float %y\n}\n"
    "declare float @llvm.sqrt.f32(float)\n"
    "define internal i32 @rwkvc.thread() alwaysinline nounwind {\n"
    "  %x = call i32 @rwkvc_thread(), !range !0\n  ret i32 %x\n}\n"
    "define internal i32 @rwkvc.group() alwaysinline nounwind {\n"
    "  %x = call i32 @rwkvc_group()\n  ret i32 %x\n}\n"
    "define internal void @rwkvc.barrier() alwaysinline nounwind {\n"
    "  call void @rwkvc_barrier()\n  ret void\n}\n"
    "define internal void @rwkvc.barrier.local() alwaysinline nounwind {\n"
    "  call void @rwkvc_barrier()\n  ret void\n}\n"
#define OTHER(n)                                                                                   \
    "define internal i32 @rwkvc.other" #n "(i32 %x) alwaysinline nounwind {\n"                     \
    "  %y = call i32 @rwkvc_other(i32 %x, i32 " #n ")\n  ret i32 %y\n}\n"
    OTHER(1) OTHER(2) OTHER(4) OTHER(8) OTHER(16) OTHER(32)
#undef OTHER
        "declare i32 @rwkvc_thread() convergent\ndeclare i32 @rwkvc_group()\n"
        "declare void @rwkvc_barrier() convergent\ndeclare i32 @rwkvc_other(i32, i32) convergent\n"
        "declare void @rwkvc_mma(i32, ptr, ptr, ptr) convergent\n"
        "!0 = !{i32 0, i32 1024}\n";

const char *gpu_prelude(Arena *a, const TargetInfo *t) {
    switch ((TargetFamily)t->family) {
    case FAMILY_AMD: return arena_printf(a, "%s%s", t->wave == 64 ? amd64 : amd32, amd);
    case FAMILY_NVIDIA: return nvidia;
    case FAMILY_THREADS: return threads;
    default: return NULL;
    }
}
