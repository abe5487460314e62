//! [`Answers`]: what a thread remembers of the driver's answers, to name it in later requests.

use sup_abi::request::{
    ContAllocOut, Function, GipMapOut, HEADER_BYTES, LoadModuleOut, MemoryOut, SemaphoreCreateOut,
};
use zerocopy::FromBytes;

use crate::random::Random;

/// So many of a kind, the latest.
const DEPTH: usize = 8;

/// The latest of one kind.
#[derive(Debug, Default)]
struct Latest<T> {
    values: [T; DEPTH],
    count: usize,
}

impl<T: Copy> Latest<T> {
    fn note(&mut self, value: T) {
        self.values[self.count % DEPTH] = value;
        self.count += 1;
    }

    /// Often the one that came last: of what is rare it may be the only one that is there.
    fn choose(&self, random: &mut Random) -> T {
        if random.is_one_in(2) {
            self.values[self.count.wrapping_sub(1) % DEPTH]
        } else {
            random.choose(&self.values)
        }
    }
}

/// Names that were valid once. Most still are; that some are not is as good.
#[derive(Debug, Default)]
pub(super) struct Answers {
    images: Latest<u64>,
    blocks: Latest<u64>,
    /// Where pages of `PageAllocEx` are in ring 0.
    kernel_blocks: Latest<u64>,
    semaphores: Latest<u32>,
}

impl Answers {
    /// Remembers what a request that succeeded answered.
    pub(super) fn note(&mut self, function: Function, packet: &[u8]) {
        fn output<T: FromBytes>(packet: &[u8]) -> Option<T> {
            Some(T::read_from_prefix(packet.get(HEADER_BYTES..)?).ok()?.0)
        }
        match function {
            Function::LoadModule => {
                let answer = output::<LoadModuleOut>(packet);
                answer.into_iter().for_each(|answer| self.images.note(answer.base.get()));
            }
            Function::LowAlloc | Function::PageAllocEx => {
                if let Some(answer) = output::<MemoryOut>(packet) {
                    self.blocks.note(answer.r3.get());
                    if function == Function::PageAllocEx && !answer.r0.is_nil() {
                        self.kernel_blocks.note(answer.r0.get());
                    }
                }
            }
            Function::ContAlloc => {
                let answer = output::<ContAllocOut>(packet);
                answer.into_iter().for_each(|answer| self.blocks.note(answer.r3.get()));
            }
            // Not a block, but it is worth a try to free it as one.
            Function::GipMap => {
                let answer = output::<GipMapOut>(packet);
                answer.into_iter().for_each(|answer| self.blocks.note(answer.r3.get()));
            }
            Function::SemaphoreCreate => {
                let answer = output::<SemaphoreCreateOut>(packet);
                answer.into_iter().for_each(|answer| self.semaphores.note(answer.value));
            }
            _ => {}
        }
    }

    pub(super) fn image(&self, random: &mut Random) -> u64 {
        self.images.choose(random)
    }

    pub(super) fn block(&self, random: &mut Random) -> u64 {
        self.blocks.choose(random)
    }

    pub(super) fn kernel_block(&self, random: &mut Random) -> u64 {
        self.kernel_blocks.choose(random)
    }

    pub(super) fn semaphore(&self, random: &mut Random) -> u32 {
        self.semaphores.choose(random)
    }
}
