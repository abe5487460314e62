//! [`RegisteredProvider`]: a provider of `sup-probe` that the driver knows of.
//!
//! Neighbours: `hit` has the way of its hits. Invariant: while the driver knows the object, hits of its
//! locations find the session that registered it.

use sup_abi::Status;
use sup_probe::Provider;

use super::{ProbeModuleKind, hit};
use crate::Session;
use crate::error::Result;

/// A provider of this process that the driver knows of, until this is dropped.
#[derive(Debug)]
#[must_use = "a provider is registered for as long as this lives"]
pub struct RegisteredProvider {
    session: Session,
    provider: Provider,
    locations: usize,
}

impl Session {
    /// Registers a provider of this program, under the name of its file.
    ///
    /// ```
    /// sup_probe::provider! { mod files; probe open(fd: i32); }
    ///
    /// # fn main() -> sup::Result<()> {
    /// let session = sup::Session::open()?;
    /// let registered = session.register_provider(files::provider())?;
    /// sup_probe::probe!(files, open, 3);
    /// drop(registered);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Session::register_probes`], among them `VERR_SUPDRV_VTG_ALREADY_REGISTERED`.
    /// `VERR_SUPDRV_VTG_BAD_PROBE_LOC` if a session that has ended left numbers in its records.
    pub fn register_provider(&self, provider: Provider) -> Result<RegisteredProvider> {
        let program = std::env::current_exe().unwrap_or_default();
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let mut name = name.into_owned();
        name.truncate(name.floor_char_boundary(super::NAME_BYTES - 1));
        self.register_provider_of(provider, &name, ProbeModuleKind::Program)
    }

    /// Registers a provider of a module of this process, under the name given: for libraries.
    ///
    /// # Errors
    /// Those of [`Session::register_provider`].
    pub fn register_provider_of(
        &self,
        provider: Provider,
        name: &str,
        kind: ProbeModuleKind,
    ) -> Result<RegisteredProvider> {
        let header = provider.header();
        // SAFETY: the header of an object of `sup-probe`, there for as long as the code of its image.
        let copy = unsafe { header.as_ptr().read() };
        let (start, end) = (copy.uProbeLocs as usize, copy.uProbeLocsEnd as usize);
        // SAFETY: the stubs of `sup-probe` call it as it is to be called, and it is not unloaded before them.
        unsafe { sup_probe::set_fire(hit::hit) };
        // The tracer may switch locations on before the request returns.
        hit::connect(start, end, self);
        let believed = header.as_ptr().expose_provenance() as u64;
        // SAFETY: `sup-probe` made the object, whose records and names are statics of the image.
        if let Err(error) = unsafe { self.register_probes(name, kind, header, believed) } {
            hit::disconnect(start, self);
            return Err(error);
        }
        Ok(RegisteredProvider { session: self.clone(), provider, locations: start })
    }
}

impl RegisteredProvider {
    /// The provider.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.provider
    }
}

impl Drop for RegisteredProvider {
    fn drop(&mut self) {
        loop {
            // SAFETY: the header is that of the object which this guard has registered, a static of the program.
            let result = unsafe { self.session.deregister_probes(self.provider.header()) };
            // A signal ends the wait for threads that are inside; the object is still registered.
            if !result.is_err_and(|error| error.status() == Status::VERR_INTERRUPTED) {
                break;
            }
        }
        hit::disconnect(self.locations, &self.session);
    }
}
