//! Pages of the process alone: allocated, touched, freed.

use anyhow::Result;
use sup::{PAGE_SIZE, PageMemory};

use super::system::Region;
use crate::figure::{Figure, Goal};
use crate::measure::{compare, each};

pub(super) fn figures() -> Result<Vec<Figure>> {
    [1, 16, 1024].into_iter().map(figure).collect()
}

fn figure(pages: usize) -> Result<Figure> {
    let pair = compare(
        each(|| {
            let mut memory = PageMemory::new(pages)?;
            memory.iter_mut().step_by(PAGE_SIZE).for_each(|byte| *byte = 1);
            Ok::<_, sup::Error>(())
        }),
        each(|| Region::anonymous(pages).map(|region| region.touch())),
    )?;
    Ok(Figure {
        name: format!("PageAlloc({pages}), touched and freed"),
        unit: "ns",
        compared_to: "mmap+touch+munmap".into(),
        pair,
        goal: (pages == 1).then_some(Goal::Ratio(1.2)),
    })
}
