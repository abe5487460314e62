//! `supctl trace`: what probes there are, and how often they fire.
//!
//! Neighbours: `cli/trace.rs` parses, `sup::ringtrace` is the client of the tracer in the box. Invariant: when a
//! command ends, everything that it switched on is off, since the tracer is closed with it.

mod ends;
mod export;
mod file;
mod list;
mod record;
mod report;
mod run;
pub(crate) mod stat;

use std::path::{Path, PathBuf};

use sup::backend::Kind;
use sup::ringtrace::{ProbeLocation, RingTracer};
use sup::{ServiceModule, Session};
use sup_abi::DRIVER_PROVIDER;
use sup_trace::{Argument, Probe};

use crate::cli::{Pattern, TraceCommand, TracerArgs};
use crate::failure::Failure;

pub(crate) fn run(command: &TraceCommand) -> Result<(), Failure> {
    match command {
        TraceCommand::List(args) => list::run(args),
        TraceCommand::Record(args) => record::run(args),
        TraceCommand::Stat(args) => stat::run(args),
        TraceCommand::Report(args) => report::run(args),
        TraceCommand::Export(args) => export::run(args),
    }
}

/// The tracer, and the modules that were loaded for it.
struct Opened {
    // Dropped in this order: the tracer first.
    tracer: RingTracer,
    modules: Vec<ServiceModule>,
    session: Session,
}

impl Opened {
    fn new(args: &TracerArgs) -> Result<Self, Failure> {
        let session = Session::open()?;
        let modules =
            args.load.iter().map(|file| load(&session, file)).collect::<Result<_, _>>()?;
        let file = match &args.tracer {
            Some(file) => file.clone(),
            None => find()?,
        };
        let image = sup::read_signed(&file).map_err(Failure::of_file(&file))?;
        let tracer = RingTracer::open_image(session.backend().kind(), &image)?;
        Ok(Self { tracer, modules, session })
    }

    /// The locations that one of the patterns fits; all, if there is none.
    fn locations(&self, patterns: &[Pattern]) -> Result<Vec<ProbeLocation>, Failure> {
        let mut found = self.tracer.locations()?;
        found.retain(|at| {
            patterns.is_empty() || patterns.iter().any(|one| one.fits(&at.provider, &at.probe))
        });
        Ok(found)
    }

    /// The locations that are to be traced: those of [`Self::locations`], but the driver's own only if asked for.
    fn traced(&self, patterns: &[Pattern]) -> Result<Vec<ProbeLocation>, Failure> {
        let mut found = self.locations(patterns)?;
        found.retain(|at| !patterns.is_empty() || at.provider != DRIVER_PROVIDER);
        Ok(found)
    }

    /// Ticks of the records' clock a second; 0 if nobody knows.
    fn tsc_hz(&self) -> Result<u64, Failure> {
        Ok(self.session.gip()?.cpu_hz().unwrap_or(0))
    }

    /// What to say if there are none.
    fn nothing(&self) -> &'static str {
        match self.session.backend().kind() {
            Kind::Kernel => "no such probe: nobody has registered one",
            Kind::Embedded => {
                "no such probe in this process: each process has a driver of its own, and --load brings modules here"
            }
        }
    }
}

/// Loads a module whose service is named like its file.
fn load(session: &Session, file: &Path) -> Result<ServiceModule, Failure> {
    let image = sup::read_signed(file).map_err(Failure::of_file(file))?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let handler = format!("{name}ServiceReqHandler");
    Ok(session.load_service_image(&image, &name, &handler)?)
}

/// The tracer's module: in an installation, or where the tree is built.
fn find() -> Result<PathBuf, Failure> {
    /// Installed; built, for this machine or for one that was named, or by a sanitizer's build besides.
    const PLACES: [&str; 4] = [
        "../lib/supdrv/ringtrace.r0",
        "../r0/ringtrace.r0",
        "../../r0/ringtrace.r0",
        "../../../r0/ringtrace.r0",
    ];
    let program = std::env::current_exe().unwrap_or_default();
    let folder = program.parent().unwrap_or(Path::new("."));
    let mut places = PLACES.iter().map(|place| folder.join(place));
    places.find(|place| place.is_file()).ok_or(Failure::Missing {
        what: "the tracer's module, ringtrace.r0,",
        how: "`supctl module build modules/ringtrace` makes it, --tracer FILE names it",
    })
}

/// A location as trace files have it.
fn probe(at: &ProbeLocation) -> Probe {
    let arguments = at.arguments.iter();
    let stability = at.attributes.map(|of| of.map(|number| number.to_string()).join("/"));
    Probe {
        id: at.id,
        provider: at.provider.clone(),
        probe: at.probe.clone(),
        module: at.module.clone(),
        function: at.function.clone(),
        line: at.line,
        stability: stability.join(" "),
        arguments: arguments
            .map(|argument| Argument {
                type_text: argument.type_text.clone(),
                flags: argument.flags,
            })
            .collect(),
    }
}
