//! `supctl module build`: compiles a crate for ring 0, into one `.r0` file.
//!
//! rustc makes one object of the crate and everything it uses (`--emit=obj` with link-time optimisation
//! over all), with the flags that kernel code needs; the C compiler links it as a shared object. The core
//! library is compiled with the same flags, which needs its sources; `RUSTC_BOOTSTRAP` opens these flags
//! on a stable compiler, as in the kernel's own build.
//!
//! Neighbours: `new` writes such a crate, `check` says whether the result would load; `modules/flags.rs`
//! has the same for C. Invariant: a file under the final name is whole: it is linked elsewhere first, by one build at
//! a time.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::cli::BuildArgs;
use crate::failure::Failure;
use crate::output;

const TARGET: &str = "x86_64-unknown-none";
/// The parts of Rust's library that are compiled with the crate.
const LIBRARY: &str = "core,compiler_builtins";
/// What the release profile has to be, whatever the crate wants. Lines of debugging are kept.
const PROFILE: [&str; 6] = [
    "panic = 'abort'",
    "lto = 'fat'",
    "codegen-units = 1",
    "opt-level = 2",
    "debug = 'full'",
    "overflow-checks = false",
];
/// What ring 0 demands of the compiler. The target itself uses no vector registers and no red zone.
const FLAGS: [&str; 6] = [
    // A module lives wherever there is room.
    "-Crelocation-model=pic",
    // Imports are called through the global offset table, which is read-only once they are bound.
    "-Zplt=no",
    // Nobody unwinds through a module.
    "-Cforce-unwind-tables=no",
    // Indirect branches land on ENDBR64 only, and no switch becomes an indirect jump.
    "-Cjump-tables=no",
    "-Zcf-protection=branch",
    // Names in backtraces are the same in every build.
    "-Csymbol-mangling-version=v0",
];
/// What the loader demands of the linker, as in `modules/flags.rs`.
const LINK_FLAGS: [&str; 11] = [
    "-shared",
    "-nostdlib",
    "-Wl,-z,now",
    "-Wl,-Bsymbolic",
    "-Wl,--gc-sections",
    "-Wl,-z,separate-code",
    "-Wl,-z,max-page-size=4096",
    "-Wl,-z,noexecstack",
    "-Wl,--hash-style=sysv",
    "-Wl,--build-id=none",
    // So that debuggers find lines at the address where the module is, see `sup-embedded`.
    "-Wl,--emit-relocs",
];

pub(super) fn build(args: &BuildArgs) -> Result<(), Failure> {
    let manifest = args.folder.join("Cargo.toml");
    fs::metadata(&manifest).map_err(Failure::of_file(&manifest))?;
    let toolchain = Toolchain::find()?;
    let package = Package::find(&toolchain, &manifest)?;
    let folder = package.target.join("r0");
    fs::create_dir_all(&folder).map_err(Failure::of_file(&folder))?;
    let _lock = lock(&folder)?;
    let object = folder.join(format!("{}.o", package.name));
    // Cargo does not know of this file, and would not write it again.
    if !object.is_file() {
        clean(&toolchain, &manifest, &folder, &package.name)?;
    }
    compile(&toolchain, &manifest, &folder, &object)?;
    let linked = folder.join(format!("{}.r0.new", package.name));
    link(&object, &linked)?;
    let module = folder.join(format!("{}.r0", package.name));
    fs::rename(&linked, &module).map_err(Failure::of_file(&module))?;
    output::line(module.display())
}

/// Waits until no other build of modules uses the folder.
fn lock(folder: &Path) -> Result<File, Failure> {
    let path = folder.join("lock");
    let lock = File::create(&path).map_err(Failure::of_file(&path))?;
    if lock.try_lock().is_err() {
        output::note(format_args!("waiting for another build in {}", folder.display()));
        lock.lock().map_err(Failure::of_file(&path))?;
    }
    Ok(lock)
}

/// A compiler, and proof that the core library's sources are with it.
struct Toolchain {
    cargo: PathBuf,
    rustc: PathBuf,
}

impl Toolchain {
    /// Finds that of the `rustc` in the search path, else the distribution's.
    fn find() -> Result<Self, Failure> {
        let rustc = Command::new("rustc").args(["--print", "sysroot"]).output();
        let current = rustc.ok().and_then(|run| String::from_utf8(run.stdout).ok());
        let places = current.iter().map(|text| Path::new(text.trim())).chain([Path::new("/usr")]);
        places.filter(|place| !place.as_os_str().is_empty()).find_map(Self::in_sysroot).ok_or_else(
            || {
                let what = "a Rust compiler with the sources of its library";
                let how = "run `rustup component add rust-src`, or on Debian \
                           `apt install rustc-web cargo-web rust-web-src`";
                Failure::Missing { what, how }
            },
        )
    }

    fn in_sysroot(sysroot: &Path) -> Option<Self> {
        let library = sysroot.join("lib/rustlib/src/rust/library/Cargo.lock");
        let found = Self { cargo: sysroot.join("bin/cargo"), rustc: sysroot.join("bin/rustc") };
        (found.cargo.is_file() && found.rustc.is_file() && library.is_file()).then_some(found)
    }

    fn cargo(&self) -> Command {
        let mut command = Command::new(&self.cargo);
        command.env("RUSTC", &self.rustc).env("RUSTC_BOOTSTRAP", "1");
        // They would take the place of the flags here, or add what ring 0 has no use for.
        for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
            command.env_remove(variable);
        }
        command
    }
}

/// The crate that is built.
struct Package {
    name: String,
    target: PathBuf,
}

/// The part of `cargo metadata` that is of use.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<MetadataPackage>,
    target_directory: PathBuf,
}

#[derive(Deserialize)]
struct MetadataPackage {
    name: String,
    manifest_path: PathBuf,
}

impl Package {
    /// Asks cargo what `manifest` is.
    fn find(toolchain: &Toolchain, manifest: &Path) -> Result<Self, Failure> {
        let mut command = toolchain.cargo();
        command.args(["metadata", "--format-version=1", "--no-deps", "--manifest-path"]);
        let json = run(command.arg(manifest))?;
        let path = manifest.canonicalize().map_err(Failure::of_file(manifest))?;
        let metadata: Metadata =
            serde_json::from_slice(&json).map_err(|error| Failure::Output(error.into()))?;
        let package = metadata.packages.into_iter().find(|package| package.manifest_path == path);
        let package = package.ok_or_else(|| Failure::Build {
            tool: "cargo".to_owned(),
            text: format!("{} describes no package", manifest.display()),
        })?;
        Ok(Self { name: package.name, target: metadata.target_directory })
    }
}

/// Makes cargo compile the crate itself anew.
fn clean(toolchain: &Toolchain, manifest: &Path, folder: &Path, name: &str) -> Result<(), Failure> {
    let mut command = toolchain.cargo();
    command.args(["clean", "--quiet", "--release", "--target", TARGET, "--package", name]);
    command.arg("--manifest-path").arg(manifest).arg("--target-dir").arg(folder.join("build"));
    run(&mut command).map(|_| ())
}

fn compile(
    toolchain: &Toolchain,
    manifest: &Path,
    folder: &Path,
    object: &Path,
) -> Result<(), Failure> {
    let mut command = toolchain.cargo();
    command.args(["rustc", "--lib", "--release", "--quiet", "--crate-type", "staticlib"]);
    command.args(["--target", TARGET, &format!("-Zbuild-std={LIBRARY}")]);
    command.arg("--manifest-path").arg(manifest).arg("--target-dir").arg(folder.join("build"));
    for line in PROFILE {
        command.arg("--config").arg(format!("profile.release.{line}"));
    }
    let mut emit = OsString::from("--emit=obj=");
    emit.push(object);
    command.arg("--").arg(emit);
    run(command.env("RUSTFLAGS", FLAGS.join(" "))).map(|_| ())
}

fn link(object: &Path, output: &Path) -> Result<(), Failure> {
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut command = Command::new(&compiler);
    command.args(LINK_FLAGS).arg(object).arg("-o").arg(output);
    run(&mut command).map(|_| ())
}

/// Runs a tool to its end, and returns what it printed.
fn run(command: &mut Command) -> Result<Vec<u8>, Failure> {
    let tool = Path::new(command.get_program()).file_name().unwrap_or(OsStr::new("?"));
    let tool = tool.to_string_lossy().into_owned();
    let done = command.output().map_err(|_| Failure::Missing {
        what: "a tool that the build needs",
        how: "it takes cargo with rustc and, to link, a C compiler: `cc`, or the one that CC names",
    })?;
    if done.status.success() {
        return Ok(done.stdout);
    }
    let text = String::from_utf8_lossy(&done.stderr).trim_end().to_owned();
    Err(Failure::Build { tool, text })
}
