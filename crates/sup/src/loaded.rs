//! [`LoadedModule`]: what the driver tells of the modules that are loaded, whoever loaded them.
//!
//! Neighbours: `module.rs` loads. Invariant: it is a look at one moment, and holds nothing loaded.

use sup_abi::request::{
    HEADER_BYTES, ListModules, ListModulesIn, ListModulesOut, ModuleUse as RawUse, Request,
    terminated,
};
use sup_abi::{ProcessId, R0Ptr, Status, UserId};
use sup_core::Signer;
use sup_signature::ContentHash;
use zerocopy::{FromBytes, IntoBytes};

use crate::Session;
use crate::error::{Error, Result};
use crate::policy;

/// A module that is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedModule {
    /// Its name.
    pub name: String,
    /// The SHA-256 of its file without the signature.
    pub hash: ContentHash,
    /// By whom the file is signed, as far as the driver knows.
    pub signer: Signer,
    /// Where the image is, in ring 0. `None` for who may not know: a session in the kernel that has not
    /// loaded it, of a process without `CAP_SYS_MODULE`.
    pub base: Option<R0Ptr>,
    /// Bytes of the image in memory.
    pub image_bytes: u32,
    /// References of all sessions.
    pub references: u64,
    /// References of the session that asked.
    pub own_references: u64,
    /// Modules that import from it and sessions whose VM is set: of `VMMR0.r0` alone.
    pub dependents: u64,
    /// Calls that run in it.
    pub running: u32,
    /// The sessions that have loaded it: of the same real user, or all for who may bring code into ring 0.
    pub uses: Vec<ModuleUse>,
}

/// A session that has loaded a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModuleUse {
    /// The process that opened it.
    pub process: ProcessId,
    /// Its real user.
    pub user: UserId,
    /// References of the session.
    pub references: u64,
}

const LIST: &str = "ListModules";

/// Room for so many uses is there at first.
const USES: u32 = 16;

impl Session {
    /// The modules that are loaded, in the order of their names.
    ///
    /// Each is looked at by itself: one that comes or goes meanwhile may be missing, and none is there
    /// twice. The driver of the embedded backend knows the modules of its own process.
    ///
    /// # Errors
    /// `VERR_NO_TMP_MEMORY`, and those of the transport.
    pub fn modules(&self) -> Result<Vec<LoadedModule>> {
        let mut modules = Vec::new();
        let mut after = [0; _];
        while let Some((output, uses)) = self.module_after(after)? {
            after = output.name;
            modules.push(loaded(&output, &uses));
        }
        Ok(modules)
    }

    /// What the driver says of the next module, with all uses of which it tells.
    fn module_after(&self, after: [u8; 32]) -> Result<Option<(ListModulesOut, Vec<RawUse>)>> {
        let mut use_room = USES;
        loop {
            let input = ListModulesIn { after, use_room, reserved: 0 };
            match self.send_list(&input)? {
                // Some more, because others may load it meanwhile.
                Some((output, _)) if output.use_count > use_room => {
                    use_room = output.use_count.saturating_add(USES);
                }
                answer => return Ok(answer),
            }
        }
    }

    fn send_list(&self, input: &ListModulesIn) -> Result<Option<(ListModulesOut, Vec<RawUse>)>> {
        const IN: usize = ListModules::BYTES_IN;
        const FIXED: usize = ListModules::BYTES_OUT;
        let bytes_out = FIXED + input.use_room as usize * size_of::<RawUse>();
        let words = bytes_out.div_ceil(size_of::<u64>());
        let mut buffer = Vec::new();
        buffer
            .try_reserve_exact(words)
            .map_err(|_| Error::new(LIST, Status::VERR_NO_TMP_MEMORY, ""))?;
        buffer.resize(words, 0_u64);
        let packet = buffer.as_mut_bytes();
        packet[HEADER_BYTES..IN].copy_from_slice(input.as_bytes());
        let (status, answered) = self.connection().send::<ListModules>(packet, IN, bytes_out)?;
        if status == Status::VERR_NOT_FOUND {
            return Ok(None);
        }
        let output = ListModulesOut::read_from_bytes(&packet[HEADER_BYTES..FIXED]).ok();
        let uses = <[RawUse]>::ref_from_bytes(&packet[FIXED..bytes_out]).ok();
        match (output, uses) {
            (Some(output), Some(uses)) if status.is_success() && answered == bytes_out => {
                let count = uses.len().min(output.use_count as usize);
                Ok(Some((output, uses[..count].to_vec())))
            }
            _ => Err(Error::new(LIST, status, "")),
        }
    }
}

fn loaded(output: &ListModulesOut, uses: &[RawUse]) -> LoadedModule {
    LoadedModule {
        name: terminated(&output.name).unwrap_or_default().to_owned(),
        hash: ContentHash(output.hash),
        signer: policy::signer(output.trust, output.signer),
        base: Some(output.base).filter(|base| !base.is_nil()),
        image_bytes: output.image_bytes,
        references: output.references,
        own_references: output.own_references,
        dependents: output.dependents,
        running: output.running,
        uses: uses
            .iter()
            .map(|raw| ModuleUse {
                process: ProcessId::new(raw.process),
                user: UserId::new(raw.user),
                references: raw.references,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use sup_modules::{HELLO, hello};

    use super::*;
    use crate::backend::Kind;

    #[test]
    fn a_module_is_told_of_with_all_sessions_that_use_it() {
        const NAME: &str = "listed";
        let open = || Session::open_in(Kind::Embedded).unwrap();
        let session = open();
        let load = |session: &Session| {
            session.load_service_image(HELLO.image, NAME, hello::SERVICE_HANDLER).unwrap()
        };
        let find = || {
            let modules = session.modules().unwrap();
            modules.into_iter().find(|module| module.name == NAME)
        };
        // More sessions than there is room for at first.
        let users: Vec<_> = (0..2 * USES).map(|_| load(&open())).collect();
        let found = find().unwrap();
        assert_eq!(found.hash, ContentHash::of(HELLO.image));
        assert_eq!(found.base, Some(users[0].module().base()));
        assert_eq!(found.image_bytes, users[0].module().image_bytes());
        assert_eq!((found.references, found.own_references), (u64::from(2 * USES), 0));
        assert_eq!(found.uses.len(), users.len());
        let own = ProcessId::new(std::process::id());
        assert!(found.uses.iter().all(|one| (one.process, one.references) == (own, 1)));
        drop(users);
        assert_eq!(find(), None);
    }
}
