//! The session of docs/tracing.md works as written, from a probe to a picture.

mod page;
mod sources;

use std::process::{Command, ExitCode};

/// The page, which has other commands too.
const PAGE: &str = include_str!("../../../docs/tracing.md");
const BEGIN: &str = "## One real session\n";
const END: &str = "\n## ";

fn main() -> ExitCode {
    let has_tool = Command::new("pkg-config").arg("--version").output().is_ok();
    let missing =
        (!has_tool).then_some("there is no pkg-config; on Debian `apt install pkg-config`");
    let (_, behind) = PAGE.split_once(BEGIN).expect("the page has a session");
    let session = behind.split_once(END).map_or(behind, |(session, _)| session);
    page::main("the_session_works_word_for_word", session, 5, missing)
}
