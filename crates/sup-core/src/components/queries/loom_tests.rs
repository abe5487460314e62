//! Factories under loom: nobody is inside one that is gone, no wake-up is lost, and threads that take each
//! other's factories back at once never wait for each other.

extern crate std;

use loom::sync::{Arc, Mutex};
use loom::thread;

use super::*;
use crate::loom_queue::LoomQueue;

/// What is under the table's lock.
struct Table {
    queries: Queries,
    is_listed: [bool; 2],
}

struct Model {
    table: Mutex<Table>,
    inside: [Inside<LoomQueue>; 2],
    /// Read by queries, changed by who has taken the factory back: loom reports a race.
    memory: [loom::cell::UnsafeCell<()>; 2],
}

fn place(number: usize) -> Place {
    let address = R0Ptr::new(number as u64);
    Place { number: number as u64, owner: SessionHandle(R0Ptr::NIL), address, entry: address }
}

impl Model {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::new(Table { queries: Queries::new(), is_listed: [true; 2] }),
            inside: Default::default(),
            memory: Default::default(),
        })
    }

    fn enter(&self, thread: u64, number: usize) -> bool {
        let mut table = self.table.lock().unwrap();
        if !table.is_listed[number] {
            return false;
        }
        table.queries.begin(ThreadId(thread), place(number)).unwrap();
        self.inside[number].enter();
        true
    }

    fn leave(&self, thread: u64, number: usize) {
        self.memory[number].with(|_| ());
        self.table.lock().unwrap().queries.forget(ThreadId(thread), number as u64);
        self.inside[number].leave();
    }

    fn take(&self, thread: u64, number: usize) -> Result<(), Status> {
        let mut table = self.table.lock().unwrap();
        if !table.is_listed[number] {
            return Err(Status::VERR_NOT_FOUND);
        }
        table.queries.start_wait(ThreadId(thread), Target::Record(number as u64))?;
        table.is_listed[number] = false;
        drop(table);
        self.inside[number].drain();
        self.memory[number].with_mut(|_| ());
        self.table.lock().unwrap().queries.end_wait(ThreadId(thread));
        Ok(())
    }
}

#[test]
fn loom_nobody_is_inside_a_factory_that_was_taken_back() {
    loom::model(|| {
        let model = Model::new();
        let threads = [1, 2].map(|thread| {
            let model = model.clone();
            thread::spawn(move || {
                if model.enter(thread, 0) {
                    model.leave(thread, 0);
                }
            })
        });
        assert_eq!(model.take(3, 0), Ok(()));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn loom_of_two_that_take_each_other_back_one_is_refused() {
    loom::model(|| {
        let model = Model::new();
        for thread in 0..2 {
            assert!(model.enter(thread, thread as usize));
        }
        let both = |model: &Model, thread: u64| {
            let taken = model.take(thread, 1 - thread as usize);
            model.leave(thread, thread as usize);
            taken
        };
        let other = model.clone();
        let second = thread::spawn(move || both(&other, 1));
        let mut taken = [both(&model, 0), second.join().unwrap()];
        taken.sort_by_key(|taken| taken.is_ok());
        assert_eq!(taken, [Err(Status::VERR_WRONG_ORDER), Ok(())]);
    });
}
