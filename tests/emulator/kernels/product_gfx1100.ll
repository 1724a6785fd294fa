; out[i][j] = sum over k of a[i][k] * b[j][k], a 16 x 16 tile a wave, k a multiple of 16; bf16 in, f32 out.
define amdgpu_kernel void @product(ptr addrspace(1) noalias %out, ptr addrspace(1) noalias %a, ptr addrspace(1) noalias %b, i32 %k, i32 %ld) #0 {
entry:
  %l = call i32 @llvm.amdgcn.workitem.id.x()
  %gi = call i32 @llvm.amdgcn.workgroup.id.y()
  %gj = call i32 @llvm.amdgcn.workgroup.id.x()
  %row = and i32 %l, 15
  %half = lshr i32 %l, 4
  %ti = mul i32 %gi, 16
  %tj = mul i32 %gj, 16
  %ia = add i32 %ti, %row
  %ib = add i32 %tj, %row
  %oa = mul i32 %ia, %k
  %ob = mul i32 %ib, %k
  br label %loop
loop:
  %kk = phi i32 [ 0, %entry ], [ %kn, %loop ]
  %c = phi <8 x float> [ zeroinitializer, %entry ], [ %d, %loop ]
  %xa = add i32 %oa, %kk
  %xb = add i32 %ob, %kk
  %pa = getelementptr i16, ptr addrspace(1) %a, i32 %xa
  %pb = getelementptr i16, ptr addrspace(1) %b, i32 %xb
  %va = load <16 x i16>, ptr addrspace(1) %pa, align 16
  %vb = load <16 x i16>, ptr addrspace(1) %pb, align 16
  %d = call <8 x float> @llvm.amdgcn.wmma.f32.16x16x16.bf16.v8f32.v16i16(<16 x i16> %va, <16 x i16> %vb, <8 x float> %c)
  %kn = add i32 %kk, 16
  %more = icmp ult i32 %kn, %k
  br i1 %more, label %loop, label %store
store:
  %col = add i32 %tj, %row
  br label %each
each:
  %g = phi i32 [ 0, %store ], [ %g1, %each ]
  %v = extractelement <8 x float> %d, i32 %g
  %g2 = mul i32 %g, 2
  %i0 = add i32 %g2, %half
  %i = add i32 %i0, %ti
  %o0 = mul i32 %i, %ld
  %o = add i32 %o0, %col
  %p = getelementptr float, ptr addrspace(1) %out, i32 %o
  store float %v, ptr addrspace(1) %p
  %g1 = add i32 %g, 1
  %on = icmp ult i32 %g1, 8
  br i1 %on, label %each, label %end, !llvm.loop !5
end:
  ret void
}
declare i32 @llvm.amdgcn.workitem.id.x()
declare i32 @llvm.amdgcn.workgroup.id.x()
declare i32 @llvm.amdgcn.workgroup.id.y()
declare <8 x float> @llvm.amdgcn.wmma.f32.16x16x16.bf16.v8f32.v16i16(<16 x i16>, <16 x i16>, <8 x float>)
attributes #0 = { "amdgpu-flat-work-group-size"="32,32" }
!5 = distinct !{!5, !{!"llvm.loop.unroll.full"}}
