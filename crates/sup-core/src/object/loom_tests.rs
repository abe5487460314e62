//! References under loom: whoever drops the last one destroys, once, and nobody gets a dead object.
//!
//! The registry lives under one lock, so what is to be shown is the order of its operations and of the
//! destructor, which runs outside of the lock.

extern crate std;

use loom::sync::atomic::{AtomicU32, Ordering};
use loom::sync::{Arc, Mutex};
use loom::thread;

use super::*;

/// Counts how often it ran.
#[derive(Debug, Clone)]
struct Counting(Arc<AtomicU32>);

impl Destructor for Counting {
    fn address(&self) -> R0Ptr {
        R0Ptr::NIL
    }

    fn first_value(&self) -> R0Ptr {
        R0Ptr::NIL
    }

    fn run(self, _object: ObjectHandle) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A registry with an object that the first of two sessions registered.
struct Model {
    registry: Mutex<Registry<Counting>>,
    runs: Arc<AtomicU32>,
    sessions: [SessionSlot; 2],
    object: ObjectHandle,
}

impl Model {
    fn new() -> Arc<Self> {
        let runs = Arc::new(AtomicU32::new(0));
        let mut registry = Registry::new();
        let grow = |registry: &mut Registry<Counting>| {
            while let Some(need) = registry.need() {
                registry.add(Registry::<Counting>::make(need).unwrap());
            }
        };
        grow(&mut registry);
        let sessions = [registry.add_session().unwrap(), registry.add_session().unwrap()];
        let destructor = Counting(runs.clone());
        let user = UserId::new(1);
        let object = registry.register(sessions[0], SUPDRVOBJTYPE::Vm, user, destructor).unwrap();
        grow(&mut registry);
        Arc::new(Self { registry: Mutex::new(registry), runs, sessions, object })
    }

    fn add_ref(&self, session: usize) -> Result<(), Status> {
        self.registry.lock().unwrap().add_ref(self.object, self.sessions[session])
    }

    fn release(&self, session: usize) -> Result<Status, Status> {
        let released =
            self.registry.lock().unwrap().release(self.object, self.sessions[session])?;
        Ok(released.finish())
    }

    fn end(&self, session: usize) {
        loop {
            let released = self.registry.lock().unwrap().take_next_of(self.sessions[session]);
            match released {
                Some(released) => drop(released.finish()),
                None => return,
            }
        }
    }

    /// What has to hold when nobody is left.
    fn check_dead(&self) {
        assert_eq!(self.runs.load(Ordering::Relaxed), 1, "the destructor ran once");
        assert_eq!(self.add_ref(0), Err(Status::VERR_WRONG_ORDER));
        assert_eq!(self.registry.lock().unwrap().count(), 0);
    }
}

#[test]
fn loom_last_release_of_two_destroys_once() {
    loom::model(|| {
        let model = Model::new();
        model.add_ref(1).unwrap();
        let other = model.clone();
        let thread = thread::spawn(move || other.release(1));
        let results = [model.release(0), thread.join().unwrap()];
        let destroyed = results.iter().filter(|r| **r == Ok(Status::VINF_OBJECT_DESTROYED));
        assert_eq!(destroyed.count(), 1);
        model.check_dead();
    });
}

#[test]
fn loom_reference_is_taken_of_a_living_object_or_refused() {
    loom::model(|| {
        let model = Model::new();
        let other = model.clone();
        let thread = thread::spawn(move || {
            let taken = other.add_ref(1);
            if taken.is_ok() {
                // It lives as long as this reference.
                assert_eq!(other.runs.load(Ordering::Relaxed), 0);
                assert!(other.release(1).is_ok());
            }
            taken
        });
        assert!(model.release(0).is_ok());
        let taken = thread.join().unwrap();
        assert!(matches!(taken, Ok(()) | Err(Status::VERR_WRONG_ORDER)), "{taken:?}");
        model.check_dead();
    });
}

#[test]
fn loom_ends_of_two_sessions_and_a_release_destroy_once() {
    loom::model(|| {
        let model = Model::new();
        model.add_ref(0).unwrap();
        model.add_ref(1).unwrap();
        let threads = [0, 1].map(|session| {
            let model = model.clone();
            thread::spawn(move || model.end(session))
        });
        // Too late or in time: never another session's reference.
        let released = model.release(0);
        assert!(!matches!(released, Err(status) if status != Status::VERR_INVALID_PARAMETER));
        for thread in threads {
            thread.join().unwrap();
        }
        model.check_dead();
    });
}
