//! The order in which numbers are used.

extern crate std;

use std::collections::VecDeque;
use std::vec::Vec;

use super::*;
use crate::Deadline;
use crate::host::{Interruption, Wait};
use crate::testing::TestHost;
use SemaphoreKind::Event;

/// A table, and the host that its pages come from.
struct Numbers {
    host: TestHost,
    table: SemaphoreTable<TestHost>,
}

impl Numbers {
    fn new() -> Self {
        Self { host: TestHost::default(), table: SemaphoreTable::new() }
    }

    fn take(&mut self) -> Result<Place<TestHost>, Status> {
        if self.table.needs_block() {
            let room = Room::try_new(self.host.word_page().unwrap()).unwrap();
            assert!(self.table.add_block(room).0.is_none());
        }
        self.table.take_place()
    }

    fn create(&mut self) -> u32 {
        let place = self.take().unwrap();
        let semaphore = place.make(Event).unwrap();
        self.table.fill(place, semaphore)
    }

    fn create_many(&mut self, count: usize) -> Vec<u32> {
        (0..count).map(|_| self.create()).collect()
    }

    fn close(&mut self, handle: u32) {
        let _ = self.table.remove(handle, Event).unwrap();
    }
}

#[test]
fn closed_number_comes_after_every_number_that_was_free_before() {
    let mut numbers = Numbers::new();
    for expected in (1..=2048).chain(1..=2048) {
        assert_eq!(numbers.create(), expected);
        numbers.close(expected);
    }
    assert_eq!(numbers.table.count(), 0);
}

#[test]
fn memory_of_a_closed_semaphore_is_used_again_unless_somebody_is_inside() {
    let mut numbers = Numbers::new();
    let (used, closed) = (numbers.create(), numbers.create());
    let caller = numbers.table.get(used, Event).unwrap();
    let (semaphore, status) = numbers.table.remove(used, Event).unwrap();
    assert_eq!(status, Status::VINF_SUCCESS, "somebody is inside");
    assert!(numbers.table.keep(semaphore).is_some());
    assert!(numbers.table.create_in_spare(Event).is_none());

    let (semaphore, status) = numbers.table.remove(closed, Event).unwrap();
    assert_eq!(status, Status::VINF_OBJECT_DESTROYED);
    assert!(numbers.table.keep(semaphore).is_none());
    let created = numbers.table.create_in_spare(SemaphoreKind::EventMulti).unwrap().unwrap();
    assert_eq!(created, closed + 1);
    assert!(numbers.table.get(created, Event).is_err());
    // It is a new one, with a word of its own, and the old one stays what it was for its caller.
    numbers.table.get(created, SemaphoreKind::EventMulti).unwrap().signal();
    let poll = Wait { deadline: Deadline::at_nanos(0), interruption: Interruption::Allowed };
    assert_eq!(caller.wait(poll), Err(Status::VERR_SEM_DESTROYED));
    assert!(numbers.table.create_in_spare(Event).is_none());
    assert_eq!(numbers.table.count(), 1);
}

#[test]
fn numbers_grow_only_when_none_is_free() {
    let mut numbers = Numbers::new();
    numbers.create_many(2047);
    for handle in [9, 3, 600] {
        numbers.close(handle);
    }
    assert_eq!(numbers.create_many(5), [2048, 9, 3, 600, 2049]);
    numbers.close(3);
    assert_eq!(numbers.create_many(2048), (2050..=4096).chain([3]).collect::<Vec<_>>());
}

#[test]
fn pages_are_made_when_their_first_number_is_used() {
    let mut numbers = Numbers::new();
    for count in [512, 512, 512, 512, 1] {
        let pages = numbers.table.blocks.len();
        assert!(numbers.table.page(pages).is_none());
        numbers.create_many(count);
        assert_eq!(numbers.table.blocks.len(), pages + 1);
    }
}

#[test]
fn number_whose_semaphore_was_not_made_goes_to_the_end() {
    let mut numbers = Numbers::new();
    numbers.create_many(2046);
    let place = numbers.take().unwrap();
    numbers.close(7);
    numbers.table.give_back(place);
    assert_eq!(numbers.create_many(3), [2048, 7, 2047]);
}

#[test]
fn all_numbers_are_used_before_none_is_left() {
    let mut numbers = Numbers::new();
    assert_eq!(numbers.create_many(HANDLES_MAX as usize), (1..=HANDLES_MAX).collect::<Vec<_>>());
    let none_left = |numbers: &mut Numbers| numbers.take().map(|_| ()).unwrap_err();
    assert_eq!(none_left(&mut numbers), Status::VERR_NO_MORE_HANDLES);
    let mut free = VecDeque::from([HANDLES_MAX, 1, 512]);
    free.iter().for_each(|handle| numbers.close(*handle));
    for _ in 0..10 {
        let handle = numbers.create();
        assert_eq!(Some(handle), free.pop_front());
        numbers.close(handle);
        free.push_back(handle);
    }
    numbers.create_many(3);
    assert_eq!(none_left(&mut numbers), Status::VERR_NO_MORE_HANDLES);
}
