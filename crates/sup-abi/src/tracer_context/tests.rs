//! Tests of the views that replace the header's union.

use zerocopy::IntoBytes;

use super::{SUPDRVTRACERUSRCTX, TracerContext};

#[test]
fn bits_choose_the_view() {
    let mut context = SUPDRVTRACERUSRCTX { cBits: 32, ..Default::default() };
    assert!(matches!(context.view(), Some(TracerContext::X86(_))));
    context.cBits = 64;
    assert!(matches!(context.view(), Some(TracerContext::Amd64(_))));
}

#[test]
fn cannot_view_other_widths() {
    for bits in [0, 16, 33, 128] {
        let context = SUPDRVTRACERUSRCTX { cBits: bits, ..Default::default() };
        assert!(context.view().is_none(), "{bits}");
    }
}

#[test]
fn views_reach_the_bytes_of_the_wire() {
    let mut context = SUPDRVTRACERUSRCTX::default();
    context.u.x86_mut().gs = 0x1234;
    assert_eq!(context.as_bytes().get(142..144), Some(&[0x34, 0x12][..]));

    context = SUPDRVTRACERUSRCTX::default();
    context.u.amd64_mut().r15 = u64::MAX;
    assert_eq!(context.as_bytes().get(232..240), Some(&[0xff; 8][..]));
    assert_eq!(context.u.amd64().r15, u64::MAX);
}
