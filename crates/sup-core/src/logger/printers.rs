//! [`Printers`]: who puts lines out, each with a budget of lines ([`Limit`]).
//!
//! A module that prints in a loop must not wash everything else out of the host's log, whatever the context in
//! which it prints. So each image has a budget; the driver has one for what its loggers let through; and all who
//! print from elsewhere have one together: other kernel drivers, code that jumped to `SUPR0Printf` with its
//! caller's return address, and images beyond the first [`IMAGES_MAX`]. Errors and warnings of the driver have
//! none: they are few, and the kernel limits those by itself.
//!
//! ```text
//! (free) ── add, before ModuleInit ──▶ an image's ── remove, after ModuleTerm ──▶ (free)
//! ```
//! An image is found by the address that prints, which lies in it: so the place does not change hands while it is in
//! use, and can be read in pieces. Only the pages are one word, for those who look for theirs meanwhile.
//!
//! Neighbours: `sup-ring0/src/printf.rs` formats. Invariant: what is not told is counted, and the count is told with
//! the next line, with the end of the image, or with that of the driver.

use core::fmt;
use core::num::NonZeroU32;
use core::sync::atomic::Ordering;

use sup_abi::R0Ptr;
use sup_alloc::{OutOfMemory, Vec};

use super::limit::Limit;
use crate::Driver;
use crate::host::{Host, LogLevel};
use crate::image::ModuleName;
use crate::sync::AtomicU64;

/// How many lines a second each module may print, unless the host says otherwise.
pub const PRINT_LIMIT_DEFAULT: Option<NonZeroU32> = NonZeroU32::new(20);
/// So many images have a budget of their own.
const IMAGES_MAX: usize = 32;
const PAGE_BITS: u32 = 12;
/// Of the pages' word: how many there are, but one; above it the number of the first.
const COUNT_BITS: u32 = 12;
const NAME_WORDS: usize = 4;

/// Who puts lines out.
#[derive(Debug)]
pub(crate) struct Printers {
    images: Vec<Printer>,
    /// Of code that lies in none of the images.
    elsewhere: Limit,
    /// Of the driver's loggers.
    pub(super) driver: Limit,
}

/// A place for an image.
#[derive(Debug)]
struct Printer {
    /// 0 while it is free.
    pages: AtomicU64,
    /// The name's bytes, with zeros behind them.
    name: [AtomicU64; NAME_WORDS],
    limit: Limit,
}

impl Printer {
    fn free() -> Self {
        let name = [(); NAME_WORDS].map(|()| AtomicU64::new(0));
        Self { pages: AtomicU64::new(0), name, limit: Limit::new() }
    }

    fn name(&self) -> ModuleName {
        let mut bytes = [0; NAME_WORDS * size_of::<u64>()];
        for (place, word) in bytes.chunks_exact_mut(size_of::<u64>()).zip(&self.name) {
            // Relaxed: see the top; stored before the image's code ran.
            place.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
        }
        let name = core::str::from_utf8(&bytes).unwrap_or_default().trim_end_matches('\0');
        ModuleName::from(name).unwrap_or_default()
    }
}

/// The pages of an image, as one word; `None` if they are none or too many.
fn pages(base: R0Ptr, bytes: usize) -> Option<u64> {
    let count = u64::try_from(bytes).ok()?.div_ceil(1 << PAGE_BITS).checked_sub(1)?;
    let first = base.get() >> PAGE_BITS;
    (first != 0 && count < 1 << COUNT_BITS).then_some(first << COUNT_BITS | count)
}

/// Whether an address lies in pages.
fn has(pages: u64, address: R0Ptr) -> bool {
    let (first, count) = (pages >> COUNT_BITS, pages & ((1 << COUNT_BITS) - 1));
    pages != 0 && (address.get() >> PAGE_BITS).checked_sub(first).is_some_and(|page| page <= count)
}

impl Printers {
    /// # Errors
    /// Memory is out.
    pub(crate) fn try_new() -> Result<Self, OutOfMemory> {
        let mut images = Vec::try_with_capacity(IMAGES_MAX)?;
        for _ in 0..IMAGES_MAX {
            images.try_push(Printer::free())?;
        }
        Ok(Self { images, elsewhere: Limit::new(), driver: Limit::new() })
    }

    /// Gives an image a budget, before its code runs.
    pub(crate) fn add(&self, name: &ModuleName, base: R0Ptr, bytes: usize) {
        let Some(pages) = pages(base, bytes) else { return };
        let free = self.images.iter().find(|printer| {
            // Acquire: pairs with the release of `remove`. Relaxed: who looks for it is in its code, which is not run yet.
            let claimed =
                printer.pages.compare_exchange(0, pages, Ordering::Acquire, Ordering::Relaxed);
            claimed.is_ok()
        });
        let Some(printer) = free else { return };
        let mut bytes = name.bytes();
        for word in &printer.name {
            let next = [(); 8].map(|()| bytes.next().unwrap_or(0));
            word.store(u64::from_le_bytes(next), Ordering::Relaxed);
        }
    }

    /// Takes an image's budget, when its code runs no more; returns how many lines were not told.
    pub(crate) fn remove(&self, base: R0Ptr, bytes: usize) -> u64 {
        let Some(pages) = pages(base, bytes) else { return 0 };
        // Relaxed: the image came and goes on the threads that the table's lock orders.
        let Some(printer) =
            self.images.iter().find(|printer| printer.pages.load(Ordering::Relaxed) == pages)
        else {
            return 0;
        };
        let untold = printer.limit.take_untold();
        printer.limit.refill();
        // Release: pairs with the acquire of `add`.
        printer.pages.store(0, Ordering::Release);
        untold
    }

    fn at(&self, address: R0Ptr) -> Option<&Printer> {
        // Relaxed: whose address it is stored them before his code ran.
        self.images.iter().find(|printer| has(printer.pages.load(Ordering::Relaxed), address))
    }
}

/// Who put lines out, in a sentence.
enum Who {
    Module(ModuleName),
    Elsewhere,
    Driver,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Module(name) => write!(f, "of module '{name}'"),
            Self::Elsewhere => f.write_str("of code in no module"),
            Self::Driver => f.write_str("of the driver's loggers"),
        }
    }
}

impl<H: Host> Driver<H> {
    /// Puts a line out that ring-0 code at `caller` prints. Corresponds to `SUPR0Printf`.
    ///
    /// # Context
    /// Any.
    pub fn print(&self, caller: R0Ptr, line: fmt::Arguments<'_>) {
        match self.printers().at(caller) {
            Some(printer) => self.put_within(&printer.limit, || Who::Module(printer.name()), line),
            None => self.put_within(&self.printers().elsewhere, || Who::Elsewhere, line),
        }
    }

    /// Puts a line of the driver's loggers out.
    pub(super) fn put_own(&self, line: fmt::Arguments<'_>) {
        self.put_within(&self.printers().driver, || Who::Driver, line);
    }

    fn put_within(&self, limit: &Limit, who: impl FnOnce() -> Who, line: fmt::Arguments<'_>) {
        if let Some(per_second) = self.host().print_limit() {
            match limit.spend(self.host().now().get(), per_second) {
                None => return,
                Some(0) => {}
                Some(untold) => self.tell_untold(untold, &who(), Some(per_second)),
            }
        }
        self.host().log(LogLevel::Info, line);
    }

    #[inline(never)]
    fn tell_untold(&self, untold: u64, who: &Who, per_second: Option<NonZeroU32>) {
        match per_second {
            Some(limit) => self.host().log(
                LogLevel::Info,
                format_args!("lines {who} that were not put out, at {limit} a second: {untold}"),
            ),
            None => {
                self.host().log(
                    LogLevel::Info,
                    format_args!("lines {who} that were not put out: {untold}"),
                );
            }
        }
    }

    /// Takes the budget of an image that goes, and tells what of it was not told.
    pub(crate) fn end_printing(&self, name: &ModuleName, base: R0Ptr, bytes: usize) {
        let untold = self.printers().remove(base, bytes);
        if untold != 0 {
            self.tell_untold(untold, &Who::Module(*name), self.host().print_limit());
        }
    }

    /// Tells at the end of the driver what was not told, also of images that stay because a call died in them.
    pub(crate) fn end_all_printing(&self) {
        let printers = self.printers();
        let images =
            printers.images.iter().filter(|printer| printer.pages.load(Ordering::Relaxed) != 0);
        let images = images.map(|printer| (&printer.limit, Who::Module(printer.name())));
        let others = [(&printers.elsewhere, Who::Elsewhere), (&printers.driver, Who::Driver)];
        for (limit, who) in images.chain(others) {
            let untold = limit.take_untold();
            if untold != 0 {
                self.tell_untold(untold, &who, self.host().print_limit());
            }
        }
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
