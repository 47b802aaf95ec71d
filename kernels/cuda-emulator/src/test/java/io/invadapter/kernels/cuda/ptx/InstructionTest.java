package io.invadapter.kernels.cuda.ptx;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Single instructions that nvcc rarely writes: a few lines of PTX each, with the result they must have. */
class InstructionTest {
    /** The lines leave their result in %r0; a warp runs them, and lane 2's result counts. */
    static String program(String lines) {
        return """
                .version 8.0
                .target sm_90
                .address_size 64
                .visible .entry test(.param .u64 out)
                {
                    .reg .pred %p<8>;
                    .reg .b16 %h<8>;
                    .reg .b32 %r<8>;
                    .reg .b64 %d<8>;
                    .shared .align 16 .b8 array[512];
                    .local .align 16 .b8 stack[16];
                    mov.u32 %r0, 0;
                    mov.u32 %r7, %laneid;
                    LINES
                    ld.param.u64 %d7, [out];
                    mad.wide.u32 %d7, %r7, 4, %d7;
                    st.global.u32 [%d7], %r0;
                    ret;
                }
                """.replace("LINES", lines.replace(";", ";\n    "));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '=', quoteCharacter = '`', value = {
        "slct.s32.s32 %r0, 7, 8, -1; = 8",
        "slct.s32.f32 %r0, 7, 8, 0f80000000; = 7",
        "testp.subnormal.f32 %p1, 0f00000001; selp.b32 %r0, 1, 2, %p1; = 1",
        "testp.finite.f32 %p1, 0f7F800000; selp.b32 %r0, 1, 2, !%p1; = 1",
        "set.lt.u32.s32 %r0, -5, 3; = -1",
        "set.gt.f32.f32 %r0, 0f40000000, 0f3F800000; = 1065353216",
        "cnot.b32 %r0, 0; = 1",
        "bfind.u32 %r0, 0x00800000; = 23",
        "bfind.s32 %r0, -2; = 0",
        "mul24.hi.u32 %r0, 0xffffff, 0xffffff; = -512",
        "mad24.lo.s32 %r0, -3, 5, 100; = 85",
        "mad.hi.s32 %r0, 0x40000000, 8, 5; = 7",
        "mad.wide.u16 %r0, 0xffff, 0xffff, 1; = -131070",
        "mov.b16 %h0, 0x8000; shr.s16 %h1, %h0, 3; cvt.s32.s16 %r0, %h1; = -4096",
        "mov.b16 %h0, 0x8000; shr.u16 %h1, %h0, 3; cvt.u32.u16 %r0, %h1; = 4096",
        "mov.b16 %h0, 0xfff0; mul.wide.s16 %r0, %h0, %h0; = 256",
        "lop3.b32 %r0, 0xf0f0, 0xcccc, 0xaaaa, 0x1b; = -58597",
        "prmt.b32 %r0, 0x80706050, 0x11223344, 0xb041; = -11516832",
        "shf.l.clamp.b32 %r0, 0x12345678, 0x9abcdef0, 40; = 305419896",
        "shl.b32 %r0, 1, 32; = 0",
        "shr.s32 %r0, -8, 100; = -1",
        "mov.b64 %d0, 0x123456789abcdef0; bfe.u64 %d1, %d0, 20, 40; cvt.u32.u64 %r0, %d1; = 1164413355",
        "mov.b64 %d0, -1; bfe.s64 %d1, %d0, 60, 10; cvt.u32.u64 %r0, %d1; = -1",
        "sad.s32 %r0, -5, 7, 100; = 112",
        "mov.b64 %d0, {%h0, %h0, %h1, %h1}; mov.b64 {%r1, %r0}, %d0; = 0",
        "mov.b32 %r1, 0x00010002; mov.b32 {%h0, %h1}, %r1; mov.b32 %r0, {%h1, %h0}; = 131073",
        "cvt.pack.sat.u8.s32.b32 %r0, 300, -7, 0x1234; = 305463040",
        "cvt.pack.sat.s16.s32 %r0, 40000, -40000; = 2147450880",
        "mov.b16 %h0, 0xc680; cvt.rzi.s32.f16 %r0, %h0; = -6",
        "mov.b16 %h0, 0xc680; cvt.rmi.f16.f16 %h1, %h0; cvt.u32.u16 %r0, %h1; = 50944",
        "cvt.rn.relu.f16x2.f32 %r0, 0fBF800000, 0f3F800000; = 15360",
        "cvt.rn.f16.s32 %h0, 2049; cvt.u32.u16 %r0, %h0; = 26624",
        "cvt.rz.f32.f64 %r0, 0d3FF0000010000001; = 1065353216",
        "cvt.sat.s16.s32 %h0, -70000; cvt.s32.s16 %r0, %h0; = -32768",
        "mov.b32 %r1, 0x4000bc00; ex2.approx.f16x2 %r0, %r1; = 1140865024",
        "mov.b16 %h0, 0; tanh.approx.bf16 %h1, %h0; cvt.u32.u16 %r0, %h1; = 0",
        "mov.b32 %r1, 0x3c00bc00; mov.b32 %r2, 0; fma.rn.relu.f16x2 %r0, %r1, %r1, %r2; = 1006648320",
        "mov.b32 %r1, 0x3f80bf80; neg.bf16x2 %r0, %r1; = -1082114176",
        "mov.b32 %r1, 0x00017c00; mov.b32 %r2, 0; add.ftz.f16x2 %r0, %r1, %r2; = 31744",
        "min.NaN.f32 %r0, 0f7FC00000, 0f3F800000; setp.nan.f32 %p1, %r0, %r0; selp.b32 %r0, 1, 2, %p1; = 1",
        "min.f32 %r0, 0f7FC00000, 0f3F800000; = 1065353216",
        "min.f32 %r0, 0f00000000, 0f80000000; = -2147483648",
        "lg2.approx.f32 %r0, 0f41000000; = 1077936128",
        "lg2.approx.f32 %r0, 0f7F800000; = 2139095040",
        "ex2.approx.f32 %r0, 0fC3100000; = 32",
        "ex2.approx.ftz.f32 %r0, 0fC3100000; = 0",
        "rcp.approx.f32 %r0, 0f00000000; = 2139095040",
        "rsqrt.approx.f32 %r0, 0fBF800000; testp.notanumber.f32 %p1, %r0; selp.b32 %r0, 1, 2, %p1; = 1",
        "setp.lt.s32 %p1|%p2, 3, 5; selp.b32 %r0, 1, 0, %p1; selp.b32 %r1, 2, 0, %p2; add.s32 %r0, %r0, %r1; = 1",
        "setp.eq.s32 %p3, 1, 1; setp.lt.and.s32 %p1, 3, 5, !%p3; selp.b32 %r0, 1, 2, %p1; = 2",
        "mov.b32 %r1, 0x3c004000; mov.b32 %r2, 0x40003c00; setp.lt.f16x2 %p1|%p2, %r1, %r2; selp.b32 %r0, 1, 2, %p2; = 1",
        "setp.lo.u32 %p1, 3, -5; selp.b32 %r0, 1, 2, %p1; = 1",
        "setp.hs.u32 %p1, 3, -5; selp.b32 %r0, 1, 2, %p1; = 2",
        "setp.ge.u32 %p2, %r7, 2; @%p2 elect.sync %r0|%p1, 0xfffffffc; = 2",
        "vote.sync.uni.pred %p1, %p2, -1; selp.b32 %r0, 1, 2, %p1; = 1",
        "redux.sync.xor.b32 %r0, %r7, -1; = 0",
        "redux.sync.or.b32 %r0, %r7, -1; = 31",
        "mov.u32 %r0, %lanemask_lt; = 3",
        "mov.u32 %r0, %lanemask_ge; = -4",
        "mov.u32 %r0, WARP_SZ; = 32",
        "mov.u32 %r0, %nctaid.x; = 1",
        "mov.u64 %d0, array; cvta.shared.u64 %d1, %d0; isspacep.shared %p1, %d1; selp.b32 %r0, 1, 2, %p1; = 1",
        "mov.u64 %d0, stack; cvta.local.u64 %d1, %d0; isspacep.shared %p1, %d1; selp.b32 %r0, 1, 2, %p1; = 2",
        "st.local.v4.u16 [stack+8], {1, 2, 3, 4}; ld.local.u32 %r0, [stack+12]; = 262147",
        "mov.u64 %d0, stack; cvta.local.u64 %d1, %d0; st.u8 [%d1+3], -1; ld.local.s8 %r0, [stack+3]; = -1",
        "ld.param.u64 %d0, [out]; st.global.u32 [%d0], 5; ld.global.cv.u32 %r0, [%d0]; = 5",
        "createpolicy.fractional.L2::evict_last.b64 %d0, 1.0; = 0",
        "@%p0 bra over; mov.u32 %r0, 9; over: = 9",
        "mov.u32 %r1, %r7; ts: .branchtargets A, B, C; brx.idx %r1, ts; A: mov.u32 %r0, 10; bra E; B: bra E; C: mov.u32 %r0, 12; E: = ?",
        "{ .reg .b32 %r0; mov.u32 %r0, 3; } add.s32 %r0, %r0, 1; = 1",
        "mad.lo.u32 %r1, %r7, 4, 0; mov.u32 %r2, array; add.s32 %r1, %r1, %r2; st.shared.u32 [%r1], 6; atom.shared.dec.u32 %r3, [%r1], 9; atom.shared.exch.b32 %r0, [%r1], 1; = 5",
        "mad.lo.u32 %r1, %r7, 4, 0; mov.u32 %r2, array; add.s32 %r1, %r1, %r2; st.shared.u32 [%r1], 0x3c004000; mov.b32 %r4, 0x3c003c00; atom.shared.add.noftz.f16x2 %r3, [%r1], %r4; ld.shared.u32 %r0, [%r1]; = 1073758720",
        "mad.lo.u32 %r1, %r7, 4, 0; mov.u32 %r2, array; add.s32 %r1, %r1, %r2; st.shared.u32 [%r1], 5; red.shared.max.u32 [%r1], -1; ld.shared.u32 %r0, [%r1]; = -1",
        "mad.lo.u32 %r1, %r7, 16, 0; mov.u32 %r2, array; add.s32 %r1, %r1, %r2; mov.b32 %r3, %r7; stmatrix.sync.aligned.m8n8.x4.shared.b16 [%r1], {%r3, %r3, %r3, %r3}; bar.warp.sync -1; ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r4, %r5, %r6, %r0}, [%r1]; = 2",
    })
    void result(String lines, String expected) {
        // The indirect branch needs an index inside its list in every lane.
        boolean few = expected.equals("?");
        Kernel k = PtxModule.parse(program(lines)).kernel("test");
        try (Programs p = new Programs()) {
            long out = p.allocate(128);
            p.run(k, new Dim(1), new Dim(few ? 3 : 32), 0, out);
            assertEquals(few ? 12 : Integer.parseInt(expected), p.ints(out, 3)[2]);
        }
    }

    @Test
    void lanesThatWaitForEachOtherAtDifferentPlaces() {
        Kernel k = PtxModule.parse(program("setp.lt.u32 %p1, %r7, 5; @%p1 bra A; bar.warp.sync -1; bra E; A: bar.sync 0; E:"))
                .kernel("test");
        try (Programs p = new Programs()) {
            long out = p.allocate(128);
            PtxFault f = assertThrows(PtxFault.class, () -> p.run(k, new Dim(1), new Dim(32), 0, out));
            assertEquals(PtxFault.Kind.DEADLOCK, f.kind());
            assertTrue(f.getMessage().contains("5 threads wait at line 18: bar.sync 0")
                    && f.getMessage().contains("27 threads wait at line 16: bar.warp.sync -1"), f.getMessage());
        }
    }
}
