//! What the machine is like, as far as no driver is needed to know: whether the kernel is new enough to
//! share VT-x, and who has the virtualisation hardware ([`VirtualisationOwner`]).
//!
//! Neighbours: `session` asks a driver for capabilities. Invariant: this reads, and switches nothing.

use std::fmt;
use std::fs;
use std::path::Path;

use rustix::system::uname;
use sup_abi::Status;

use crate::{Error, Result};

/// Whether the kernel is new enough to run with VT-x in use. Corresponds to `SUPR3QueryVTxSupported`.
///
/// # Errors
/// `VERR_SUPDRV_KERNEL_TOO_OLD_FOR_VTX` before Linux 2.6.13, and for a release that is no number.
pub fn vtx_supported() -> Result<()> {
    let name = uname();
    let release = name.release().to_string_lossy();
    if shares_vtx(&release) {
        return Ok(());
    }
    let status = Status::VERR_SUPDRV_KERNEL_TOO_OLD_FOR_VTX;
    Err(Error::new("VTxSupported", status, format!("this is Linux '{release}'")))
}

/// The rule over a release as `uname -r` has it: `A.` from 3 on, `A.B.C` from 2.6.13 on.
fn shares_vtx(release: &str) -> bool {
    let Some((major, rest)) = leading_number(release) else { return false };
    let Some(rest) = rest.strip_prefix('.') else { return false };
    if major >= 3 {
        return true;
    }
    let Some((minor, rest)) = leading_number(rest) else { return false };
    let patch = rest.strip_prefix('.').and_then(leading_number);
    patch.is_some_and(|(patch, _)| (major, minor, patch) >= (2, 6, 13))
}

/// The number that a text begins with, and what follows it.
fn leading_number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    Some((digits.parse().ok()?, rest))
}

/// Who switches the virtualisation hardware of this machine on and off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VirtualisationOwner {
    /// Nobody: KVM is not there.
    Nobody,
    /// KVM, while a virtual machine of its own exists.
    KvmInUse,
    /// KVM, from its load on: since Linux 6.12, unless told otherwise.
    KvmFromLoad,
}

impl fmt::Display for VirtualisationOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nobody => "nobody has the hardware, as KVM is not loaded",
            Self::KvmInUse => "KVM has the hardware while a virtual machine of its own runs",
            Self::KvmFromLoad => {
                "KVM has the hardware from its load on; `rmmod kvm_intel kvm_amd` or \
                 kvm.enable_virt_at_load=0 on the kernel's command line frees it"
            }
        })
    }
}

/// Who has the virtualisation hardware, as `/sys` shows it.
pub fn virtualisation_owner() -> VirtualisationOwner {
    owner_below(Path::new("/sys/module"))
}

fn owner_below(modules: &Path) -> VirtualisationOwner {
    if !["kvm_intel", "kvm_amd"].iter().any(|name| modules.join(name).is_dir()) {
        return VirtualisationOwner::Nobody;
    }
    let parameter = fs::read_to_string(modules.join("kvm/parameters/enable_virt_at_load"));
    match parameter.as_deref().map(str::trim_end) {
        Ok("Y" | "1") => VirtualisationOwner::KvmFromLoad,
        _ => VirtualisationOwner::KvmInUse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_kernels_do_not_share_vtx() {
        for (release, expected) in [
            ("3.0", true),
            ("3.", true),
            ("6.12.0-test", true),
            ("10.x", true),
            ("3", false),
            ("2.6.13", true),
            ("2.6.13-rc1", true),
            ("2.6.12", false),
            ("2.6", false),
            ("2.7.0", true),
            ("2.4.99", false),
            ("", false),
            ("six.1", false),
            ("99999999999.1", false),
        ] {
            assert_eq!(shares_vtx(release), expected, "{release}");
        }
    }

    #[test]
    fn the_owner_is_read_from_sysfs() {
        let folder = tempfile::tempdir().expect("a folder");
        let owner = || owner_below(folder.path());
        assert_eq!(owner(), VirtualisationOwner::Nobody);
        fs::create_dir(folder.path().join("kvm_amd")).expect("a folder");
        assert_eq!(owner(), VirtualisationOwner::KvmInUse);
        let parameters = folder.path().join("kvm/parameters");
        fs::create_dir_all(&parameters).expect("a folder");
        for (text, expected) in
            [("Y\n", VirtualisationOwner::KvmFromLoad), ("N\n", VirtualisationOwner::KvmInUse)]
        {
            fs::write(parameters.join("enable_virt_at_load"), text).expect("a file");
            assert_eq!(owner(), expected, "{text}");
        }
    }
}
