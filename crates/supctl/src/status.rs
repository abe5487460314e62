//! `supctl status`: what a status means.

use sup::Status;

use crate::cli::StatusArgs;
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(args: &StatusArgs) -> Result<(), Failure> {
    match args.status {
        None => output::statuses(Status::ALL),
        Some(status) => {
            let meaning = status.meaning().ok_or(Failure::UnknownStatus(status))?;
            output::line(format_args!("{status}: {meaning}"))
        }
    }
}
