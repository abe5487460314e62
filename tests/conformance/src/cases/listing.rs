//! What a driver tells of the modules that are loaded, and to whom.

use std::thread::scope;

use rustix::thread::CapabilitySet;
use sup::Status;
use sup_abi::request::{
    HEADER_BYTES, ListModules, ListModulesIn, ListModulesOut, ModuleUse, Request, SemaphoreKind,
    SemaphoreOperation, padded, terminated,
};
use sup_modules::{HELLO, hello};
use sup_signature::ContentHash;
use zerocopy::FromBytes;

use crate::backend::{Backend, Feature};
use crate::case::{Stop, Verdict, cases, check, same};
use crate::client::Client;
use crate::probe::{OWN, PROBE, PROBE_HANDLER, Probe, op};
use crate::process::{child, without_capability};
use crate::threads::{PATIENCE, Sleeper};

cases! { Modules {
    modules_are_listed_by_name:
        "Each loaded module is told of once, with name, hash and signer, in the order of names (spec \
         6.4, our own).",
    uses_are_listed:
        "A module's references are told by session, and in all (spec 6.4, our own).",
    running_calls_are_listed: "Calls that run in a module are counted (spec 6.1, our own).",
    cannot_list_with_another_room:
        "The room for uses is exactly what the input says (spec 1.4, our own).",
    cannot_see_modules_of_others_without_the_right:
        "Where a module is and who uses it is told to the sessions that have loaded it and to its users \
         alone, without the right to bring code into ring 0 (spec 6.4, our own).",
}}

const OK: Status = Status::VINF_SUCCESS;

/// What a driver told of a module.
type Told = (ListModulesOut, Vec<ModuleUse>);

impl Client {
    /// What the driver tells of the module behind `after`, and `room` uses of it.
    #[track_caller]
    fn list_after(&self, after: &str, room: usize) -> Verdict<Result<Told, Status>> {
        let after = padded(after).ok_or_else(|| Stop::failed("the name is too long"))?;
        let input = ListModulesIn { after, use_room: room as u32, reserved: 0 };
        let bytes_out = ListModules::BYTES_OUT + room * size_of::<ModuleUse>();
        let packet = self.packet::<ListModules>(&input).with_bytes_out(bytes_out);
        let answer = self.exchange(&packet)?;
        if answer.status().is_failure() {
            return Ok(Err(answer.status()));
        }
        same!(answer.body.len(), bytes_out - HEADER_BYTES);
        let output = answer.output::<ListModules>().ok_or_else(|| Stop::failed("no output"))?;
        let tail = answer.body[size_of::<ListModulesOut>()..].chunks_exact(size_of::<ModuleUse>());
        let uses = tail.filter_map(|bytes| ModuleUse::read_from_bytes(bytes).ok());
        let (uses, rest): (Vec<_>, Vec<_>) = uses.partition(|one| one.references != 0);
        same!(uses.len(), room.min(output.use_count as usize), "uses that are told");
        let is_zero = |one: &ModuleUse| (one.process, one.user) == (0, 0);
        check!(rest.iter().all(is_zero), "something behind the last use");
        Ok(Ok((output, uses)))
    }

    /// What it tells of the module `name`.
    #[track_caller]
    fn listed(&self, name: &str) -> Verdict<Told> {
        let mut after = String::new();
        loop {
            let (output, uses) = self
                .list_after(&after, 8)?
                .map_err(|status| Stop::failed(format_args!("'{name}' is not listed: {status}")))?;
            terminated(&output.name).unwrap_or_default().clone_into(&mut after);
            if after == name {
                return Ok((output, uses));
            }
        }
    }
}

fn modules_are_listed_by_name(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    same!(client.list_after("", 0)?.err(), Some(Status::VERR_NOT_FOUND));
    let mut bases = Vec::new();
    for name in ["b", "Ä", "a", "ab", "B"] {
        bases.push((name, client.load(HELLO.image, name, hello::SERVICE_HANDLER)?));
    }
    // By their bytes.
    bases.sort_by_key(|(name, _)| *name);
    let mut after = "";
    for (name, load) in &bases {
        let told = client.list_after(after, 0)?;
        let (output, _) = told.map_err(|status| Stop::failed(format_args!("{after}: {status}")))?;
        same!(terminated(&output.name), Some(*name));
        same!(output.hash, ContentHash::of(HELLO.image).0);
        same!((output.trust, output.signer), (load.trust, load.signer.0));
        same!((output.base, output.image_bytes), (load.base, load.image_bytes));
        after = *name;
    }
    same!(client.list_after(after, 0)?.err(), Some(Status::VERR_NOT_FOUND));
    // A name need not be loaded to have a place in the order.
    let told = client.list_after("aa", 0)?.map(|(output, _)| output.name);
    same!(told.ok().as_ref().and_then(|name| terminated(name)), Some("ab"));
    Ok(())
}

fn uses_are_listed(backend: &dyn Backend) -> Verdict {
    let (first, second) = (Client::connect(backend)?, Client::connect(backend)?);
    let base = first.load(HELLO.image, HELLO.name, hello::SERVICE_HANDLER)?.base;
    for _ in 0..2 {
        second.load(HELLO.image, HELLO.name, hello::SERVICE_HANDLER)?;
    }
    second.load(PROBE, "probe", PROBE_HANDLER)?;
    let (output, uses) = first.listed(HELLO.name)?;
    same!((output.references, output.own_references, output.use_count), (3, 1, 2));
    same!((output.dependents, output.running), (0, 0));
    let user = rustix::process::getuid().as_raw();
    let of = |references| ModuleUse { process: std::process::id(), user, references };
    check!(uses == [of(1), of(2)] || uses == [of(2), of(1)], "{uses:?}");
    same!(second.listed(HELLO.name)?.0.own_references, 2);
    same!(first.listed("probe")?.0.own_references, 0);
    // Too little room cuts the list, and the count tells so.
    let cut = first.list_after("", 1)?.map(|(output, uses)| (output.use_count, uses.len()));
    same!(cut, Ok((2, 1)));
    same!(first.free_module(base)?, OK);
    let (output, uses) = first.listed(HELLO.name)?;
    same!((output.references, output.own_references), (2, 0));
    check!(uses == [of(2)], "{uses:?}");
    Ok(())
}

fn running_calls_are_listed(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    let probe = Probe::load(&client)?;
    let event = client.create(SemaphoreKind::Event)?;
    let running = || Ok::<_, Stop>(client.listed("probe")?.0.running);
    same!(running()?, 0);
    // SUPSemEventWaitNoResume, in milliseconds.
    let numbers = [OWN, 3, event.into(), PATIENCE.as_millis() as u64];
    scope(|scope| {
        let sleeper = Sleeper::start(scope, || probe.status(op::SEMAPHORE, &numbers))?;
        sleeper.wait_until_asleep()?;
        same!(running()?, 1);
        let signal = SemaphoreOperation::Signal;
        same!(client.operate(SemaphoreKind::Event, event, signal, 0)?, OK);
        same!(sleeper.join()??, OK);
        same!(running()?, 0);
        Verdict::Ok(())
    })
}

fn cannot_list_with_another_room(backend: &dyn Backend) -> Verdict {
    let client = Client::connect(backend)?;
    for (use_room, bytes) in [(0, 16), (1, 0), (1, 15), (1, 17), (2, 16), (u32::MAX, 16)] {
        let input = ListModulesIn { after: [0; _], use_room, reserved: 0 };
        let packet = client.packet::<ListModules>(&input);
        let packet = packet.with_bytes_out(ListModules::BYTES_OUT + bytes);
        client.refused(&packet, Status::VERR_INVALID_PARAMETER, "with room for other uses")?;
    }
    let input = ListModulesIn { after: [b'x'; _], use_room: 0, reserved: 0 };
    let packet = client.packet::<ListModules>(&input);
    client.refused(&packet, Status::VERR_INVALID_PARAMETER, "with a name that does not end")?;
    let input = ListModulesIn { after: [0; _], use_room: 0, reserved: 1 };
    let packet = client.packet::<ListModules>(&input);
    client.refused(&packet, Status::VERR_INVALID_PARAMETER, "with something reserved")
}

fn cannot_see_modules_of_others_without_the_right(backend: &dyn Backend) -> Verdict {
    if !rustix::process::geteuid().is_root() {
        return Err(Stop::Skipped("becoming another user takes root".to_owned()));
    }
    child(backend, "list-as-another")
}

/// What a child does for [`cannot_see_modules_of_others_without_the_right`], which is another user after
/// that.
pub(crate) fn list_as_another(backend: &dyn Backend) -> Verdict {
    const NOBODY: libc::uid_t = 65_534;
    let roots = Client::connect(backend)?;
    // The real user counts. The effective one stays, which may open the device and load modules.
    // SAFETY: the call takes three numbers and changes this process' users, in all of its threads.
    let result = unsafe { libc::setresuid(NOBODY, 0, 0) };
    same!(result, 0, "setresuid");
    let nobody = Client::connect(backend)?;
    let base = roots.load(HELLO.image, HELLO.name, hello::SERVICE_HANDLER)?.base;
    let look = |client: &Client| {
        let (output, uses) = client.listed(HELLO.name)?;
        let users: Vec<_> = uses.iter().map(|one| one.user).collect();
        Ok::<_, Stop>((output.references, output.base, users))
    };
    // With the right, all is told.
    same!(look(&nobody)?, (1, base, vec![0]));
    without_capability(CapabilitySet::SYS_MODULE, || {
        if !backend.can(Feature::Privilege) {
            same!(look(&nobody)?, (1, base, vec![0]), "ring 0 is memory of the process");
            return Ok(());
        }
        same!(look(&nobody)?, (1, sup::R0Ptr::NIL, Vec::new()));
        same!(look(&roots)?, (1, base, vec![0]), "what it has loaded itself it knows already");
        Ok(())
    })?;
    nobody.load(HELLO.image, HELLO.name, hello::SERVICE_HANDLER)?;
    without_capability(CapabilitySet::SYS_MODULE, || {
        let (references, address, users) = look(&nobody)?;
        same!((references, address), (2, base));
        check!(users.contains(&NOBODY), "{users:?}");
        same!(users.contains(&0), !backend.can(Feature::Privilege), "root's session");
        Ok(())
    })
}
