//! The conformance suite: one list of cases, run against every backend.
