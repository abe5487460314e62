//! Numbers that come over the wire become enumerations only if the header knows them.

use std::fmt::Debug;

use sup_abi::{
    SUPDRVOBJTYPE, SUPDRVOBJTYPE_32_BIT_HACK, SUPDRVOBJTYPE_END, SUPGIPCPUSTATE,
    SUPGIPCPUSTATE_32_BIT_HACK, SUPGIPMODE, SUPGIPMODE_32BIT_HACK, SUPINITOP, SUPINITOP_END,
    SUPLOGGER, SUPPAGINGMODE,
};

/// Checks that exactly the numbers of `known`, and none of the 64 around them nor of `foreign`,
/// convert, and that they convert back to themselves.
fn check<E>(known: std::ops::RangeInclusive<u32>, foreign: &[u32])
where
    E: TryFrom<u32> + Into<u32> + Debug,
{
    for number in (0..64).chain(foreign.iter().copied()).chain([u32::MAX]) {
        match E::try_from(number) {
            Ok(value) => {
                assert!(known.contains(&number), "{number:#x} became {value:?}");
                assert_eq!(value.into(), number);
            }
            Err(_) => assert!(!known.contains(&number), "{number:#x} was refused"),
        }
    }
}

#[test]
fn paging_modes_convert() {
    check::<SUPPAGINGMODE>(0..=10, &[]);
}

#[test]
fn object_types_convert() {
    check::<SUPDRVOBJTYPE>(0..=6, &[SUPDRVOBJTYPE_END, SUPDRVOBJTYPE_32_BIT_HACK]);
}

#[test]
fn gip_modes_and_states_convert() {
    check::<SUPGIPMODE>(0..=2, &[SUPGIPMODE_32BIT_HACK]);
    check::<SUPGIPCPUSTATE>(0..=3, &[SUPGIPCPUSTATE_32_BIT_HACK]);
}

#[test]
fn loggers_and_steps_convert() {
    check::<SUPLOGGER>(1..=2, &[]);
    check::<SUPINITOP>(0..=4, &[SUPINITOP_END]);
}
