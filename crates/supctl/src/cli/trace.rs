//! The command line of `supctl trace`.
//!
//! Neighbours: `trace/` holds a file for each command here.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use sup::ringtrace::{Comparison, Condition};

use super::{ExportArgs, ReportArgs, number, operation};

#[derive(Debug, Subcommand)]
pub(crate) enum TraceCommand {
    List(TraceListArgs),
    Record(TraceRecordArgs),
    Stat(TraceStatArgs),
    Report(ReportArgs),
    Export(ExportArgs),
}

/// Which tracer, and what is there to be traced
///
/// In the embedded backend each process has a driver of its own: there --load says what is traced.
#[derive(Debug, Args)]
pub(crate) struct TracerArgs {
    /// The tracer's module [default: ringtrace.r0 where supctl was built or installed]
    #[arg(long, value_name = "FILE")]
    pub(crate) tracer: Option<PathBuf>,
    /// Load this ring-0 module first, and free it at the end; may be given more than once
    #[arg(long, value_name = "FILE")]
    pub(crate) load: Vec<PathBuf>,
}

/// Show where probes can fire: providers, probes, arguments, functions and lines
#[derive(Debug, Args)]
pub(crate) struct TraceListArgs {
    /// PROVIDER or PROVIDER:PROBE, with * for any text; without one, all
    #[arg(value_name = "PATTERN", value_parser = pattern)]
    pub(crate) patterns: Vec<Pattern>,
    #[command(flatten)]
    pub(crate) tracer: TracerArgs,
    /// Print one JSON document
    #[arg(long)]
    pub(crate) json: bool,
}

/// Write hits into a file, for `supctl trace report` and the like
///
/// Until Ctrl-C, the end of the command or of the time; a command that runs longer is told to end. The file has its
/// name only when it is whole. A second Ctrl-C ends at once.
#[derive(Debug, Args)]
pub(crate) struct TraceRecordArgs {
    /// Where to write
    #[arg(short, long, value_name = "FILE", default_value = "trace.sup")]
    pub(crate) output: PathBuf,
    #[command(flatten)]
    pub(crate) run: TraceRunArgs,
}

/// Count hits: how many, how many a second, and how long from a begin to its end
///
/// On a terminal the table stays in its place and is drawn anew every second, until Ctrl-C, the end of
/// the command or of the time; else it is printed once at the end. Probes of one provider whose names differ
/// only in the last word make a pair: begin and end, entry and return, start and done. An end belongs to the last
/// begin of the same process, in ring 0 of the same processor.
#[derive(Debug, Args)]
pub(crate) struct TraceStatArgs {
    #[command(flatten)]
    pub(crate) run: TraceRunArgs,
    /// Print one JSON document at the end
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is traced, and for how long
#[derive(Debug, Args)]
pub(crate) struct TraceRunArgs {
    /// PROVIDER or PROVIDER:PROBE, with * for any text; may be given more than once; without one, all but
    /// the driver's own, whose provider is supdrv
    #[arg(long = "filter", value_name = "PATTERN", value_parser = pattern)]
    pub(crate) patterns: Vec<Pattern>,
    /// Count a hit only if this holds of an argument, as in arg1==5; == != < >, unsigned
    #[arg(long = "where", value_name = "CONDITION", value_parser = condition)]
    pub(crate) condition: Option<Condition>,
    #[command(flatten)]
    pub(crate) tracer: TracerArgs,
    /// What happens to a hit when its ring is full
    #[arg(long, value_enum, default_value_t = FullPolicy::Drop)]
    pub(crate) policy: FullPolicy,
    /// Records in the ring of each processor: a power of two
    #[arg(long, value_name = "RECORDS", default_value_t = 32_768)]
    pub(crate) buffer: u32,
    /// End after so long
    #[arg(long, value_name = "S")]
    pub(crate) seconds: Option<u64>,
    /// Call an operation of the last module that was loaded, once, with an argument; then end
    #[arg(long, value_name = "OP[:ARG]", value_parser = call, requires = "load", conflicts_with = "command")]
    pub(crate) call: Option<(u32, u64)>,
    /// A command to run; its end ends the tracing
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// What happens to a hit when its ring is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FullPolicy {
    /// It is lost
    Drop,
    /// It takes the place of the oldest
    Overwrite,
}

/// Names of providers and probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    provider: String,
    probe: Option<String>,
}

impl Pattern {
    pub(crate) fn fits(&self, provider: &str, probe: &str) -> bool {
        fits(&self.provider, provider)
            && self.probe.as_ref().is_none_or(|pattern| fits(pattern, probe))
    }
}

/// Whether a text is what a pattern says, in which * is any text.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(head) else { return false };
    let mut starts = text.char_indices().map(|(start, _)| start).chain([text.len()]);
    starts.any(|start| text.get(start..).is_some_and(|text| fits(rest, text)))
}

fn pattern(text: &str) -> Result<Pattern, String> {
    if text.matches('*').count() > 8 {
        return Err("a pattern has at most 8 *".to_owned());
    }
    let (provider, probe) = match text.split_once(':') {
        Some((provider, probe)) => (provider, Some(probe.to_owned())),
        None => (text, None),
    };
    if provider.is_empty() || probe.as_ref().is_some_and(String::is_empty) {
        return Err("a pattern is PROVIDER or PROVIDER:PROBE; * stands for any text".to_owned());
    }
    Ok(Pattern { provider: provider.to_owned(), probe })
}

fn condition(text: &str) -> Result<Condition, String> {
    let wrong = || "a condition is arg0 to arg4, then ==, !=, < or >, then a number".to_owned();
    let rest = text.trim().strip_prefix("arg").ok_or_else(wrong)?;
    let digit = rest.chars().next().and_then(|digit| digit.to_digit(10)).filter(|digit| *digit < 5);
    let (argument, rest) = (digit.ok_or_else(wrong)?, rest.get(1..).unwrap_or_default().trim());
    let operators = [
        ("==", Comparison::Equal),
        ("!=", Comparison::NotEqual),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
    ];
    let found = operators.iter().find_map(|(text, comparison)| {
        rest.strip_prefix(text).map(|value| (*comparison, value.trim()))
    });
    let (comparison, value) = found.ok_or_else(wrong)?;
    Ok(Condition { argument, comparison, value: number(value)? })
}

fn call(text: &str) -> Result<(u32, u64), String> {
    let (number_of, argument) = text.split_once(':').unwrap_or((text, "0"));
    Ok((operation(number_of)?, number(argument)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text() {
        for (text, provider, probe, is_it) in [
            ("alpha", "alpha", "open", true),
            ("alpha", "alphabet", "open", false),
            ("alpha*", "alphabet", "open", true),
            ("*:open", "x", "open", true),
            ("*:op*n", "x", "open", true),
            ("*:op*n", "x", "openly", false),
            ("a*b*:*", "aübb", "", true),
            ("alpha:*-end", "alpha", "call-end", true),
            ("alpha:*-end", "alpha", "call-begin", false),
        ] {
            assert_eq!(pattern(text).unwrap().fits(provider, probe), is_it, "{text}");
        }
        for wrong in ["", ":x", "x:", "*********"] {
            assert!(pattern(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_condition_is_about_one_argument() {
        let of = |argument, comparison, value| Ok(Condition { argument, comparison, value });
        assert_eq!(condition("arg1==5"), of(1, Comparison::Equal, 5));
        assert_eq!(condition("arg4 != 0x10"), of(4, Comparison::NotEqual, 16));
        assert_eq!(condition("arg0<7"), of(0, Comparison::Less, 7));
        assert_eq!(condition("arg0 > 7"), of(0, Comparison::Greater, 7));
        for wrong in ["", "arg5==1", "arg1=5", "arg1==", "x==1", "arg==1", "argü==1"] {
            assert!(condition(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_call_has_an_operation_and_an_argument() {
        assert_eq!(call("3"), Ok((3, 0)));
        assert_eq!(call("3:0x10"), Ok((3, 16)));
        assert!(call("3:").is_err());
    }
}
