; One program for both processors: y += a*x, a sum over a block by local memory and DPP, spills, a
; table of constants, hidden arguments, atomic sums.

@sums = internal addrspace(3) global [256 x float] poison, align 16
@note = protected addrspace(4) constant [6 x i8] c"hello\00", align 16
@table = internal addrspace(4) constant [4 x float] [float 1.0, float 10.0, float 100.0, float 1000.0], align 16

define internal void @barrier() alwaysinline convergent nounwind {
  fence syncscope("workgroup") release, !mmra !1
  call void @llvm.amdgcn.s.barrier()
  fence syncscope("workgroup") acquire, !mmra !1
  ret void
}

define amdgpu_kernel void @saxpy(ptr addrspace(1) noalias %y, ptr addrspace(1) noalias %x, float %a, i32 %n) #0 {
  %t = call i32 @llvm.amdgcn.workitem.id.x()
  %g = call i32 @llvm.amdgcn.workgroup.id.x()
  %b = mul i32 %g, 256
  %i = add i32 %b, %t
  %c = icmp slt i32 %i, %n
  br i1 %c, label %do, label %end
do:
  %p = getelementptr float, ptr addrspace(1) %x, i32 %i
  %q = getelementptr float, ptr addrspace(1) %y, i32 %i
  %v = load float, ptr addrspace(1) %p
  %w = load float, ptr addrspace(1) %q
  %m = call float @llvm.fma.f32(float %v, float %a, float %w)
  store float %m, ptr addrspace(1) %q
  br label %end
end:
  ret void
}

; sums[t] += sums[t + 128], barrier, ... down to 16 numbers, which the lanes of a row add up
define amdgpu_kernel void @reduce(ptr addrspace(1) noalias %y, ptr addrspace(1) noalias %x) #0 {
  %t = call i32 @llvm.amdgcn.workitem.id.x()
  %g = call i32 @llvm.amdgcn.workgroup.id.x()
  %b = mul i32 %g, 256
  %i = add i32 %b, %t
  %p = getelementptr float, ptr addrspace(1) %x, i32 %i
  %v = load float, ptr addrspace(1) %p
  %s = getelementptr [256 x float], ptr addrspace(3) @sums, i32 0, i32 %t
  store float %v, ptr addrspace(3) %s
  call void @barrier()
  call void @step(i32 128)
  call void @barrier()
  call void @step(i32 64)
  call void @barrier()
  call void @step(i32 32)
  call void @barrier()
  call void @step(i32 16)
  %row = icmp ult i32 %t, 16
  br i1 %row, label %last, label %end
last:
  %f = load i32, ptr addrspace(3) %s
  %f1 = call i32 @add_dpp_b1(i32 %f)
  %f2 = call i32 @add_dpp_4e(i32 %f1)
  %f3 = call i32 @add_dpp_141(i32 %f2)
  %f4 = call i32 @add_dpp_140(i32 %f3)
  %first = icmp eq i32 %t, 0
  br i1 %first, label %put, label %end
put:
  %o = getelementptr i32, ptr addrspace(1) %y, i32 %g
  store i32 %f4, ptr addrspace(1) %o
  br label %end
end:
  ret void
}

define internal void @step(i32 %d) alwaysinline {
  %t = call i32 @llvm.amdgcn.workitem.id.x()
  %c = icmp ult i32 %t, %d
  br i1 %c, label %do, label %end
do:
  %u = add i32 %t, %d
  %p = getelementptr [256 x float], ptr addrspace(3) @sums, i32 0, i32 %t
  %q = getelementptr [256 x float], ptr addrspace(3) @sums, i32 0, i32 %u
  %a = load float, ptr addrspace(3) %p
  %b = load float, ptr addrspace(3) %q
  %s = fadd float %a, %b
  store float %s, ptr addrspace(3) %p
  br label %end
end:
  ret void
}

define internal i32 @sum_of(i32 %x, i32 %m) alwaysinline {
  %a = bitcast i32 %x to float
  %b = bitcast i32 %m to float
  %s = fadd float %a, %b
  %r = bitcast float %s to i32
  ret i32 %r
}
define internal i32 @add_dpp_b1(i32 %x) alwaysinline {
  %m = call i32 @llvm.amdgcn.update.dpp.i32(i32 0, i32 %x, i32 177, i32 15, i32 15, i1 true)
  %r = call i32 @sum_of(i32 %x, i32 %m)
  ret i32 %r
}
define internal i32 @add_dpp_4e(i32 %x) alwaysinline {
  %m = call i32 @llvm.amdgcn.update.dpp.i32(i32 0, i32 %x, i32 78, i32 15, i32 15, i1 true)
  %r = call i32 @sum_of(i32 %x, i32 %m)
  ret i32 %r
}
define internal i32 @add_dpp_141(i32 %x) alwaysinline {
  %m = call i32 @llvm.amdgcn.update.dpp.i32(i32 0, i32 %x, i32 321, i32 15, i32 15, i1 true)
  %r = call i32 @sum_of(i32 %x, i32 %m)
  ret i32 %r
}
define internal i32 @add_dpp_140(i32 %x) alwaysinline {
  %m = call i32 @llvm.amdgcn.update.dpp.i32(i32 0, i32 %x, i32 320, i32 15, i32 15, i1 true)
  %r = call i32 @sum_of(i32 %x, i32 %m)
  ret i32 %r
}

; an array of the lane's own, indexed by numbers that are not known before: scratch; and a table
define amdgpu_kernel void @scratch(ptr addrspace(1) noalias %y, ptr addrspace(1) noalias %x) #0 {
entry:
  %own = alloca [32 x float], align 16, addrspace(5)
  %t = call i32 @llvm.amdgcn.workitem.id.x()
  br label %fill
fill:
  %k = phi i32 [ 0, %entry ], [ %k1, %fill ]
  %kt = mul i32 %k, 256
  %i = add i32 %kt, %t
  %p = getelementptr float, ptr addrspace(1) %x, i32 %i
  %v = load volatile float, ptr addrspace(1) %p
  %j = xor i32 %k, %t
  %j1 = and i32 %j, 31
  %q = getelementptr [32 x float], ptr addrspace(5) %own, i32 0, i32 %j1
  store volatile float %v, ptr addrspace(5) %q
  %k1 = add i32 %k, 1
  %more = icmp ult i32 %k1, 32
  br i1 %more, label %fill, label %out
out:
  %m = phi i32 [ 0, %fill ], [ %m1, %out ]
  %s = phi float [ 0.0, %fill ], [ %s1, %out ]
  %r = getelementptr [32 x float], ptr addrspace(5) %own, i32 0, i32 %m
  %w = load volatile float, ptr addrspace(5) %r
  %c = and i32 %m, 3
  %cp = getelementptr [4 x float], ptr addrspace(4) @table, i32 0, i32 %c
  %f = load float, ptr addrspace(4) %cp
  %s1 = call float @llvm.fma.f32(float %w, float %f, float %s)
  %m1 = add i32 %m, 1
  %again = icmp ult i32 %m1, 32
  br i1 %again, label %out, label %end
end:
  %o = getelementptr float, ptr addrspace(1) %y, i32 %t
  store float %s1, ptr addrspace(1) %o
  ret void
}

; the sizes of the launch as the runtime has to give them, in three dimensions
define amdgpu_kernel void @sizes(ptr addrspace(1) noalias %y) #1 {
  %a = call ptr addrspace(4) @llvm.amdgcn.implicitarg.ptr()
  %d = call ptr addrspace(4) @llvm.amdgcn.dispatch.ptr()
  %tx = call i32 @llvm.amdgcn.workitem.id.x()
  %ty = call i32 @llvm.amdgcn.workitem.id.y()
  %tz = call i32 @llvm.amdgcn.workitem.id.z()
  %gx = call i32 @llvm.amdgcn.workgroup.id.x()
  %gy = call i32 @llvm.amdgcn.workgroup.id.y()
  %gz = call i32 @llvm.amdgcn.workgroup.id.z()
  %py = getelementptr i8, ptr addrspace(4) %a, i32 4
  %ny = load i32, ptr addrspace(4) %py
  %nx = load i32, ptr addrspace(4) %a
  %pb = getelementptr i8, ptr addrspace(4) %a, i32 12
  %bx16 = load i16, ptr addrspace(4) %pb
  %bx = zext i16 %bx16 to i32
  %pd = getelementptr i8, ptr addrspace(4) %d, i32 6
  %by16 = load i16, ptr addrspace(4) %pd
  %by = zext i16 %by16 to i32
  %g0 = mul i32 %gz, %ny
  %g1 = add i32 %g0, %gy
  %g2 = mul i32 %g1, %nx
  %group = add i32 %g2, %gx
  %t0 = mul i32 %tz, %by
  %t1 = add i32 %t0, %ty
  %t2 = mul i32 %t1, %bx
  %thread = add i32 %t2, %tx
  %s0 = mul i32 %bx, %by
  %s1 = mul i32 %s0, 2
  %i0 = mul i32 %group, %s1
  %i = add i32 %i0, %thread
  %o = getelementptr i32, ptr addrspace(1) %y, i32 %i
  store i32 %i, ptr addrspace(1) %o
  ret void
}

define amdgpu_kernel void @count(ptr addrspace(1) %bins, ptr addrspace(1) %x) #0 {
  %t = call i32 @llvm.amdgcn.workitem.id.x()
  %g = call i32 @llvm.amdgcn.workgroup.id.x()
  %b = mul i32 %g, 256
  %i = add i32 %b, %t
  %p = getelementptr i32, ptr addrspace(1) %x, i32 %i
  %v = load i32, ptr addrspace(1) %p
  %k = and i32 %v, 15
  %q = getelementptr i32, ptr addrspace(1) %bins, i32 %k
  %old = atomicrmw add ptr addrspace(1) %q, i32 1 syncscope("agent") monotonic
  ret void
}

declare i32 @llvm.amdgcn.workitem.id.x()
declare i32 @llvm.amdgcn.workitem.id.y()
declare i32 @llvm.amdgcn.workitem.id.z()
declare i32 @llvm.amdgcn.workgroup.id.x()
declare i32 @llvm.amdgcn.workgroup.id.y()
declare i32 @llvm.amdgcn.workgroup.id.z()
declare ptr addrspace(4) @llvm.amdgcn.implicitarg.ptr()
declare ptr addrspace(4) @llvm.amdgcn.dispatch.ptr()
declare void @llvm.amdgcn.s.barrier()
declare i32 @llvm.amdgcn.update.dpp.i32(i32, i32, i32, i32, i32, i1)
declare float @llvm.fma.f32(float, float, float)
attributes #0 = { "amdgpu-flat-work-group-size"="256,256" }
attributes #1 = { "amdgpu-flat-work-group-size"="1,256" }
!1 = !{!"amdgpu-as", !"local"}
