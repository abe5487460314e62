//! Whom the driver in this process trusts, and what it demands of modules.
//!
//! A trusted key is a line of 64 hexadecimal digits in a file `*.pub` of [`SYSTEM_FOLDER`], or of the
//! folder `trusted` in the user's own [`config_folder`]. `SUP_MODULE_POLICY` says what is demanded:
//!
//! | value | a module has to be |
//! |---|---|
//! | `unsigned`, or unset | nothing; what it is signed with is shown |
//! | `signed` | signed by a trusted key |
//! | `kernel` | signed by a trusted key and declared kernel-grade, as the kernel's driver demands |
//!
//! Neighbour: `sup-hardened` reads those files. Invariant: a file, or a folder, that anybody but its owner may
//! write, or whose owner is neither this user nor root, says nothing here; and of a process with more rights
//! than its user, only root's counts.

use std::path::PathBuf;

use rustix::process::{getegid, geteuid, getgid, getuid};
use sup_abi::request::ModuleDemand;
use sup_core::ModulePolicy;
pub use sup_hardened::{SYSTEM_FOLDER, check_owner, keys_in, trusted_keys};

/// The variable that says what is demanded.
pub const VARIABLE: &str = "SUP_MODULE_POLICY";
/// The folder in [`config_folder`] with the user's own.
pub const USER_FOLDER: &str = "trusted";

/// The user's configuration folder of ours: `$XDG_CONFIG_HOME/supdrv`, else `~/.config/supdrv`. It need
/// not exist. `None` without a home, and for a process with more rights than its user.
pub fn config_folder() -> Option<PathBuf> {
    if getuid() != geteuid() || getgid() != getegid() {
        return None;
    }
    let absolute =
        |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")));
    base.map(|base| base.join("supdrv"))
}

/// The policy that environment and files ask for.
pub(crate) fn policy() -> ModulePolicy {
    let mut policy = ModulePolicy::new(demand(std::env::var_os(VARIABLE).as_deref()));
    let own = config_folder().map(|folder| folder.join(USER_FOLDER));
    for folder in [Some(PathBuf::from(SYSTEM_FOLDER)), own].into_iter().flatten() {
        let keys = trusted_keys(&folder).unwrap_or_else(|error| {
            tracing::warn!(target: "supdrv", %error, "no key of this folder is trusted");
            Vec::new()
        });
        for key in keys {
            if !policy.trust(key) {
                tracing::warn!(target: "supdrv", %key, "there are too many keys: not trusted");
            }
        }
    }
    policy
}

/// What a value of the variable means. What means nothing demands a signature, and not less.
fn demand(value: Option<&std::ffi::OsStr>) -> ModuleDemand {
    match value.map(std::ffi::OsStr::as_encoded_bytes) {
        None | Some(b"unsigned") => ModuleDemand::Nothing,
        Some(b"signed") => ModuleDemand::Signature,
        Some(b"kernel") => ModuleDemand::KernelGrade,
        Some(_) => {
            tracing::warn!(
                target: "supdrv", ?value,
                "{VARIABLE} is neither unsigned, signed nor kernel: taken as signed"
            );
            ModuleDemand::Signature
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn a_value_without_meaning_demands_a_signature() {
        for (value, meaning) in [
            (None, ModuleDemand::Nothing),
            (Some("unsigned"), ModuleDemand::Nothing),
            (Some("signed"), ModuleDemand::Signature),
            (Some("kernel"), ModuleDemand::KernelGrade),
            (Some(""), ModuleDemand::Signature),
            (Some("Unsigned"), ModuleDemand::Signature),
        ] {
            assert_eq!(demand(value.map(OsStr::new)), meaning, "{value:?}");
        }
    }
}
