//! How much of everything: the limits that the driver enforces, and its other fixed numbers.
//!
//! The library checks most of them too, to answer without a request; the driver never relies on
//! that. Magic numbers of a structure are beside the structure, those of the request header in
//! `request`.
//!
//! Invariant: a name with `MAX` is itself permitted, a name with `LIMIT` is the first value that is
//! not.

use crate::Pages;

/// What a live object record carries.
pub const OBJECT_MAGIC: u32 = 0x1890_0915;

/// What an object record carries from its last release to the end of its memory.
pub const OBJECT_MAGIC_DEAD: u32 = 0x1976_0112;

/// First and last member of what the hardened stub hands to the library.
pub const PREINIT_MAGIC: u32 = 0xbeef_0001;

/// The most pages of one page allocation, or of one range to be locked.
pub const PAGE_ALLOC_MAX: Pages = Pages::new(65_536);

/// The most pages of one allocation of low or of contiguous memory.
pub const LOW_CONT_ALLOC_MAX: Pages = Pages::new(255);

/// The most bytes of one ring-0 memory allocation that is shared with ring 3.
pub const MEM_ALLOC_BYTES_MAX: u32 = 4_194_303;

/// Entries in one bundle of a session's memory records.
pub const MEMORY_BUNDLE_ENTRIES: usize = 64;

/// Handles that a session can have at once. Their values are 1 to this number.
pub const HANDLES_MAX: u32 = 32_768;

/// Handles in one second-level table.
pub const HANDLES_PER_TABLE: u32 = 2_048;

/// The name that makes a ring-0 image the hypervisor's, with three entries that it must have.
pub const VMM_MODULE_NAME: &str = "VMMR0.r0";

/// Characters in the name of a ring-0 image, without the terminator.
pub const IMAGE_NAME_CHARS_MAX: usize = 31;

/// Characters in the file name of a ring-0 image, without the terminator.
pub const IMAGE_FILE_NAME_CHARS_MAX: usize = 259;

/// Bytes in a ring-0 image with its tables. At least one.
pub const IMAGE_BYTES_MAX: u32 = (16 << 20) - 1;

/// Symbols in a ring-0 image.
pub const IMAGE_SYMBOLS_MAX: u32 = 16_384;

/// Characters in the name of a symbol to be looked up, without the terminator.
pub const SYMBOL_NAME_CHARS_MAX: usize = 63;

/// Characters in the name of a service, without the terminator.
pub const SERVICE_NAME_CHARS_MAX: usize = 27;

/// Bytes in a service call, request header included.
pub const SERVICE_PACKET_BYTES_LIMIT: u32 = 4_096;

/// Bytes in a VMMR0 call, request header included, from which on it goes the way of big requests.
pub const VMMR0_SMALL_PACKET_BYTES_LIMIT: u32 = 4_096;

/// Bytes in the packet of a big VMMR0 call, without the request header.
pub const VMMR0_REQUEST_BYTES_MAX: u32 = 512 << 10;

/// Providers of a session from which on another user module is refused. One module adds at most
/// two, so a session can get one more than this.
pub const TRACER_SESSION_PROVIDERS_LIMIT: u32 = 32;

/// User modules that a session can have registered for tracing.
pub const TRACER_USER_MODULES_MAX: usize = 32;

/// Bits of a user probe's number that index the location; the rest is the module's slot.
pub const TRACER_LOCATION_INDEX_BITS: u32 = 24;

/// Buckets of the table in which processes find a shared copy of a provider object.
pub const TRACER_SHARED_COPY_BUCKETS: usize = 128;

/// Pages that may not be touched. Corresponds to `RTMEM_PROT_NONE`.
pub const RTMEM_PROT_NONE: u32 = 0;

/// Pages that may be read. Corresponds to `RTMEM_PROT_READ`.
pub const RTMEM_PROT_READ: u32 = 1;

/// Pages that may be written. Corresponds to `RTMEM_PROT_WRITE`.
pub const RTMEM_PROT_WRITE: u32 = 2;

/// Pages whose contents may be run. Corresponds to `RTMEM_PROT_EXEC`.
pub const RTMEM_PROT_EXEC: u32 = 4;
