//! The ring-0 modules of the tree, compiled from source at build time.
