//! [`Rule`]: what has to be true of a path and of each object on it, and [`broken_rules`], which judges.
//!
//! Judging looks at [`Facts`] alone and asks nobody, so that every rule is tested without root. The order
//! of the rules is part of the interface: callers see the status of the first that is broken.
//! Neighbours: `path.rs` judges paths, `violation.rs` says it to people.

use rustix::fs::Mode;
use sup_abi::Status;

use crate::{Facts, Kind};

/// What a path is wanted to lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// Either of them.
    Either,
}

/// A rule, by what it demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The path starts with a slash.
    PathStartsAtRoot,
    /// The path is not the root itself.
    PathIsNotRoot,
    /// The path has more than two bytes behind the root.
    PathIsLongEnough,
    /// The path has no empty component, no `.` and no zero byte.
    PathIsClean,
    /// The path has no `..`.
    PathNeverGoesUp,
    /// The path has at most 32 components.
    PathHasFewComponents,
    /// The path has fewer than 260 bytes.
    PathIsShort,
    /// The object is there and can be examined.
    CanBeExamined,
    /// The object is root's.
    OwnerIsRoot,
    /// The object is no symbolic link.
    IsNoLink,
    /// The object is a file or a folder.
    IsFileOrFolder,
    /// The object is a file.
    IsFile,
    /// The object is a folder.
    IsFolder,
    /// No group but root's may write.
    GroupCannotWrite,
    /// No access control list lets anybody else write.
    AclGrantsNothing,
    /// Not everybody may write.
    OthersCannotWrite,
    /// Running it gives nobody the right to write what is not his.
    CapabilityGrantsNothing,
    /// What is opened is what was examined.
    IsSameObject,
    /// The folder can be listed to its end.
    CanBeListed,
}

impl Rule {
    /// The status of the function that finds it broken.
    pub fn status(self) -> Status {
        match self {
            Self::PathStartsAtRoot | Self::PathNeverGoesUp => Status::VERR_SUPLIB_PATH_NOT_ABSOLUTE,
            Self::PathIsNotRoot => Status::VERR_SUPLIB_PATH_IS_ROOT,
            Self::PathIsLongEnough => Status::VERR_SUPLIB_PATH_TOO_SHORT,
            Self::PathIsClean => Status::VERR_SUPLIB_PATH_NOT_CLEAN,
            Self::PathHasFewComponents => Status::VERR_SUPLIB_PATH_TOO_MANY_COMPONENTS,
            Self::PathIsShort => Status::VERR_SUPLIB_PATH_TOO_LONG,
            Self::CanBeExamined => Status::VERR_SUPLIB_STAT_FAILED,
            Self::OwnerIsRoot => Status::VERR_SUPLIB_OWNER_NOT_ROOT,
            Self::IsNoLink => Status::VERR_SUPLIB_SYMLINKS_ARE_NOT_PERMITTED,
            Self::IsFileOrFolder => Status::VERR_SUPLIB_NOT_DIR_NOT_FILE,
            Self::IsFile => Status::VERR_SUPLIB_IS_DIRECTORY,
            Self::IsFolder => Status::VERR_SUPLIB_IS_FILE,
            Self::GroupCannotWrite | Self::AclGrantsNothing => {
                Status::VERR_SUPLIB_WRITE_NON_SYS_GROUP
            }
            Self::OthersCannotWrite | Self::CapabilityGrantsNothing => {
                Status::VERR_SUPLIB_WORLD_WRITABLE
            }
            Self::IsSameObject => Status::VERR_SUPLIB_NOT_SAME_OBJECT,
            Self::CanBeListed => Status::VERR_SUPLIB_DIR_ENUM_FAILED,
        }
    }

    /// What is wrong where the rule is broken.
    pub fn complaint(self) -> &'static str {
        match self {
            Self::PathStartsAtRoot => "the path does not start at the root",
            Self::PathIsNotRoot => "the path is the root itself",
            Self::PathIsLongEnough => "the path is too short to name anything",
            Self::PathIsClean => "a component of the path is empty, '.' or has a zero byte",
            Self::PathNeverGoesUp => "the path goes up with '..'",
            Self::PathHasFewComponents => "the path has more than 32 components",
            Self::PathIsShort => "the path is longer than 259 bytes",
            Self::CanBeExamined => "it cannot be examined",
            Self::OwnerIsRoot => "it does not belong to root",
            Self::IsNoLink => "it is a symbolic link",
            Self::IsFileOrFolder => "it is neither a file nor a folder",
            Self::IsFile => "it is a folder where a file is wanted",
            Self::IsFolder => "it is a file where a folder is wanted",
            Self::GroupCannotWrite => "a group other than root's may write",
            Self::AclGrantsNothing => "an access control list lets others than root write",
            Self::OthersCannotWrite => "everybody may write",
            Self::CapabilityGrantsNothing => {
                "running it gives the right to write what belongs to others"
            }
            Self::IsSameObject => "it was exchanged or changed while it was examined",
            Self::CanBeListed => "it cannot be listed",
        }
    }

    /// What would mend it, with `{}` for the path.
    pub(crate) fn remedy(self) -> &'static str {
        match self {
            Self::PathStartsAtRoot | Self::PathNeverGoesUp | Self::PathIsClean => {
                "give the path as `realpath` shows it"
            }
            Self::PathIsNotRoot | Self::PathIsLongEnough => "name a file or folder below the root",
            Self::PathHasFewComponents | Self::PathIsShort => "install it less deep",
            Self::CanBeExamined => "see that it is there and that its folder may be searched",
            Self::OwnerIsRoot => "chown root {}",
            Self::IsNoLink => "use the path that the link leads to, or put the thing itself there",
            Self::IsFileOrFolder | Self::IsFile | Self::IsFolder => "correct the path",
            Self::GroupCannotWrite => "chmod g-w {}",
            Self::AclGrantsNothing => "setfacl -b {}",
            Self::OthersCannotWrite => "chmod o-w {}",
            Self::CapabilityGrantsNothing => "setcap -r {}",
            Self::IsSameObject => "try again, and see who changes it",
            Self::CanBeListed => "see that this user may read it",
        }
    }
}

/// The rules that an object breaks, in the order in which they are judged.
pub fn broken_rules(facts: &Facts, wanted: Wanted) -> impl Iterator<Item = Rule> {
    let is_plain = matches!(facts.kind, Kind::File | Kind::Folder);
    let group_writes = facts.mode.contains(Mode::WGRP) && !facts.group.is_root();
    [
        // First, so that a link of a user's is told from one of root's.
        (!facts.owner.is_root(), Rule::OwnerIsRoot),
        (facts.kind == Kind::Link, Rule::IsNoLink),
        (facts.kind == Kind::Other, Rule::IsFileOrFolder),
        (facts.kind == Kind::Folder && wanted == Wanted::File, Rule::IsFile),
        (facts.kind == Kind::File && wanted == Wanted::Folder, Rule::IsFolder),
        // The mode of a link says nothing, and what is neither file nor folder is refused anyway.
        (is_plain && group_writes, Rule::GroupCannotWrite),
        (is_plain && facts.acl_grants_write, Rule::AclGrantsNothing),
        (is_plain && facts.mode.contains(Mode::WOTH), Rule::OthersCannotWrite),
        (is_plain && facts.capability_grants_write, Rule::CapabilityGrantsNothing),
    ]
    .into_iter()
    .filter_map(|(is_broken, rule)| is_broken.then_some(rule))
}
