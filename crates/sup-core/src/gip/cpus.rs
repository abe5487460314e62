//! [`Arrivals`]: processors that come and go, on the page.
//!
//! # States of an entry
//! `Invalid` → `Online` ⇄ `Offline`. An entry belongs to the processor that claimed it, for as long as
//! the page lives: entries are numbered in the order of arrival, and the index tables keep leading to
//! one whose processor is gone.
//!
//! # Order
//! A reader finds an entry by the tables and believes its state. So who comes is first described, then
//! named by tables, sets and counts, and `Online` last; who goes loses its state first.
//!
//! Invariant: `cOnlineCpus` counts the entries that are online, and `OnlineCpuSet` names them.

use core::sync::atomic::Ordering;

use sup_abi::{SUPGIPCPU, SUPGIPCPUSTATE, SUPGLOBALINFOPAGE};

use super::NO_CPU;
use crate::host::CpuIdentity;

/// Which entries are taken. Whoever has it changes what the page says of processors.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// Entries below this index have their processor.
    taken: u16,
}

impl Arrivals {
    /// A processor is there; `before_online` is called when its entry is found by the tables, and not
    /// `Online` yet. Returns false if nothing changed: it is there already, or there is no room for it.
    pub(super) fn come(
        &mut self,
        page: &SUPGLOBALINFOPAGE,
        cpus: &[SUPGIPCPU],
        cpu: CpuIdentity,
        before_online: impl FnOnce(),
    ) -> bool {
        // Relaxed up to the state: who reads these is led here by the tables or by the state.
        let relaxed = Ordering::Relaxed;
        let set_index = usize::from(cpu.index);
        let Some(from_set) = page.aiCpuFromCpuSetIdx.get(set_index) else { return false };
        let known = from_set.load(relaxed);
        let index = if known == NO_CPU { self.taken } else { known };
        let Some(entry) = cpus.get(usize::from(index)) else { return false };
        if entry.enmState.load(relaxed) == u32::from(SUPGIPCPUSTATE::Online) {
            return false;
        }
        self.taken = self.taken.max(index.saturating_add(1));

        let apic = u16::try_from(cpu.apic).unwrap_or(NO_CPU);
        entry.idApic.store(apic, relaxed);
        entry.idCpu.store(u32::from(cpu.index), relaxed);
        entry.iCpuSet.store(i16::try_from(cpu.index).unwrap_or(-1), relaxed);
        // Release: who is led to the entry by a table finds it described.
        if let Some(from_apic) = page.aiCpuFromApicId.get(usize::from(apic)) {
            from_apic.store(index, Ordering::Release);
        }
        from_set.store(index, Ordering::Release);
        page.PresentCpuSet.add(set_index);
        let present = count(&page.PresentCpuSet);
        page.cPresentCpus.fetch_max(present, relaxed);
        page.OnlineCpuSet.add(set_index);
        page.cOnlineCpus.store(count(&page.OnlineCpuSet), relaxed);
        before_online();
        // Release: the state is the last thing of an entry to be seen.
        entry.enmState.store(SUPGIPCPUSTATE::Online.into(), Ordering::Release);
        true
    }

    /// A processor is gone. Returns false if it was not there.
    pub(super) fn go(&mut self, page: &SUPGLOBALINFOPAGE, cpus: &[SUPGIPCPU], index: u16) -> bool {
        let Some(entry) = entry_of(page, cpus, index) else { return false };
        let is_here = entry.enmState.load(Ordering::Relaxed) == SUPGIPCPUSTATE::Online.into();
        if is_here {
            // Release: pairs with the acquire of who counts the entries that are online.
            entry.enmState.store(SUPGIPCPUSTATE::Offline.into(), Ordering::Release);
            page.OnlineCpuSet.remove(usize::from(index));
            page.cOnlineCpus.store(count(&page.OnlineCpuSet), Ordering::Relaxed);
        }
        is_here
    }
}

/// The entry of the processor with this set index, if it was ever there.
pub(super) fn entry_of<'a>(
    page: &SUPGLOBALINFOPAGE,
    cpus: &'a [SUPGIPCPU],
    index: u16,
) -> Option<&'a SUPGIPCPU> {
    cpus.get(entry_index(page, index))
}

/// The number of that entry; one that no entry has if the processor was never there.
pub(super) fn entry_index(page: &SUPGLOBALINFOPAGE, index: u16) -> usize {
    let from_set = page.aiCpuFromCpuSetIdx.get(usize::from(index));
    // Acquire: pairs with the release in `come`.
    from_set.map_or(NO_CPU, |entry| entry.load(Ordering::Acquire)).into()
}

fn count(set: &sup_abi::AtomicCpuSet) -> u16 {
    u16::try_from(set.load().count()).unwrap_or(u16::MAX)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
