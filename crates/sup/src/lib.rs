//! The ring-3 library: sessions, memory, semaphores, time and ring-0 modules, as safe Rust.
