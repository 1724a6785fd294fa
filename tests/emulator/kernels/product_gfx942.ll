; out[i][j] = sum over k of a[i][k] * b[j][k], a 32 x 32 tile a wave, k a multiple of 8; bf16 in, f32 out.
define amdgpu_kernel void @product(ptr addrspace(1) noalias %out, ptr addrspace(1) noalias %a, ptr addrspace(1) noalias %b, i32 %k, i32 %ld) #0 {
entry:
  %l = call i32 @llvm.amdgcn.workitem.id.x()
  %gi = call i32 @llvm.amdgcn.workgroup.id.y()
  %gj = call i32 @llvm.amdgcn.workgroup.id.x()
  %row = and i32 %l, 31
  %half = lshr i32 %l, 5
  %k0 = mul i32 %half, 4
  %ti = mul i32 %gi, 32
  %tj = mul i32 %gj, 32
  %ia = add i32 %ti, %row
  %ib = add i32 %tj, %row
  %oa = mul i32 %ia, %k
  %ob = mul i32 %ib, %k
  br label %loop
loop:
  %kk = phi i32 [ 0, %entry ], [ %kn, %loop ]
  %c = phi <16 x float> [ zeroinitializer, %entry ], [ %d, %loop ]
  %ka = add i32 %kk, %k0
  %xa = add i32 %oa, %ka
  %xb = add i32 %ob, %ka
  %pa = getelementptr i16, ptr addrspace(1) %a, i32 %xa
  %pb = getelementptr i16, ptr addrspace(1) %b, i32 %xb
  %va = load <4 x i16>, ptr addrspace(1) %pa, align 8
  %vb = load <4 x i16>, ptr addrspace(1) %pb, align 8
  %d = call <16 x float> @llvm.amdgcn.mfma.f32.32x32x8bf16.1k(<4 x i16> %va, <4 x i16> %vb, <16 x float> %c, i32 0, i32 0, i32 0)
  %kn = add i32 %kk, 8
  %more = icmp ult i32 %kn, %k
  br i1 %more, label %loop, label %store
store:
  %col = add i32 %tj, %row
  br label %each
each:
  %g = phi i32 [ 0, %store ], [ %g1, %each ]
  %v = extractelement <16 x float> %d, i32 %g
  %q = lshr i32 %g, 2
  %q8 = mul i32 %q, 8
  %r = and i32 %g, 3
  %s = add i32 %q8, %r
  %i0 = add i32 %s, %k0
  %i = add i32 %i0, %ti
  %o0 = mul i32 %i, %ld
  %o = add i32 %o0, %col
  %p = getelementptr float, ptr addrspace(1) %out, i32 %o
  store float %v, ptr addrspace(1) %p
  %g1 = add i32 %g, 1
  %on = icmp ult i32 %g1, 16
  br i1 %on, label %each, label %end, !llvm.loop !5
end:
  ret void
}
declare i32 @llvm.amdgcn.workitem.id.x()
declare i32 @llvm.amdgcn.workgroup.id.x()
declare i32 @llvm.amdgcn.workgroup.id.y()
declare <16 x float> @llvm.amdgcn.mfma.f32.32x32x8bf16.1k(<4 x i16>, <4 x i16>, <16 x float>, i32, i32, i32)
attributes #0 = { "amdgpu-flat-work-group-size"="64,64" }
!5 = distinct !{!5, !{!"llvm.loop.unroll.full"}}
