//! Owners whose constructors can fail: what ring 0 uses instead of Box, Arc and Vec::push.
