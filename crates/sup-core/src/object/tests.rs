//! The registry against a plain model: the same answers, and every destructor once.

extern crate std;

use super::*;
use crate::testing::TestDestructor;
use proptest::prelude::*;
use std::collections::HashMap;
use std::vec::Vec;

fn grown(registry: &mut Registry<TestDestructor>) {
    while let Some(need) = registry.need() {
        let room = Registry::<TestDestructor>::make(need).unwrap();
        assert!(registry.add(room).is_none());
    }
}

fn session(registry: &mut Registry<TestDestructor>) -> SessionSlot {
    grown(registry);
    registry.add_session().unwrap()
}

fn object(registry: &mut Registry<TestDestructor>, session: SessionSlot) -> ObjectHandle {
    grown(registry);
    registry
        .register(session, SUPDRVOBJTYPE::Vm, UserId::new(1_000), TestDestructor::at(0x5000))
        .unwrap()
}

fn died<D>(released: Result<Released<D>, Status>) -> Result<bool, Status> {
    released.map(|released| matches!(released, Released::Last(_)))
}

#[test]
fn last_reference_destroys_and_the_handle_is_dead() {
    let mut registry = Registry::new();
    let session = session(&mut registry);
    let object = object(&mut registry, session);
    registry.add_ref(object, session).unwrap();
    assert_eq!(died(registry.release(object, session)), Ok(false));
    assert_eq!(died(registry.release(object, session)), Ok(true));
    assert_eq!(died(registry.release(object, session)), Err(Status::VERR_INVALID_PARAMETER));
    assert_eq!(registry.add_ref(object, session), Err(Status::VERR_WRONG_ORDER));
    assert_eq!(registry.count(), 0);
}

#[test]
fn cannot_give_back_what_another_session_took() {
    let mut registry = Registry::new();
    let (owner, other) = (session(&mut registry), session(&mut registry));
    let object = object(&mut registry, owner);
    assert_eq!(died(registry.release(object, other)), Err(Status::VERR_INVALID_PARAMETER));
    grown(&mut registry);
    registry.add_ref(object, other).unwrap();
    assert_eq!(died(registry.release(object, owner)), Ok(false));
    assert_eq!(died(registry.release(object, owner)), Err(Status::VERR_INVALID_PARAMETER));
    assert_eq!(died(registry.release(object, other)), Ok(true));
}

#[test]
fn first_reference_without_room_is_try_again_and_a_further_one_never_fails() {
    let mut registry = Registry::new();
    let (owner, other) = (session(&mut registry), session(&mut registry));
    let objects: Vec<_> = (0..64).map(|_| object(&mut registry, owner)).collect();
    assert!(registry.need().is_some(), "the first segment is full");
    assert_eq!(registry.add_ref(objects[0], other), Err(Status::VERR_TRY_AGAIN));
    assert_eq!(registry.add_ref(objects[0], owner), Ok(()));
}

#[test]
fn access_is_for_the_creators_user_and_root() {
    let mut registry = Registry::new();
    let session = session(&mut registry);
    let object = object(&mut registry, session);
    assert_eq!(registry.verify_access(object, UserId::new(1_000)), Ok(()));
    assert_eq!(registry.verify_access(object, UserId::new(0)), Ok(()));
    assert_eq!(
        registry.verify_access(object, UserId::new(1_001)),
        Err(Status::VERR_PERMISSION_DENIED)
    );
    let unknown = ObjectHandle(R0Ptr::new(0x1234));
    assert_eq!(
        registry.verify_access(unknown, UserId::new(0)),
        Err(Status::VERR_INVALID_PARAMETER)
    );
}

#[test]
fn session_end_takes_newest_first() {
    let mut registry = Registry::new();
    let session = session(&mut registry);
    let objects: Vec<_> = (0..5).map(|_| object(&mut registry, session)).collect();
    let mut order = Vec::new();
    while let Some(released) = registry.take_next_of(session) {
        let Released::Last(destroyed) = released else { panic!("nobody else has a reference") };
        order.push(destroyed.handle);
    }
    assert!(order.iter().eq(objects.iter().rev()));
    assert_eq!(registry.count(), 0);
}

#[test]
fn destructor_of_an_unloaded_module_is_forgotten() {
    let mut registry = Registry::new();
    let session = session(&mut registry);
    object(&mut registry, session);
    assert_eq!(registry.destructors_in(R0Ptr::new(0x5000), 1, None).count, 1);
    assert_eq!(registry.destructors_in(R0Ptr::new(0x4000), 0x1000, Some(session)).count, 0);
    registry.forget_destructors_in(R0Ptr::new(0x4000), 0x2000);
    assert_eq!(registry.destructors_in(R0Ptr::new(0x5000), 1, None).count, 0);
}

#[derive(Debug, Clone)]
enum Operation {
    Register(usize),
    AddRef(usize, usize),
    Release(usize, usize),
    End(usize),
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let (session, object) = (0..3_usize, 0..12_usize);
    let operation = prop_oneof![
        2 => session.clone().prop_map(Operation::Register),
        3 => (session.clone(), object.clone()).prop_map(|(s, o)| Operation::AddRef(s, o)),
        4 => (session.clone(), object).prop_map(|(s, o)| Operation::Release(s, o)),
        1 => session.prop_map(Operation::End),
    ];
    prop::collection::vec(operation, 0..200)
}

proptest! {
    #[test]
    fn counts_like_the_model(operations in operations()) {
        let mut registry = Registry::new();
        let sessions: Vec<_> = (0..3).map(|_| session(&mut registry)).collect();
        let mut objects = Vec::new();
        // References of each session to each object.
        let mut model: HashMap<usize, [u64; 3]> = HashMap::new();
        for operation in operations {
            grown(&mut registry);
            match operation {
                Operation::Register(s) => {
                    let mut counts = [0; 3];
                    counts[s] = 1;
                    model.insert(objects.len(), counts);
                    objects.push(object(&mut registry, sessions[s]));
                }
                Operation::AddRef(s, o) if o < objects.len() => {
                    let expected = match model.get_mut(&o) {
                        Some(counts) => { counts[s] += 1; Ok(()) }
                        None => Err(Status::VERR_WRONG_ORDER),
                    };
                    prop_assert_eq!(registry.add_ref(objects[o], sessions[s]), expected);
                }
                Operation::Release(s, o) if o < objects.len() => {
                    let expected = match model.get_mut(&o) {
                        Some(counts) if counts[s] > 0 => {
                            counts[s] -= 1;
                            Ok(counts.iter().all(|count| *count == 0))
                        }
                        _ => Err(Status::VERR_INVALID_PARAMETER),
                    };
                    if expected == Ok(true) {
                        model.remove(&o);
                    }
                    prop_assert_eq!(died(registry.release(objects[o], sessions[s])), expected);
                }
                Operation::End(s) => {
                    while registry.take_next_of(sessions[s]).is_some() {}
                    model.values_mut().for_each(|counts| counts[s] = 0);
                    model.retain(|_, counts| counts.iter().any(|count| *count != 0));
                }
                Operation::AddRef(..) | Operation::Release(..) => {}
            }
            prop_assert_eq!(registry.count(), model.len());
            for (s, slot) in sessions.iter().enumerate() {
                let expected = model.values().filter(|counts| counts[s] > 0).count();
                prop_assert_eq!(registry.count_of(*slot), expected);
            }
        }
    }
}
