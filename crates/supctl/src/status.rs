//! `supctl status`: what a status means.

use sup::Status;

use crate::cli::StatusArgs;
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(args: &StatusArgs) -> Result<(), Failure> {
    match args.status {
        None => output::statuses(Status::ALL),
        Some(status) => {
            let row = Status::ALL.iter().find(|row| row.0 == status);
            output::statuses(&[*row.ok_or(Failure::UnknownStatus(status))?])
        }
    }
}
