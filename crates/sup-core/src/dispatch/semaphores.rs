//! Requests on semaphores.
//!
//! Neighbours: `dispatch.rs` checks the header and the sizes, `semaphore/calls.rs` carries them out.

use sup_abi::Status;
use sup_abi::request::{
    Empty, SemaphoreCreate, SemaphoreCreateOut, SemaphoreKind, SemaphoreOp, SemaphoreOperation,
    SemaphoreQuery,
};
use sup_alloc::Arc;

use super::{MALFORMED, Packet, PacketError, ensure};
use crate::host::{Host, Interruption, Wait};
use crate::{Deadline, Driver, Session};

impl<H: Host> Driver<H> {
    pub(super) fn semaphore_op(
        &self,
        session: &Arc<Session<H>>,
        packet: &mut Packet<'_>,
    ) -> Result<(), PacketError> {
        let input = packet.input::<SemaphoreOp>()?;
        let kind = SemaphoreKind::try_from(input.kind).map_err(|_| MALFORMED)?;
        ensure(input.reserved == 0)?;
        let result = self.semaphore_operation(session, kind, input.handle, input);
        packet.answer_with::<SemaphoreOp>(result.unwrap_or_else(|status| status), Empty {});
        Ok(())
    }

    fn semaphore_operation(
        &self,
        session: &Session<H>,
        kind: SemaphoreKind,
        handle: u32,
        input: sup_abi::request::SemaphoreOpIn,
    ) -> Result<Status, Status> {
        use SemaphoreOperation as Operation;
        let now = || self.host().now();
        let deadline = match Operation::try_from(input.operation) {
            Ok(Operation::Signal) => {
                return self.semaphore_signal(session, kind, handle).map(|()| Status::VINF_SUCCESS);
            }
            Ok(Operation::Reset) => {
                return self.semaphore_reset(session, kind, handle).map(|()| Status::VINF_SUCCESS);
            }
            Ok(Operation::Wake) => {
                return self.semaphore_wake(session, kind, handle).map(|()| Status::VINF_SUCCESS);
            }
            Ok(Operation::Close) => return self.semaphore_close(session, kind, handle),
            // A value above 32 bits is for ever, like the largest of them.
            Ok(Operation::WaitMillis) => {
                Deadline::after_millis(now(), u32::try_from(input.timeout).unwrap_or(u32::MAX))
            }
            Ok(Operation::WaitDeadline) => Deadline::at_nanos(input.timeout),
            // The most usual wait needs no clock.
            Ok(Operation::WaitNanos) if input.timeout == u64::MAX => Deadline::Never,
            Ok(Operation::WaitNanos) => Deadline::after_nanos(now(), input.timeout),
            Err(_) => return Err(Status::VERR_INVALID_FUNCTION),
        };
        let wait = Wait { deadline, interruption: Interruption::Allowed };
        self.semaphore_wait(session, kind, handle, wait).map(|()| Status::VINF_SUCCESS)
    }

    #[inline(never)]
    pub(super) fn semaphore_query(
        &self,
        session: &Arc<Session<H>>,
        packet: &mut Packet<'_>,
    ) -> Result<(), PacketError> {
        let input = packet.input::<SemaphoreCreate>()?;
        let kind = SemaphoreKind::try_from(input.kind).map_err(|_| MALFORMED)?;
        ensure(input.handle == 0 && input.reserved == 0 && input.reserved2 == 0)?;
        let value = match SemaphoreQuery::try_from(input.operation) {
            Ok(SemaphoreQuery::Create) => self.semaphore_create(session, kind),
            Ok(SemaphoreQuery::Resolution) => Ok(self.host().wait_resolution_ns()),
            Err(_) => Err(Status::VERR_INVALID_FUNCTION),
        };
        let output = value.map(|value| SemaphoreCreateOut { value, reserved: 0 });
        packet.answer::<SemaphoreCreate>(output);
        Ok(())
    }
}
