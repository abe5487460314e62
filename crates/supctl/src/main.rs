//! The command of supdrv: check a machine, look at its clock, load and call ring-0 modules.
fn main() {}
