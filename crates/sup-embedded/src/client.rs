//! [`Client`]: a session with the driver in this process.
//!
//! The driver starts with the first client and stops with the last; all clients of a process share it,
//! as all processes of a machine share the kernel's. A request is a direct call of the dispatcher with
//! the caller's buffer: a `&mut` slice cannot be changed by anybody else meanwhile, so it is as private
//! as a copy.
//!
//! Lock order: `DRIVER` is the outermost lock, held while the driver starts and while clients are
//! counted, never across a request.

use parking_lot::{Mutex, RwLock};
use sup_abi::Status;
use sup_alloc::Arc;
use sup_core::{Driver, PacketError, Session};
use sup_ring0::Ring0;
use sup_ring0::absolute::Segments;

use crate::calls::ThreadCalls;
use crate::words::Words;
use crate::{EmbeddedHost, cpu};

/// The running driver, for ring-0 code; `None` while there is no client.
static DRIVER: RwLock<Option<Arc<Driver<EmbeddedHost>>>> = RwLock::new(None);
/// Number of clients; guards starting and stopping.
static CLIENTS: Mutex<usize> = Mutex::new(0);

impl Ring0 for EmbeddedHost {
    type Calls = ThreadCalls;

    fn driver() -> Option<Arc<Driver<Self>>> {
        DRIVER.read().clone()
    }

    fn kernel_client() {}

    fn segments(&self) -> Segments {
        Segments::OF_LINUX
    }

    /// A process has to ask for addresses beyond 47 bits, and nobody here does.
    fn address_bits() -> u32 {
        48
    }
}

/// A session with the driver in this process. Dropping it closes the session.
#[derive(Debug)]
pub struct Client {
    driver: Arc<Driver<EmbeddedHost>>,
    session: Arc<Session<EmbeddedHost>>,
}

impl Client {
    /// Opens a session, and starts the driver if it is the first.
    ///
    /// # Errors
    /// `VERR_NO_MEMORY`, `VERR_TOO_MANY_CPUS`, `VERR_GENERAL_FAILURE` if the system has no random
    /// numbers.
    pub fn open() -> Result<Self, Status> {
        let mut clients = CLIENTS.lock();
        let running = DRIVER.read().clone();
        let driver = match running {
            Some(driver) => driver,
            None => {
                let driver = Driver::start(EmbeddedHost::new()?)?;
                cpu::on_each(&mut |cpu| driver.cpu_comes(cpu));
                *DRIVER.write() = Some(driver.clone());
                driver
            }
        };
        match driver.open_session(()) {
            Ok(session) => {
                *clients += 1;
                Ok(Self { driver, session })
            }
            Err(status) => {
                if *clients == 0 {
                    *DRIVER.write() = None;
                }
                Err(status)
            }
        }
    }

    /// Sends a request. `packet` starts at a multiple of 8 bytes; see [`Driver::dispatch`].
    ///
    /// # Errors
    /// [`PacketError`] if the packet is malformed: nothing was done.
    #[inline]
    pub fn request(&self, function: u32, packet: &mut [u8]) -> Result<(), PacketError> {
        self.driver.dispatch(&self.session, function, packet)
    }

    /// Calls the fast entry of VMMR0 with the session's VM: [`Session::call_vmm_fast`].
    #[inline]
    pub fn call_vmm_fast(&self, operation: u32, cpu: u32) -> Status {
        self.session.call_vmm_fast(operation, cpu)
    }

    /// A page of the state words of the session's semaphores.
    pub fn word_page(&self, number: usize) -> Option<Words> {
        self.session.word_page(number)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // While ring-0 code can still find the driver: destructors and ModuleTerm run here.
        self.driver.close_session(self.session.clone());
        let mut clients = CLIENTS.lock();
        *clients -= 1;
        if *clients == 0 {
            self.driver.close_kernel_sessions();
            let last = DRIVER.write().take();
            drop(last);
        }
    }
}
