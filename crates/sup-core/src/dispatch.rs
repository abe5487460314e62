//! The dispatcher: one packet in, one packet out.
//!
//! Order of the checks: the header (magic of the flags, sizes, cookies), the function number, the
//! sizes of that function, its fields. A failure so far is a [`PacketError`]: nothing was done, and
//! nothing of the packet may be copied back. From then on the request's own status is in the header.
//!
//! The packet is the driver's private copy of what the client sent: a backend copies it in once,
//! before the call, and out once, after it; nothing here reads the client's memory. The output is
//! zeroed before it is filled, so that nothing but answers travels back. A failed request answers
//! with its header alone, except where a request explains itself ([`LoadModule`]) or another answers for it
//! (`TracerIoCtl`).
//!
//! Invariant: `packet` is at least as long as both sizes in its header, see [`Driver::dispatch`].

mod logger;
mod memory;
mod modules;
mod semaphores;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;
mod tracer;
mod vmm;

use sup_abi::Status;
use sup_abi::request::{
    CONNECT_MAGIC, Connect, ConnectOut, ContFree, Empty, Function, GetPagingMode, GipMap,
    GipMapOut, GipUnmap, HEADER_BYTES, HEADER_FLAGS, HEADER_FLAGS_MASK, Header, INITIAL_COOKIE,
    LowFree, MEMORY_SYNTHETIC_PHYS, PROTOCOL_VERSION, PageFree, PagingModeOut, Request,
    SemaphoreWords, SemaphoreWordsOut, SessionId, Statistics, StatisticsOut, UnlockPages, VtCaps,
    VtCapsOut, is_compatible,
};
use sup_alloc::Arc;
use zerocopy::{FromBytes, IntoBytes};

use crate::host::{AddressSource, GipMemory, Host};
use crate::memory::Service;
use crate::tracer::own::{Probe, signed};
use crate::{Driver, Session};

/// The packet itself was wrong: nothing was done, and nothing is to be copied back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketError(pub Status);

impl From<Status> for PacketError {
    fn from(status: Status) -> Self {
        Self(status)
    }
}

/// The status of a packet that breaks a rule.
const MALFORMED: PacketError = PacketError(Status::VERR_INVALID_PARAMETER);

/// `VERR_INVALID_PARAMETER` as the packet's error unless `condition` holds.
fn ensure(condition: bool) -> Result<(), PacketError> {
    if condition { Ok(()) } else { Err(MALFORMED) }
}

/// A packet whose header was checked. Until it is answered, the header is as the client sent it.
struct Packet<'a> {
    header: &'a mut Header,
    /// What follows the header.
    body: &'a mut [u8],
}

impl Packet<'_> {
    /// The input of `R`, if both sizes are exactly its own.
    fn input<R: Request>(&self) -> Result<R::In, PacketError> {
        ensure(self.bytes_in() == R::BYTES_IN && self.bytes_out() == R::BYTES_OUT)?;
        self.fixed_input::<R>()
    }

    /// The input of `R`, whose tail the caller checks.
    fn fixed_input<R: Request>(&self) -> Result<R::In, PacketError> {
        let (input, _) = R::In::read_from_prefix(self.body).map_err(|_| MALFORMED)?;
        Ok(input)
    }

    /// The input of `R` where it lies, and its tail. For requests that are called often: what the client
    /// wrote a moment ago, a copy would read in other pieces, and processors wait for those to reach the
    /// cache.
    fn input_and_tail<R: Request>(&mut self) -> Result<(&R::In, &mut [u8]), PacketError> {
        let end = self.bytes_in().saturating_sub(HEADER_BYTES);
        let sent = self.body.get_mut(..end).ok_or(MALFORMED)?;
        let (fixed, tail) = sent.split_at_mut_checked(size_of::<R::In>()).ok_or(MALFORMED)?;
        Ok((R::In::ref_from_bytes(fixed).map_err(|_| MALFORMED)?, tail))
    }

    /// The room behind the fixed output of `R`.
    fn output_tail<R: Request>(&mut self) -> &mut [u8] {
        let end = self.bytes_out().saturating_sub(HEADER_BYTES);
        self.body.get_mut(size_of::<R::Out>()..end).unwrap_or_default()
    }

    /// What the header says of the input, header included.
    fn bytes_in(&self) -> usize {
        self.header.bytes_in as usize
    }

    /// What it says of the output.
    fn bytes_out(&self) -> usize {
        self.header.bytes_out as usize
    }

    /// Answers with an output, or with the header alone if there is none.
    fn answer<R: Request>(&mut self, result: Result<R::Out, Status>) {
        match result {
            Ok(output) => self.answer_with::<R>(Status::VINF_SUCCESS, output),
            Err(status) => {
                self.header.bytes_out = HEADER_BYTES as u32;
                self.header.rc = status.raw();
            }
        }
    }

    /// Answers with a status and an output; a tail behind it stays as it is.
    fn answer_with<R: Request>(&mut self, status: Status, output: R::Out) {
        // It has room: the header's size of the output was checked, and is the answer's.
        let _ = output.write_to_prefix(self.body);
        self.header.rc = status.raw();
    }

    /// Zeroes everything behind the header, before an output is built.
    fn clear(&mut self) {
        self.body.fill(0);
    }
}

impl<H: Host> Driver<H> {
    /// Carries out the request in `packet` for `session`.
    ///
    /// `packet` is the driver's own copy: the first `bytes_in` bytes are what the client sent, the rest
    /// up to the end is zero. Afterwards the first `bytes_out` bytes of it, as its header says then, are
    /// for the client. It starts at a multiple of 8 bytes, so that service requests are aligned.
    ///
    /// # Errors
    /// [`PacketError`] if the packet is malformed, or its header not aligned: nothing was done.
    ///
    /// # Context
    /// Sleeps if the request does. Runs code of modules.
    pub fn dispatch(
        &self,
        session: &Arc<Session<H>>,
        function: u32,
        packet: &mut [u8],
    ) -> Result<(), PacketError> {
        // Where it lies: see `Packet::input_and_tail`.
        let possible = HEADER_BYTES..=packet.len();
        let (header, body) = Header::mut_from_prefix(packet).map_err(|_| MALFORMED)?;
        ensure(header.flags & HEADER_FLAGS_MASK == HEADER_FLAGS)?;
        ensure(possible.contains(&(header.bytes_in as usize)))?;
        ensure(possible.contains(&(header.bytes_out as usize)))?;
        if function == Function::Connect as u32 {
            ensure(header.cookie == INITIAL_COOKIE)?;
        } else {
            ensure(header.cookie == self.cookie() && header.session_cookie == session.cookie())?;
        }
        let function =
            Function::try_from(function).map_err(|_| PacketError(Status::VERR_GENERAL_FAILURE))?;
        // What tells of hits is not told of.
        if function == Function::TracerFire {
            return self.run(session, function, &mut Packet { header, body });
        }
        let number = u64::from(function as u32);
        self.probe(Probe::RequestBegin, || [session.handle().0.get(), number]);
        let result = self.run(session, function, &mut Packet { header, body });
        self.probe(Probe::RequestEnd, || {
            let status =
                result.as_ref().map_or_else(|PacketError(status)| status.raw(), |()| header.rc);
            [session.handle().0.get(), number, signed(status)]
        });
        result
    }

    fn run(
        &self,
        session: &Arc<Session<H>>,
        function: Function,
        packet: &mut Packet<'_>,
    ) -> Result<(), PacketError> {
        match function {
            Function::Connect => self.connect(session, packet),
            Function::LoadModule => self.load(session, packet),
            Function::ModulePolicy => self.module_policy(packet),
            Function::ListModules => self.list_modules(session, packet),
            Function::FreeModule => self.free_image(session, packet),
            Function::GetSymbol => self.get_symbol(session, packet),
            Function::CallVmm => self.call_vmm(session, packet),
            Function::LowAlloc => self.low_alloc(session, packet),
            Function::LowFree => self.free::<LowFree>(session, packet, Service::Low),
            Function::PageAllocEx => self.page_alloc(session, packet),
            Function::PageFree => self.free::<PageFree>(session, packet, Service::Page),
            Function::PageMapKernel => self.page_map_kernel(session, packet),
            Function::PageProtect => self.page_protect(session, packet),
            Function::LockPages => self.lock_pages(session, packet),
            Function::UnlockPages => self.free::<UnlockPages>(session, packet, Service::Lock),
            Function::ContAlloc => self.cont_alloc(session, packet),
            Function::ContFree => self.free::<ContFree>(session, packet, Service::Cont),
            Function::GetPagingMode => {
                packet.input::<GetPagingMode>()?;
                let mode = crate::platform::paging_mode(self.host().control_registers());
                packet.answer::<GetPagingMode>(Ok(PagingModeOut { mode: mode.into() }));
                Ok(())
            }
            Function::SetVm => self.set_vm_request(session, packet),
            Function::GipMap => {
                packet.input::<GipMap>()?;
                let result = self.map_gip(session).map(|r3| self.gip_map_out(r3));
                packet.answer::<GipMap>(result);
                Ok(())
            }
            Function::GipUnmap => {
                packet.input::<GipUnmap>()?;
                self.unmap_gip(session);
                packet.answer::<GipUnmap>(Ok(Empty {}));
                Ok(())
            }
            Function::CallService => self.call_service(session, packet),
            Function::SemaphoreOp => self.semaphore_op(session, packet),
            Function::SemaphoreCreate => self.semaphore_query(session, packet),
            Function::SemaphoreWords => {
                let input = packet.input::<SemaphoreWords>()?;
                ensure(input.reserved == 0)?;
                let result = self.map_words(session, input.page);
                packet.answer::<SemaphoreWords>(result.map(|r3| SemaphoreWordsOut { r3 }));
                Ok(())
            }
            Function::VtCaps => {
                packet.input::<VtCaps>()?;
                let caps = crate::platform::vt_caps(self.host());
                packet.answer::<VtCaps>(caps.map(|caps| VtCapsOut { caps }));
                Ok(())
            }
            Function::CallVmmBig => self.call_vmm_big(session, packet),
            Function::CallVmmFast => self.call_vmm_fast(session, packet),
            Function::LoggerSettings => self.logger_settings(packet),
            Function::LoggerState => self.tell_logger_state(packet),
            Function::TracerOpen => self.open_tracer(session, packet),
            Function::TracerClose => self.close_tracer(session, packet),
            Function::TracerIoCtl => self.command_tracer(session, packet),
            Function::TracerRegisterUserModule => self.register_user_module(session, packet),
            Function::TracerDeregisterUserModule => self.deregister_user_module(session, packet),
            Function::TracerFire => self.fire(session, packet),
            Function::Statistics => {
                packet.input::<Statistics>()?;
                let (driver, session) = (self.counts(), self.session_counts(session));
                packet.answer::<Statistics>(Ok(StatisticsOut { driver, session }));
                Ok(())
            }
        }
    }

    #[inline(never)]
    fn connect(
        &self,
        session: &Arc<Session<H>>,
        packet: &mut Packet<'_>,
    ) -> Result<(), PacketError> {
        let input = packet.input::<Connect>()?;
        if input.magic != CONNECT_MAGIC {
            packet.answer::<Connect>(Err(Status::VERR_INVALID_MAGIC));
        } else if is_compatible(input.minimum_version, PROTOCOL_VERSION) {
            let output = ConnectOut {
                cookie: self.cookie(),
                session_cookie: session.cookie(),
                session_version: PROTOCOL_VERSION,
                driver_version: PROTOCOL_VERSION,
                export_count: self.host().export_count(),
                reserved: 0,
                session: session.id(),
            };
            packet.answer::<Connect>(Ok(output));
        } else {
            let output = ConnectOut {
                cookie: u32::MAX,
                session_cookie: u32::MAX,
                session_version: u32::MAX,
                driver_version: PROTOCOL_VERSION,
                export_count: 0,
                reserved: 0,
                session: SessionId(0),
            };
            packet.answer_with::<Connect>(Status::VERR_VERSION_MISMATCH, output);
        }
        Ok(())
    }

    fn gip_map_out(&self, r3: sup_abi::R3Ptr) -> GipMapOut {
        let memory = self.gip().memory();
        GipMapOut {
            phys: memory.physical_address(),
            r3,
            flags: source_flag(memory.address_source()),
            reserved: 0,
        }
    }
}

fn source_flag(source: AddressSource) -> u32 {
    match source {
        AddressSource::Machine => 0,
        AddressSource::Synthetic => MEMORY_SYNTHETIC_PHYS,
    }
}
