//! The driver in a process: the host that needs no kernel module.
