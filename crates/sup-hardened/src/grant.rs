//! Who may write besides owner, group and others: access control lists and file capabilities.
//!
//! Both are extended attributes, whose layouts are the kernel's (linux/posix_acl_xattr.h,
//! linux/capability.h). Neighbours: `system.rs` reads them. Invariant: what cannot be understood
//! counts as a grant.

#[cfg(test)]
mod tests;

/// The attribute that holds an access control list.
pub(crate) const ACL_ATTRIBUTE: &str = "system.posix_acl_access";
/// The attribute that holds what a program may do beyond its user.
pub(crate) const CAPABILITY_ATTRIBUTE: &str = "security.capability";

/// Bit 1 of an entry's rights.
const ACL_WRITE: u16 = 2;
const ACL_VERSION: u32 = 2;
const TAG_USER: u16 = 0x02;
const TAG_GROUP: u16 = 0x08;
const TAG_MASK: u16 = 0x10;

/// Whether a list lets a named user or group write that is not root or root's. Owner, group and others
/// are in the mode too.
pub(crate) fn acl_grants_write(list: &[u8]) -> bool {
    let Some((version, entries)) = list.split_first_chunk::<4>() else { return true };
    let (entries, rest) = entries.as_chunks::<8>();
    if u32::from_le_bytes(*version) != ACL_VERSION || !rest.is_empty() {
        return true;
    }
    let entries = || {
        entries.iter().map(|[a, b, c, d, id @ ..]| {
            (u16::from_le_bytes([*a, *b]), u16::from_le_bytes([*c, *d]), u32::from_le_bytes(*id))
        })
    };
    // Named users and groups can do at most what the mask says.
    let mask =
        entries().find(|(tag, ..)| *tag == TAG_MASK).map_or(ACL_WRITE, |(_, rights, _)| rights);
    entries().any(|(tag, rights, id)| {
        matches!(tag, TAG_USER | TAG_GROUP) && id != 0 && rights & mask & ACL_WRITE != 0
    })
}

/// CAP_CHOWN, CAP_DAC_OVERRIDE and CAP_FOWNER: who has them may write what is not his, or take it.
const WRITING: u32 = 1 << 0 | 1 << 1 | 1 << 3;

/// Whether a program gets, or can inherit, the right to write what belongs to others.
pub(crate) fn capability_grants_write(attribute: &[u8]) -> bool {
    // Revision and flags, permitted, inheritable; the upper halves follow, in which there is no such right.
    let (words, _) = attribute.as_chunks::<4>();
    match words {
        [_, permitted, inheritable, ..] => {
            (u32::from_le_bytes(*permitted) | u32::from_le_bytes(*inheritable)) & WRITING != 0
        }
        _ => true,
    }
}
