//! What functions written in assembly have in common.
//!
//! Neighbours: `printf` and `calls` have such functions. Invariant: none of them returns in another way.

/// How a naked function returns. The kernel may patch its return thunk against attacks on return
/// prediction, and its object checker allows no other way.
#[cfg(target_os = "none")]
macro_rules! return_instruction {
    () => {
        "jmp __x86_return_thunk"
    };
}
#[cfg(not(target_os = "none"))]
macro_rules! return_instruction {
    () => {
        "ret"
    };
}

pub(crate) use return_instruction;
