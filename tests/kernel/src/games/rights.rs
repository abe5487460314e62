//! Whose rights count: those of who opens, and for code in ring 0 those of who asks.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{Gid, Uid};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};
use sup::backend::{DEVICE, Kind};
use sup::{Session, Status};
use sup_modules::{HELLO, hello};
use sup_test_key::signed;

use crate::check::{Stop, Verdict, check, same, tests};
use crate::device::{Device, Service};
use crate::observer::Observer;

tests! { "rights":
    the_device_is_for_root_alone,
    cannot_open_as_another_user,
    a_session_survives_a_change_of_user,
    cannot_load_a_module_without_the_capability,
    the_limit_on_locked_memory_holds,
}

/// A user without any right.
fn become_nobody() -> Verdict {
    const NOBODY: u32 = 65_534;
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    set_thread_res_gid(group, group, group)?;
    set_thread_res_uid(user, user, user)?;
    Ok(())
}

/// Gives up a capability for good.
pub(super) fn give_up(capability: CapabilitySet) -> Verdict {
    let mut sets = capabilities(None)?;
    check!(
        sets.effective.contains(capability),
        "this process never had {capability:?}: run the tests as root"
    );
    sets.effective.remove(capability);
    sets.permitted.remove(capability);
    Ok(set_capabilities(None, sets)?)
}

fn the_device_is_for_root_alone(_observer: &Observer) -> Verdict {
    let device = std::fs::metadata(DEVICE)?;
    same!((device.mode() & 0o7777, device.uid(), device.gid()), (0o600, 0, 0));
    Ok(())
}

fn cannot_open_as_another_user(_observer: &Observer) -> Verdict {
    become_nobody()?;
    let refused = File::options().read(true).write(true).open(DEVICE).map(drop);
    same!(refused.map_err(|error| error.raw_os_error()), Err(Some(libc::EACCES)));
    match Session::open_in(Kind::Kernel) {
        Ok(_) => Err(Stop::failed("the library opened it")),
        Err(error) => {
            same!(error.status(), Status::VERR_VM_DRIVER_NOT_ACCESSIBLE);
            Ok(())
        }
    }
}

fn a_session_survives_a_change_of_user(_observer: &Observer) -> Verdict {
    let device = Device::open()?;
    let event = device.event()?;
    become_nobody()?;
    device.signal(event)?;
    same!(device.wait(event, 0)?, Status::VINF_SUCCESS);
    check!(device.clock_page()?.is_clock_page()?);
    let memory = device.allocate(Service::Low, 1)?;
    check!(memory.is_all(0)?);
    device.free(Service::Low, &memory)
}

fn cannot_load_a_module_without_the_capability(_observer: &Observer) -> Verdict {
    let session = Session::open_in(Kind::Kernel)?;
    let load = || {
        session.load_service_image(
            &signed(HELLO.image, HELLO.name),
            HELLO.name,
            hello::SERVICE_HANDLER,
        )
    };
    // It is the missing right that the refusal below is about.
    let module = load()?;
    same!(module.call(hello::OP_NOP, 0)?, Status::VINF_SUCCESS);
    module.free()?;
    give_up(CapabilitySet::SYS_MODULE)?;
    let error = match load() {
        Ok(_) => return Err(Stop::failed("the module is loaded")),
        Err(error) => error,
    };
    same!(error.status(), Status::VERR_PERMISSION_DENIED);
    check!(error.detail().contains("CAP_SYS_MODULE"), "no CAP_SYS_MODULE in: {error}");
    same!(session.statistics()?.session.image_references, 0);
    Ok(())
}

/// KiB that count against the limit on locked memory.
pub(super) fn locked_kib() -> Verdict<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmLck:"));
    let count = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse().ok());
    count.ok_or_else(|| Stop::failed("/proc/self/status has no VmLck in kB"))
}

fn the_limit_on_locked_memory_holds(_observer: &Observer) -> Verdict {
    const LIMIT_KIB: u64 = 64;
    const FITS: u32 = 8;
    const IS_TOO_MUCH: u32 = 17;
    let device = Device::open()?;
    let limit = Some(LIMIT_KIB << 10);
    setrlimit(Resource::Memlock, Rlimit { current: limit, maximum: limit })?;
    give_up(CapabilitySet::IPC_LOCK)?;
    let before = locked_kib()?;
    for (service, status) in [
        (Service::Low, Status::VERR_NO_LOW_MEMORY),
        (Service::Contiguous, Status::VERR_NO_CONT_MEMORY),
        (Service::Anywhere, Status::VERR_NO_PHYS_MEMORY),
    ] {
        same!(
            device.try_allocate(service, IS_TOO_MUCH)?,
            Err(status),
            "{service:?} over the limit"
        );
        same!(locked_kib()?, before, "{service:?}: VmLck after the refusal");
        let memory = device.allocate(service, FITS)?;
        same!(locked_kib()?, before + u64::from(FITS) * 4, "{service:?}: VmLck of {FITS} pages");
        same!(device.try_allocate(service, IS_TOO_MUCH - FITS)?, Err(status), "the rest and one");
        device.free(service, &memory)?;
        same!(locked_kib()?, before, "{service:?}: VmLck after the free");
    }
    let memory = device.allocate(Service::Low, FITS)?;
    check!(memory.is_all(0)?);
    drop(device);
    same!(locked_kib()?, before, "VmLck after the session");
    Ok(())
}
