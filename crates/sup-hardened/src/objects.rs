//! [`Objects`]: what a walk needs of a file system.
//!
//! Neighbours: `system.rs` is the real one; `fake.rs` one in memory, on which every rule is tested without
//! root. Invariant: a handle stays with its object, whatever happens to names meanwhile.

use std::ops::ControlFlow;

use rustix::io::Errno;

use crate::Facts;

/// A file system, by handles of its objects.
pub trait Objects {
    /// A handle of an object, open until it is dropped.
    type Handle;

    /// Opens the root.
    ///
    /// # Errors
    /// The system's.
    fn root(&self) -> Result<Self::Handle, Errno>;

    /// What is known of the root.
    ///
    /// # Errors
    /// The system's.
    fn root_facts(&self) -> Result<Facts, Errno> {
        self.facts(&self.root()?)
    }

    /// Opens what is called `name` in a folder, to examine it only. A link is not followed.
    ///
    /// # Errors
    /// The system's.
    fn open(&self, folder: &Self::Handle, name: &[u8]) -> Result<Self::Handle, Errno>;

    /// Opens the folder at a path from the root, to examine it only. A link is not followed, wherever it
    /// is on the path.
    ///
    /// # Errors
    /// The system's; that it cannot do this, unless an implementation can.
    fn open_straight(&self, path: &[u8]) -> Result<Self::Handle, Errno> {
        let _ = path;
        Err(Errno::NOSYS)
    }

    /// What is known of the folder that stands `levels` above an open one now; the root is above itself.
    ///
    /// # Errors
    /// The system's; that it cannot do this, unless an implementation can.
    fn ancestor(&self, folder: &Self::Handle, levels: usize) -> Result<Facts, Errno> {
        let _ = (folder, levels);
        Err(Errno::NOSYS)
    }

    /// What is known of an object.
    ///
    /// # Errors
    /// The system's.
    fn facts(&self, object: &Self::Handle) -> Result<Facts, Errno>;

    /// Opens the file called `name` in a folder to read it. A link is not followed.
    ///
    /// # Errors
    /// The system's.
    fn open_to_read(&self, folder: &Self::Handle, name: &[u8]) -> Result<Self::Handle, Errno>;

    /// Opens a folder to list it.
    ///
    /// # Errors
    /// The system's.
    fn open_to_list(&self, folder: &Self::Handle) -> Result<Self::Handle, Errno>;

    /// Calls `each` with the names in a folder that was opened to be listed, itself and the one above
    /// it left out.
    ///
    /// # Errors
    /// The system's; names may have been told before.
    fn names(
        &self,
        folder: &Self::Handle,
        each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), Errno>;
}
