//! `supctl trace export`: a trace file in another tool's format.
//!
//! Everything is written beside its place under another name, and renamed when it is whole.
//!
//! Neighbours: `sup_trace::{chrome, perfetto, ctf}` write. Invariant: what is in the output's place is either
//! what was there before, or whole.

use std::fs::{self, Permissions};
use std::io::{self, BufWriter};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sup_trace::{ExportError, chrome, ctf, perfetto};
use tempfile::{Builder, NamedTempFile};

use super::file::{Progress, open, unusable};
use crate::cli::{ExportArgs, TraceFormat};
use crate::failure::Failure;
use crate::output;

/// Large enough that calls of the system do not count.
const BUFFER_BYTES: usize = 1 << 18;

pub(super) fn run(args: &ExportArgs) -> Result<(), Failure> {
    let mut trace = open(&args.file)?;
    let output = args.output.clone().unwrap_or_else(|| beside_input(&args.file, args.format));
    let progress = Progress::new("export: writing", trace.totals().events)?;
    let mut step = |done| progress.step(done);
    let failed = |error| match error {
        ExportError::Write(error) => Failure::of_file(&output)(error),
        error => unusable(&args.file, error),
    };
    let exported = match args.format {
        TraceFormat::Ctf => {
            if output.exists() {
                let error = io::Error::from(io::ErrorKind::AlreadyExists);
                return Err(Failure::of_file(&output)(error));
            }
            let folder = Builder::new()
                .prefix(".supctl-")
                .permissions(Permissions::from_mode(0o777))
                .tempdir_in(folder_of(&output))
                .map_err(Failure::of_file(&output))?;
            let exported = ctf::export(&mut trace, folder.path(), &mut step).map_err(failed)?;
            let folder = folder.keep();
            fs::rename(&folder, &output).map_err(|error| {
                // Nobody else knows of it; what is left of it is in the way of nothing.
                let _ = fs::remove_dir_all(&folder);
                Failure::of_file(&output)(error)
            })?;
            exported
        }
        TraceFormat::Chrome | TraceFormat::Perfetto => {
            let mut file = beside(&output, ANYBODYS)?;
            let writer = BufWriter::with_capacity(BUFFER_BYTES, file.as_file_mut());
            let exported = if args.format == TraceFormat::Chrome {
                chrome::export(&mut trace, writer, &mut step)
            } else {
                perfetto::export(&mut trace, writer, &mut step)
            };
            let exported = exported.map_err(failed)?;
            put_in_place(file, &output)?;
            exported
        }
    };
    drop(progress);
    let lost = match exported.lost {
        0 => String::new(),
        lost => format!(", {lost} lost"),
    };
    let condition = match trace.condition() {
        sup_trace::Condition::Whole => String::new(),
        cut => format!("; the trace is {cut}"),
    };
    output::line(format_args!("{}: {} events{lost}{condition}", output.display(), exported.events))
}

/// `x.sup` in another format.
fn beside_input(file: &Path, format: TraceFormat) -> PathBuf {
    file.with_extension(format.ending())
}

/// The folder in which a path is.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What any new file may be asked for; the user's mask takes away what it should not be.
pub(super) const ANYBODYS: u32 = 0o666;

/// A file with another name beside this one, which goes if it is not put in its place.
pub(super) fn beside(path: &Path, mode: u32) -> Result<NamedTempFile, Failure> {
    let file = Builder::new()
        .prefix(".supctl-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder_of(path));
    file.map_err(Failure::of_file(path))
}

/// Gives a file its name.
pub(super) fn put_in_place(file: NamedTempFile, path: &Path) -> Result<(), Failure> {
    file.persist(path).map(drop).map_err(|error| Failure::of_file(path)(error.error))
}
