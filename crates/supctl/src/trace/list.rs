//! `supctl trace list`: where probes can fire.

use serde::Serialize;
use sup::ringtrace::ProbeLocation;

use super::Opened;
use crate::cli::TraceListArgs;
use crate::failure::Failure;
use crate::output;

/// What the JSON document has.
#[derive(Debug, Serialize)]
struct List {
    backend: &'static str,
    locations: Vec<Listed>,
}

/// A place where a probe fires.
#[derive(Debug, Serialize)]
struct Listed {
    id: u32,
    provider: String,
    probe: String,
    module: String,
    function: String,
    line: u32,
    /// 0 in ring 0.
    process: u32,
    arguments: Vec<Argument>,
    /// Code, data and class of the provider, its modules, functions, names and arguments.
    stability: [[u8; 3]; 5],
}

#[derive(Debug, Serialize)]
struct Argument {
    r#type: String,
    flags: u32,
}

impl From<ProbeLocation> for Listed {
    fn from(at: ProbeLocation) -> Self {
        let arguments = at.arguments.into_iter();
        Self {
            id: at.id,
            provider: at.provider,
            probe: at.probe,
            module: at.module,
            function: at.function,
            line: at.line,
            process: at.process,
            arguments: arguments
                .map(|argument| Argument { r#type: argument.type_text, flags: argument.flags })
                .collect(),
            stability: at.attributes,
        }
    }
}

pub(super) fn run(args: &TraceListArgs) -> Result<(), Failure> {
    let opened = Opened::new(&args.tracer)?;
    let found = opened.locations(&args.patterns)?;
    if args.json {
        let backend = opened.session.backend().kind().name();
        let locations = found.into_iter().map(Listed::from).collect();
        return output::json(&List { backend, locations });
    }
    if found.is_empty() {
        return output::line(opened.nothing());
    }
    output::trace_locations(&found)
}
