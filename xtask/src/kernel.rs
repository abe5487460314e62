//! Kernels that we can build for and boot.
//!
//! Nothing is installed on this machine: Debian's packages are unpacked into a cache outside the tree
//! ([`cache`]), because the installed ones bring an initramfs, a boot loader's hooks and half of systemd.
//! [`archive`] has the kernels of this machine's own archive, [`sid`] newer ones in a root file system
//! with the tools that they need, [`debug`] the one that we configure and build ourselves.

mod archive;
mod cache;
mod debug;
mod release;
mod sid;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::{Cmd, Shell, cmd};

use self::release::Release;
use crate::project::Project;

/// Where a root file system sees the folder of the module.
const MODULE_IN_ROOT: &str = "/mnt";

/// A kernel: what modules are built with, and mostly also what boots.
#[derive(Debug)]
pub(crate) struct Kernel {
    label: String,
    release: Release,
    place: Place,
}

/// Where its headers are.
#[derive(Debug)]
enum Place {
    /// A header or build folder that stands where it was made for.
    Folder(PathBuf),
    /// Debian's packages, unpacked below a folder: the paths that they name begin there.
    Unpacked(PathBuf),
    /// A root file system whose compiler and libraries are needed too.
    Root(PathBuf),
}

impl Kernel {
    /// Finds a kernel by what a user writes: a series (`6.1`), `debug`, or the path of a header
    /// folder. What is missing is downloaded, unpacked or built, once.
    ///
    /// # Errors
    /// There is no such kernel, or it cannot be had on this machine; with what was looked for.
    pub(crate) fn find(project: &Project, name: &str) -> Result<Self> {
        if name == "debug" {
            return debug::find(project);
        }
        if release::is_series(name) {
            return Self::of_series(project, name);
        }
        if Path::new(name).is_dir() {
            return Self::in_folder(name, name);
        }
        bail!(
            "no kernel `{name}`: give a series such as 6.1, 6.12 or 7.2, `debug`, or the path of a \
             folder with a kernel's headers"
        )
    }

    fn of_series(project: &Project, series: &str) -> Result<Self> {
        for cached in [archive::cached, sid::cached] {
            if let Some(kernel) = cached(project, series)? {
                return Ok(kernel);
            }
        }
        let releases = archive::releases(project)?;
        if let Some(release) = archive::newest(&releases, series) {
            return archive::find(project, series, &release);
        }
        // The development release has one kernel, which is newer than all others.
        let wanted = Release::new(series).numbers();
        if let Some(newer) = releases.iter().find(|release| release.numbers() > wanted) {
            bail!(
                "no kernel {series}: the archive of this machine has none, but newer ones like {newer}"
            );
        }
        sid::find(project, series)
    }

    /// The kernel that this machine runs: its installed headers, else those of the archive.
    ///
    /// # Errors
    /// There are no headers for it.
    pub(crate) fn running(project: &Project) -> Result<Self> {
        let release = Release::running();
        let installed = format!("/lib/modules/{release}/build");
        if Path::new(&installed).is_dir() {
            return Self::in_folder(release.as_str(), &installed);
        }
        if archive::has(project, &release)? {
            return archive::find(project, release.as_str(), &release);
        }
        bail!(
            "no headers for the running kernel {release}: there is no {installed}, and the archive of \
             this machine has no package {}. Build for another kernel with --kernel 6.1 or 6.12, or \
             give the path of its headers",
            archive::headers_package(&release)
        )
    }

    fn in_folder(label: &str, folder: &str) -> Result<Self> {
        let folder = fs::canonicalize(folder).with_context(|| folder.to_owned())?;
        let release = release::of_headers(&folder)?;
        Ok(Self { label: label.to_owned(), release, place: Place::Folder(folder) })
    }

    /// What it was asked for by.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// What `uname -r` says under it.
    pub(crate) fn release(&self) -> &str {
        self.release.as_str()
    }

    /// The file that boots.
    ///
    /// # Errors
    /// Only its headers are there.
    pub(crate) fn image(&self) -> Result<PathBuf> {
        let release = &self.release;
        let tried = match &self.place {
            Place::Folder(folder) => vec![
                folder.join("arch/x86/boot/bzImage"),
                Path::new("/boot").join(format!("vmlinuz-{release}")),
            ],
            Place::Unpacked(root) => vec![root.join("boot").join(format!("vmlinuz-{release}"))],
            // The kernels there are in a package of their own, unpacked beside the root's files.
            Place::Root(root) => vec![
                root.join(sid::IMAGE).join(format!("usr/lib/modules/{release}/vmlinuz")),
                root.join(sid::IMAGE).join(format!("boot/vmlinuz-{release}")),
            ],
        };
        tried.iter().find(|path| path.is_file()).cloned().with_context(|| {
            let tried: Vec<_> = tried.iter().map(|path| path.display().to_string()).collect();
            format!("no bootable file of kernel {release}: looked for {}", tried.join(" and "))
        })
    }

    /// The folder of the modules that come with it; none where only its headers are.
    pub(crate) fn modules(&self) -> Option<PathBuf> {
        let root = match &self.place {
            Place::Folder(_) => PathBuf::from("/"),
            Place::Unpacked(root) => root.clone(),
            Place::Root(root) => root.join(sid::IMAGE),
        };
        let release = self.release.to_string();
        let below = |folder| root.join(folder).join(&release).join("kernel");
        ["lib/modules", "usr/lib/modules"].map(below).into_iter().find(|folder| folder.is_dir())
    }

    /// Whether the kernel watches memory accesses, so that the module's should be shown to it.
    pub(crate) fn has_kasan(&self) -> Result<bool> {
        let config = self.headers().join("include/config/auto.conf");
        let text = fs::read_to_string(&config).with_context(|| config.display().to_string())?;
        Ok(text.lines().any(|line| line == "CONFIG_KASAN=y"))
    }

    /// The folder that Kbuild calls its object tree.
    fn headers(&self) -> PathBuf {
        match &self.place {
            Place::Folder(folder) => folder.clone(),
            Place::Unpacked(root) | Place::Root(root) => {
                root.join(format!("usr/src/linux-headers-{}", self.release))
            }
        }
    }

    /// Makes `folder` what an installed package of headers is to other build tools: unpacked elsewhere, its
    /// Makefile leads to /usr/src.
    ///
    /// # Errors
    /// The headers are for the compiler of another root file system, or `folder` cannot be written.
    pub(crate) fn lay_out_headers(&self, sh: &Shell, folder: &Path) -> Result<()> {
        let headers = self.headers();
        let makefile = match &self.place {
            Place::Folder(_) => format!("modules clean:\n\t$(MAKE) -C {} $@\n", headers.display()),
            Place::Unpacked(root) => format!(
                "modules clean:\n\t$(MAKE) -C {headers} -f {root}/usr/src/{common}/Makefile \
                 KBUILD_OUTPUT={headers} $@\n",
                headers = headers.display(),
                root = root.display(),
                common = archive::common_folder(&self.release)
            ),
            Place::Root(_) => bail!("the headers of {} need their own compiler", self.release),
        };
        for path in sh.read_dir(&headers)? {
            let name = path.file_name().unwrap_or_default();
            if name != "Makefile" {
                std::os::unix::fs::symlink(&path, folder.join(name))?;
            }
        }
        Ok(sh.write_file(folder.join("Makefile"), makefile)?)
    }

    /// Kbuild's command for the module whose sources are in `folder`, with a variable that is the path of
    /// a file there.
    pub(crate) fn make<'a>(
        &self,
        sh: &'a Shell,
        folder: &Path,
        (variable, file): (&str, &str),
    ) -> Cmd<'a> {
        let headers = self.headers();
        let (make, module) = match &self.place {
            Place::Folder(_) => (cmd!(sh, "make -C {headers}"), folder),
            Place::Unpacked(root) => {
                let common =
                    root.join(format!("usr/src/{}", archive::common_folder(&self.release)));
                let makefile = common.join("Makefile");
                (cmd!(sh, "make -C {headers} -f {makefile} KBUILD_OUTPUT={headers}"), folder)
            }
            Place::Root(root) => {
                let headers = Path::new("/usr/src").join(headers.file_name().unwrap_or_default());
                let make = sid::enter(sh, root, folder).arg("make").arg("-C").arg(headers);
                (make, Path::new(MODULE_IN_ROOT))
            }
        };
        make.arg(format!("M={}", module.display()))
            .arg(format!("{variable}={}", module.join(file).display()))
            .arg("modules")
    }
}
