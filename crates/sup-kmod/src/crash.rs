//! What the kernel's log says of a fault in a module, behind the kernel's own report.
//!
//! ```text
//! supdrv: module wild+0x1000 (wildWrite+0x0)
//! supdrv: called from module wild+0x1058 (wildServiceReqHandler+0x38)
//! ```
//!
//! The kernel knows no symbol of what lies in a module. So it tells the driver of each oops
//! ([`supdrv_died`]), with the registers: after it has written its report, with interrupts off, in whatever
//! context it was, while other processors may load and free modules. What is done here is
//! [`Images::trace`]: it takes no lock and no memory and does not wait. The stack and the code are read
//! through the kernel, which says what is not there. A line goes to the log at once.
//!
//! The calls that the task was in never return: their images are lost ([`Images::lose`]), and stay.
//!
//! Neighbours: `image` holds the listing; `kmod/crash.c` is told by the kernel. Invariant: an image is listed
//! from before its first instruction runs until after its last, since its memory holds the listing.

use core::fmt::{self, Write};
use core::ops::ControlFlow;

use sup_abi::R0Ptr;
use sup_alloc::OutOfMemory;
use sup_ring0::crash::{self, Fault, Functions, Images, Step};

use crate::calls;
use crate::lock::Mutex;
use crate::shim::{log, ring0};

static IMAGES: Images<Mutex, Functions> = Images::new();

/// An image that the log names. Dropping it ends that.
pub(crate) type Listing = crash::Listing<Mutex, Functions>;

/// Lists an image of so many bytes, which lies at `base` and was made of `file`.
///
/// # Errors
/// [`OutOfMemory`].
///
/// # Context
/// May sleep.
pub(crate) fn list(
    name: &str,
    base: R0Ptr,
    bytes: usize,
    file: &[u8],
) -> Result<Listing, OutOfMemory> {
    let start = base.get();
    let addresses = start..start.saturating_add(bytes as u64);
    IMAGES.list(name, addresses, Functions::of(file, start)?)
}

/// The kernel reports the death of a task, or its own, that was at this instruction with this stack.
#[unsafe(no_mangle)]
extern "C" fn supdrv_died(instruction: u64, stack: u64) {
    // SAFETY: after this report the kernel ends the task, or the machine.
    unsafe { calls::forget_dead(|callee| IMAGES.lose(callee)) };
    let peek = |from, into: &mut [u8]| ring0::read(R0Ptr::new(from), into).is_ok();
    IMAGES.trace(Fault { instruction, stack }, peek, |step, place| {
        match step {
            Step::Fault => tell(format_args!("module {place}")),
            Step::Caller => tell(format_args!("called from module {place}")),
        }
        ControlFlow::Continue(())
    });
}

#[inline(never)]
fn tell(line: fmt::Arguments<'_>) {
    let mut text = log::Line::new();
    // A line that is full is cut.
    let _ = text.write_fmt(line);
    log::death(text.as_str());
}
