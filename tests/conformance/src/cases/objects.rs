//! Ring 0's reference-counted objects, through the probe: `SUPR0Obj*`.

use sup::Status;

use crate::backend::Backend;
use crate::case::{Stop, Verdict, cases, check, same};
use crate::client::Client;
use crate::probe::{Board, OWN, Probe, op};
use crate::process::child;

cases! { Objects {
    object_life:
        "An object lives as long as it is referenced, and its destructor runs once at the last \
         release (spec 2.6).",
    every_type_can_be_registered: "Types 1 to 6 are objects, others are not registered (spec 2.6).",
    cannot_register_without_destructor: "An object needs a destructor (spec 2.6).",
    sessions_count_their_own_references:
        "The references of two sessions are independent (spec 2.6).",
    cannot_release_more_than_referenced:
        "A session gives back what it took, and no other session's reference (spec 2.6).",
    cannot_use_dead_object:
        "A dead object is VERR_WRONG_ORDER to reference, VERR_INVALID_PARAMETER to release or \
         verify (spec 2.6).",
    dead_handles_stay_dead: "The handle of a dead object never names another one (spec 2.6).",
    cannot_use_what_was_never_an_object:
        "A pointer that cannot be one is VERR_INVALID_POINTER, a handle that was never given \
         VERR_INVALID_PARAMETER (spec 2.6).",
    reference_without_blocking_needs_no_memory:
        "AddRefEx without blocking succeeds for a session that references the object (spec 2.6).",
    access_is_the_creators:
        "The user who created an object may access it, through any session (spec 2.6).",
    cannot_access_as_another_user:
        "Another user than the creator, root aside, is VERR_PERMISSION_DENIED (spec 2.6).",
    destructor_cannot_revive_the_object: "Inside of its destructor an object is dead (spec 2.6).",
    destructors_run_newest_first:
        "A session that is closed gives its references back in the reverse order of the first \
         ones (spec 2.6).",
    objects_outlive_their_creators_session:
        "An object that another session references lives on when its creator's session is closed \
         (spec 2.6).",
    thousands_of_objects_are_kept_apart:
        "Three thousand objects are counted, used and destroyed one by one (spec 2.6).",
}}

const OK: Status = Status::VINF_SUCCESS;
const DESTROYED: Status = Status::VINF_OBJECT_DESTROYED;
const INVALID: Status = Status::VERR_INVALID_PARAMETER;

fn object_life(backend: &dyn Backend) -> Verdict {
    let board = Board::new(backend)?;
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    board.give_to(&probe)?;
    let object = probe.register(0x51)?;
    same!(client.statistics()?.session.objects, 1);
    same!(probe.status(op::ADD_REF, &[OWN, object])?, OK);
    same!(probe.status(op::ADD_REF_EX, &[OWN, object, 0])?, OK);
    for _ in 0..2 {
        same!(probe.status(op::RELEASE, &[OWN, object])?, OK);
        same!(board.notes(), []);
    }
    same!(probe.status(op::RELEASE, &[OWN, object])?, DESTROYED);
    same!(board.notes(), [0x51]);
    same!(client.statistics()?.session.objects, 0);
    Ok(())
}

fn every_type_can_be_registered(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    for kind in 1..=6 {
        same!(probe.status(op::REGISTER, &[OWN, kind])?, OK, "type {kind}");
    }
    for kind in [0, 7, 8, 0x7ff_ffff, 0xffff_ffff] {
        let (status, numbers) = probe.ask(op::REGISTER, &[OWN, kind])?;
        same!((status, numbers[7]), (Status::VERR_GENERAL_FAILURE, 0), "type {kind}");
    }
    same!(client.statistics()?.session.objects, 6);
    Ok(())
}

fn cannot_register_without_destructor(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    same!(probe.status(op::REGISTER, &[OWN, 1, 0, 1])?, Status::VERR_GENERAL_FAILURE);
    same!(client.statistics()?.driver.objects, 0);
    Ok(())
}

fn sessions_count_their_own_references(backend: &dyn Backend) -> Verdict {
    let (first, second) = (Client::connect(backend)?, Client::connect(backend)?);
    let (owner, guest) = (Probe::load(&first)?, Probe::load(&second)?);
    let object = owner.register(1)?;
    same!(guest.status(op::ADD_REF, &[OWN, object])?, OK);
    same!(guest.status(op::ADD_REF, &[OWN, object])?, OK);
    same!(second.statistics()?.session.objects, 1);
    same!(second.statistics()?.driver.objects, 1);
    same!(owner.status(op::RELEASE, &[OWN, object])?, OK, "the guest still has it");
    same!(first.statistics()?.session.objects, 0);
    same!(guest.status(op::RELEASE, &[OWN, object])?, OK);
    same!(guest.status(op::RELEASE, &[OWN, object])?, DESTROYED);
    same!(second.statistics()?.driver.objects, 0);
    Ok(())
}

fn cannot_release_more_than_referenced(backend: &dyn Backend) -> Verdict {
    let (first, second) = (Client::connect(backend)?, Client::connect(backend)?);
    let (owner, guest) = (Probe::load(&first)?, Probe::load(&second)?);
    let object = owner.register(1)?;
    same!(guest.status(op::RELEASE, &[OWN, object])?, INVALID, "never referenced");
    same!(guest.status(op::ADD_REF, &[OWN, object])?, OK);
    same!(guest.status(op::RELEASE, &[OWN, object])?, OK);
    same!(guest.status(op::RELEASE, &[OWN, object])?, INVALID, "given back already");
    same!(owner.status(op::RELEASE, &[OWN, object])?, DESTROYED);
    same!(owner.status(op::RELEASE, &[OWN, object])?, INVALID);
    Ok(())
}

fn cannot_use_dead_object(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let object = probe.register(1)?;
    same!(probe.status(op::RELEASE, &[OWN, object])?, DESTROYED);
    same!(probe.status(op::ADD_REF, &[OWN, object])?, Status::VERR_WRONG_ORDER);
    same!(probe.status(op::ADD_REF_EX, &[OWN, object, 1])?, Status::VERR_WRONG_ORDER);
    same!(probe.status(op::RELEASE, &[OWN, object])?, INVALID);
    same!(probe.status(op::VERIFY, &[OWN, object])?, INVALID);
    Ok(())
}

fn dead_handles_stay_dead(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let dead = probe.register(1)?;
    same!(probe.status(op::RELEASE, &[OWN, dead])?, DESTROYED);
    for _ in 0..100 {
        let object = probe.register(1)?;
        check!(object != dead, "the handle names another object");
        same!(probe.status(op::ADD_REF, &[OWN, dead])?, Status::VERR_WRONG_ORDER);
        same!(probe.status(op::RELEASE, &[OWN, dead])?, INVALID);
        same!(probe.status(op::RELEASE, &[OWN, object])?, DESTROYED);
    }
    Ok(())
}

fn cannot_use_what_was_never_an_object(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let object = probe.register(1)?;
    let session = probe.ask(op::FACTS, &[])?.1[2];
    for pointer in [0, 1, 0xfff, 0x0100_0000_0000_0000, u64::MAX] {
        let status = probe.status(op::ADD_REF, &[OWN, pointer])?;
        same!(status, Status::VERR_INVALID_POINTER, "{pointer:#x}");
        same!(probe.status(op::RELEASE, &[OWN, pointer])?, INVALID, "{pointer:#x}");
        same!(probe.status(op::VERIFY, &[OWN, pointer])?, INVALID, "{pointer:#x}");
    }
    for handle in [0x1000, object + 1, object ^ 1 << 40, session, 0x7fff_ffff_f000] {
        for operation in [op::ADD_REF, op::ADD_REF_EX, op::RELEASE, op::VERIFY] {
            same!(probe.status(operation, &[OWN, handle])?, INVALID, "{handle:#x}");
        }
    }
    same!(client.statistics()?.session.objects, 1);
    Ok(())
}

fn reference_without_blocking_needs_no_memory(backend: &dyn Backend) -> Verdict {
    let (first, second) = (Client::connect(backend)?, Client::connect(backend)?);
    let (owner, guest) = (Probe::load(&first)?, Probe::load(&second)?);
    let object = owner.register(1)?;
    for _ in 0..10 {
        same!(owner.status(op::ADD_REF_EX, &[OWN, object, 1])?, OK);
    }
    // A session that has none lacks the record for it one day. Each object takes two records, or one.
    for _ in 0..5000 {
        let object = owner.register(1)?;
        let status = guest.status(op::ADD_REF_EX, &[OWN, object, 1])?;
        if status == Status::VERR_TRY_AGAIN {
            same!(guest.status(op::ADD_REF, &[OWN, object])?, OK, "with blocking");
            same!(guest.status(op::ADD_REF_EX, &[OWN, object, 1])?, OK);
            return Ok(());
        }
        same!(status, OK);
    }
    Err(Stop::failed("VERR_TRY_AGAIN never came"))
}

fn access_is_the_creators(backend: &dyn Backend) -> Verdict {
    let (first, second) = (Client::connect(backend)?, Client::connect(backend)?);
    let (owner, guest) = (Probe::load(&first)?, Probe::load(&second)?);
    let object = owner.register(1)?;
    same!(owner.status(op::VERIFY, &[OWN, object])?, OK);
    same!(guest.status(op::VERIFY, &[OWN, object])?, OK, "one user, two sessions");
    same!(owner.status(op::RELEASE, &[OWN, object])?, DESTROYED, "no reference was taken");
    Ok(())
}

fn cannot_access_as_another_user(backend: &dyn Backend) -> Verdict {
    if !rustix::process::getuid().is_root() {
        return Err(Stop::Skipped("only root can become another user".to_owned()));
    }
    child(backend, "verify-as-another")
}

/// What a child does for [`cannot_access_as_another_user`], which it is not after that.
pub(crate) fn verify_as_another(backend: &dyn Backend) -> Verdict {
    const NOBODY: libc::uid_t = 65_534;
    let roots = Client::connect(backend)?;
    // The real user counts. The effective one stays, which may open the device and load modules.
    // SAFETY: the call takes three numbers and changes this process' users, in all of its threads.
    let result = unsafe { libc::setresuid(NOBODY, 0, 0) };
    same!(result, 0, "setresuid");
    let (first, second) = (Client::connect(backend)?, Client::connect(backend)?);
    let root = Probe::load(&roots)?;
    let (nobody, other) = (Probe::load(&first)?, Probe::load(&second)?);
    let (of_root, of_nobody) = (root.register(1)?, nobody.register(2)?);
    same!(nobody.status(op::VERIFY, &[OWN, of_root])?, Status::VERR_PERMISSION_DENIED);
    same!(nobody.status(op::VERIFY, &[OWN, of_nobody])?, OK);
    same!(other.status(op::VERIFY, &[OWN, of_nobody])?, OK);
    same!(root.status(op::VERIFY, &[OWN, of_nobody])?, OK, "root may");
    Ok(())
}

fn destructor_cannot_revive_the_object(backend: &dyn Backend) -> Verdict {
    let board = Board::new(backend)?;
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    board.give_to(&probe)?;
    let (status, numbers) = probe.ask(op::REGISTER, &[OWN, 1, 0x52, 2])?;
    same!(status, OK);
    same!(probe.status(op::RELEASE, &[OWN, numbers[7]])?, DESTROYED);
    let unsigned = |status: Status| u64::from(status.raw().cast_unsigned());
    same!(board.notes(), [0x52, unsigned(Status::VERR_WRONG_ORDER), unsigned(INVALID)]);
    Ok(())
}

fn destructors_run_newest_first(backend: &dyn Backend) -> Verdict {
    let board = Board::new(backend)?;
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    board.give_to(&probe)?;
    let objects: Verdict<Vec<_>> = (1..=5).map(|number| probe.register(number)).collect();
    let objects = objects?;
    // Neither a second reference nor a gap changes the order.
    same!(probe.status(op::ADD_REF, &[OWN, objects[0]])?, OK);
    same!(probe.status(op::RELEASE, &[OWN, objects[2]])?, DESTROYED);
    drop(client);
    same!(board.notes(), [3, 5, 4, 2, 1, Board::TERM]);
    Ok(())
}

fn objects_outlive_their_creators_session(backend: &dyn Backend) -> Verdict {
    let board = Board::new(backend)?;
    let (first, second) = (Client::connect(backend)?, Client::connect(backend)?);
    let (owner, guest) = (Probe::load(&first)?, Probe::load(&second)?);
    board.give_to(&owner)?;
    let object = owner.register(0x53)?;
    same!(guest.status(op::ADD_REF, &[OWN, object])?, OK);
    drop(first);
    same!(board.notes(), []);
    same!(guest.status(op::VERIFY, &[OWN, object])?, OK);
    same!(guest.status(op::RELEASE, &[OWN, object])?, DESTROYED);
    same!(board.notes(), [0x53]);
    Ok(())
}

fn thousands_of_objects_are_kept_apart(backend: &dyn Backend) -> Verdict {
    const COUNT: u64 = 3000;
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let objects: Verdict<Vec<_>> = (0..COUNT).map(|number| probe.register(number)).collect();
    let mut objects = objects?;
    same!(client.statistics()?.session.objects, COUNT);
    for (index, object) in objects.iter().enumerate().filter(|(index, _)| index % 2 == 0) {
        same!(probe.status(op::RELEASE, &[OWN, *object])?, DESTROYED, "object {index}");
    }
    same!(client.statistics()?.session.objects, COUNT / 2);
    objects.sort_unstable();
    objects.dedup();
    same!(objects.len() as u64, COUNT, "different handles");
    drop(client);
    same!(Client::connect(backend)?.totals()?, [1, 0, 0, 0, 0, 0]);
    Ok(())
}
