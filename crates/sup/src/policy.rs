//! [`ModulePolicy`]: what a driver demands of modules; and the signature that stands beside a file.
//!
//! Neighbours: `module.rs` loads, `sup-core/src/image/policy.rs` decides. Invariant: nothing is decided
//! here: what is sent is what the files hold.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use sup_abi::request::{Empty, ModuleDemand, ModulePolicyOut, Trust};
use sup_core::Signer;
use sup_hardened::{System, verify_plug_in};
use sup_signature::{DETACHED_SUFFIX, PublicKey, split};

use crate::Session;
use crate::error::Result;
use crate::image_file::ImageFile;
use crate::privilege::Privilege;

/// What a driver demands of modules, and whom it trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModulePolicy {
    /// What is demanded. A driver that demands something new is taken to demand the most.
    pub demand: ModuleDemand,
    /// The keys that are trusted.
    pub keys: Vec<PublicKey>,
}

impl From<ModulePolicyOut> for ModulePolicy {
    fn from(output: ModulePolicyOut) -> Self {
        let demand = ModuleDemand::try_from(output.demand).unwrap_or(ModuleDemand::KernelGrade);
        let keys = output.keys.into_iter().take(output.key_count as usize);
        Self { demand, keys: keys.map(PublicKey).collect() }
    }
}

impl Session {
    /// What the driver demands of modules.
    ///
    /// # Errors
    /// Only those of the transport.
    pub fn module_policy(&self) -> Result<ModulePolicy> {
        use sup_abi::request::ModulePolicy as Request;
        self.connection().call::<Request>(&Empty {}).map(ModulePolicy::from)
    }
}

/// By whom a loaded file is signed, as the driver says.
pub(crate) fn signer(trust: u32, key: [u8; 32]) -> Signer {
    let key = PublicKey(key);
    match Trust::try_from(trust) {
        Ok(Trust::Trusted) => Signer::Trusted(key),
        Ok(Trust::Unknown) => Signer::Unknown(key),
        Ok(Trust::Unsigned) | Err(_) => Signer::Nobody,
    }
}

/// Reads a module's file, and puts the signature behind it that stands beside it in `FILE.sig`, if the
/// file has none of its own.
///
/// A process with more rights than its user reads only a file that root alone can have written, as
/// `SUPR3HardenedVerifyPlugIn` verifies it: else any user could have it run his code in ring 0.
///
/// # Errors
/// One of the files cannot be read; with a [`Violation`](sup_hardened::Violation) inside, if it is not to be trusted.
pub fn read_signed(file: &Path) -> io::Result<Vec<u8>> {
    Ok(read_image(file)?.bytes().to_vec())
}

/// The same, ready to be sent.
pub(crate) fn read_image(file: &Path) -> io::Result<ImageFile> {
    read_image_as(Privilege::of_this_process(), file)
}

fn read_image_as(privilege: Privilege, file: &Path) -> io::Result<ImageFile> {
    let opened = match privilege {
        Privilege::None => File::open(file)?,
        Privilege::More => open_verified(file)?,
    };
    let mut image = ImageFile::default();
    image.append(&opened)?;
    // A block that is not right is for the driver to refuse.
    let is_unsigned = split(image.bytes()).is_ok_and(|signed| signed.block.is_none());
    if is_unsigned {
        match File::open(detached(file)) {
            Ok(block) => image.append(&block)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(image)
}

/// The handle that was verified.
fn open_verified(file: &Path) -> io::Result<File> {
    let opened = verify_plug_in(&System, file).and_then(|verified| verified.open(&System));
    let opened =
        opened.map_err(|violation| io::Error::new(io::ErrorKind::PermissionDenied, violation))?;
    Ok(File::from(opened))
}

/// Where the signature of a file stands that has none of its own.
fn detached(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(DETACHED_SUFFIX);
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sup_abi::Status;
    use sup_hardened::Violation;

    #[test]
    fn a_signature_beside_the_file_goes_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("m.r0");
        std::fs::write(&file, b"content").unwrap();
        assert_eq!(read_signed(&file).unwrap(), b"content");
        std::fs::write(folder.path().join("m.r0.sig"), b"supdrv signature, cut").unwrap();
        assert_eq!(read_signed(&file).unwrap(), b"contentsupdrv signature, cut");
        // A file with a block, be it a damaged one, is whole.
        std::fs::write(&file, b"content supdrv signature").unwrap();
        assert_eq!(read_signed(&file).unwrap(), b"content supdrv signature");
    }

    #[test]
    fn cannot_make_a_privileged_process_read_what_others_can_have_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("m.r0");
        std::fs::write(&file, b"content").unwrap();
        let read = |path: &Path| {
            let error = read_image_as(Privilege::More, path).unwrap_err();
            error.get_ref().and_then(|inner| inner.downcast_ref::<Violation>()).unwrap().status()
        };
        // What is below /tmp, or this user's.
        let expected = [Status::VERR_SUPLIB_WORLD_WRITABLE, Status::VERR_SUPLIB_OWNER_NOT_ROOT];
        assert!(expected.contains(&read(&file)));
        assert_eq!(read(Path::new("m.r0")), Status::VERR_SUPLIB_PATH_NOT_ABSOLUTE);
        assert_eq!(read_image_as(Privilege::None, &file).unwrap().bytes(), b"content");
    }
}
