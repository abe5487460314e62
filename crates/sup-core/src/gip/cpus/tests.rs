//! Processors that come and go in any order, against a list of who is there.

extern crate std;

use std::collections::{BTreeMap, BTreeSet};
use std::vec::Vec;

use proptest::prelude::*;
use sup_abi::GIP_APIC_TABLE_ENTRIES;

use super::*;

fn page(entries: usize) -> (SUPGLOBALINFOPAGE, Vec<SUPGIPCPU>) {
    let page: SUPGLOBALINFOPAGE = zerocopy::FromZeros::new_zeroed();
    for slot in page.aiCpuFromApicId.iter().chain(&page.aiCpuFromCpuSetIdx) {
        slot.store(NO_CPU, Ordering::Relaxed);
    }
    (page, (0..entries).map(|_| zerocopy::FromZeros::new_zeroed()).collect())
}

fn state(entry: &SUPGIPCPU) -> Option<SUPGIPCPUSTATE> {
    entry.enmState.load(Ordering::Relaxed).try_into().ok()
}

#[test]
fn a_processor_that_comes_back_gets_its_old_entry() {
    let (page, cpus) = page(3);
    let mut arrivals = Arrivals::default();
    // Sparse numbers, and in another order than they are numbered.
    let [late, early] = [(7, 0x2e), (2, 0x11)].map(|(index, apic)| CpuIdentity { index, apic });
    for cpu in [late, early] {
        assert!(arrivals.come(&page, &cpus, cpu, || {}));
        assert!(!arrivals.come(&page, &cpus, cpu, || panic!("it is there already")));
    }
    assert!(arrivals.go(&page, &cpus, 7));
    assert!(!arrivals.go(&page, &cpus, 7), "it is gone already");
    assert_eq!(state(&cpus[0]), Some(SUPGIPCPUSTATE::Offline));
    assert_eq!(page.aiCpuFromApicId[0x2e].load(Ordering::Relaxed), 0, "tables keep the entry");
    assert_eq!(page.cOnlineCpus.load(Ordering::Relaxed), 1);
    assert_eq!(page.cPresentCpus.load(Ordering::Relaxed), 2);
    let mut was_asked = false;
    assert!(arrivals.come(&page, &cpus, late, || {
        was_asked = true;
        assert_eq!(state(&cpus[0]), Some(SUPGIPCPUSTATE::Offline), "online comes last");
    }));
    assert!(was_asked);
    assert_eq!(state(&cpus[0]), Some(SUPGIPCPUSTATE::Online));
    assert_eq!(state(&cpus[2]), Some(SUPGIPCPUSTATE::Invalid), "nobody's");
}

#[test]
fn numbers_that_fit_no_table_are_left_out_of_it() {
    let (page, cpus) = page(2);
    let mut arrivals = Arrivals::default();
    assert!(arrivals.come(&page, &cpus, CpuIdentity { index: 0, apic: 0x1_0000 }, || {}));
    assert!(arrivals.come(&page, &cpus, CpuIdentity { index: 1, apic: 300 }, || {}));
    assert!(!arrivals.come(&page, &cpus, CpuIdentity { index: 256, apic: 1 }, || {}));
    assert_eq!(cpus[0].idApic.load(Ordering::Relaxed), NO_CPU);
    assert_eq!(cpus[1].idApic.load(Ordering::Relaxed), 300);
    assert!(page.aiCpuFromApicId.iter().all(|slot| slot.load(Ordering::Relaxed) == NO_CPU));
    assert!(!arrivals.go(&page, &cpus, 9), "it never was there");
}

proptest! {
    /// After any coming and going, sets, counts, tables and entries say the same, and as many
    /// processors have entries as there is room for.
    #[test]
    fn the_page_agrees_with_who_is_there(
        entries in 1_usize..6,
        events in prop::collection::vec((0_u16..12, any::<bool>()), 1..60),
    ) {
        let (page, cpus) = page(entries);
        let mut arrivals = Arrivals::default();
        let (mut entry_of, mut online) = (BTreeMap::new(), BTreeSet::new());
        for (index, comes) in events {
            let cpu = CpuIdentity { index, apic: u32::from(index) * 37 % 256 };
            if comes {
                let next = entry_of.len();
                let has_room = entry_of.contains_key(&index) || next < entries;
                let is_new = has_room && online.insert(index);
                prop_assert_eq!(arrivals.come(&page, &cpus, cpu, || {}), is_new);
                if is_new {
                    entry_of.entry(index).or_insert(next);
                }
            } else {
                prop_assert_eq!(arrivals.go(&page, &cpus, index), online.remove(&index));
            }
            let set: BTreeSet<_> = page.OnlineCpuSet.load().iter().map(|index| index as u16).collect();
            prop_assert_eq!(&set, &online);
            prop_assert_eq!(usize::from(page.cOnlineCpus.load(Ordering::Relaxed)), online.len());
            prop_assert_eq!(usize::from(page.cPresentCpus.load(Ordering::Relaxed)), entry_of.len());
            for (&index, &entry) in &entry_of {
                let apic = usize::from(cpus[entry].idApic.load(Ordering::Relaxed));
                prop_assert!(apic < GIP_APIC_TABLE_ENTRIES);
                let found = page.aiCpuFromApicId[apic].load(Ordering::Relaxed);
                prop_assert_eq!(usize::from(found), entry);
                let found = page.aiCpuFromCpuSetIdx[usize::from(index)].load(Ordering::Relaxed);
                prop_assert_eq!(usize::from(found), entry);
                prop_assert_eq!(cpus[entry].idCpu.load(Ordering::Relaxed), u32::from(index));
                let is_online = state(&cpus[entry]) == Some(SUPGIPCPUSTATE::Online);
                prop_assert_eq!(is_online, online.contains(&index));
            }
        }
    }
}
