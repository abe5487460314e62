//! Parts of a whole system that a guest gets: the kernel's own KVM, and udev.
//!
//! udev and what it needs stand under `debian`, where nothing looks for them: a test that wants a machine with
//! udev puts the folder in its place, and others see a machine without. Invariant: a program comes with all its
//! libraries, at their own paths.

use std::path::{Path, PathBuf};

use anyhow::Result;
use xshell::cmd;

use crate::kernel::Kernel;
use crate::project::Project;
use crate::require;

/// KVM for the emulator's processor, in the order in which the modules need each other.
const KVM: [&str; 3] = ["virt/lib/irqbypass", "arch/x86/kvm/kvm", "arch/x86/kvm/kvm-amd"];
/// How a kernel's own modules end: as they are, or compressed.
const ENDINGS: [&str; 3] = ["ko", "ko.xz", "ko.zst"];
/// Programs of udev and of groups, by where they are and where they go.
const PROGRAMS: [(&str, &str, &str); 3] = [
    ("/lib/systemd/systemd-udevd", "debian/usr/lib/systemd/systemd-udevd", "udev"),
    ("/usr/bin/udevadm", "debian/usr/bin/udevadm", "udev"),
    ("/usr/sbin/groupadd", "debian/usr/sbin/groupadd", "passwd"),
];

/// The modules of KVM, in `lib/kvm`; none for a kernel that has no KVM.
pub(super) fn kvm(kernel: &Kernel) -> Vec<(String, PathBuf)> {
    let Some(folder) = kernel.modules() else { return Vec::new() };
    let file = |name: &str| {
        let endings = ENDINGS.iter().map(|ending| folder.join(format!("{name}.{ending}")));
        endings.into_iter().find(|path| path.is_file())
    };
    let files: Option<Vec<PathBuf>> = KVM.into_iter().map(file).collect();
    files.unwrap_or_default().into_iter().map(|path| (below("lib/kvm", &path), path)).collect()
}

/// udev, `groupadd` and their libraries.
///
/// # Errors
/// One is missing, and this user cannot install it; with the command that does.
pub(super) fn udev(project: &Project) -> Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for (path, place, package) in PROGRAMS {
        require::file(project, path, package)?;
        files.push((place.to_owned(), PathBuf::from(path)));
        let told = cmd!(project.sh, "ldd {path}").quiet().read()?;
        files.extend(told.lines().filter_map(library).map(|path| {
            let place = path.trim_start_matches('/').to_owned();
            (place, PathBuf::from(path))
        }));
    }
    files.sort();
    files.dedup();
    Ok(files)
}

/// The file in a line of `ldd`: `libc.so.6 => /lib/libc.so.6 (0x7f..)` or `/lib64/ld.so (0x7f..)`.
fn library(line: &str) -> Option<&str> {
    line.split_whitespace().find(|word| word.starts_with('/'))
}

fn below(folder: &str, path: &Path) -> String {
    format!("{folder}/{}", path.file_name().unwrap_or_default().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_files_and_not_what_the_kernel_brings() {
        let told =
            "\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /lib/libc.so.6 (0x2)\n\t/lib64/ld.so (0x3)\n";
        assert_eq!(
            told.lines().filter_map(library).collect::<Vec<_>>(),
            ["/lib/libc.so.6", "/lib64/ld.so"]
        );
    }
}
