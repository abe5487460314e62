//! [`Refusal`]: why a signature does not do, each with its own sentence and status.

use core::fmt;

use sup_abi::Status;

/// Why a signature does not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no signature, and one is demanded.
    Missing,
    /// The file ends within its signature block.
    Truncated,
    /// The block has a format or a flag of a later version.
    UnknownFormat,
    /// A field of the block is not in its one right form.
    Malformed,
    /// The content is not what was signed.
    OtherContent,
    /// The image is to be loaded under another name than it was signed for.
    OtherName,
    /// The driver is older than the signer demands.
    OlderDriver,
    /// The signature is not that of the key it names.
    WrongSignature,
    /// The key is none of those that are trusted.
    UnknownKey,
    /// The signer does not declare that the code keeps the kernel's rules.
    NotKernelGrade,
}

impl Refusal {
    /// The status of a load that is refused for it.
    pub fn status(self) -> Status {
        match self {
            Self::Missing | Self::UnknownKey | Self::WrongSignature | Self::OtherContent => {
                Status::VERR_ACCESS_DENIED
            }
            Self::Truncated | Self::Malformed => Status::VERR_BAD_EXE_FORMAT,
            Self::UnknownFormat | Self::OlderDriver => Status::VERR_VERSION_MISMATCH,
            Self::OtherName => Status::VERR_INVALID_PARAMETER,
            Self::NotKernelGrade => Status::VERR_NOT_SUPPORTED,
        }
    }
}

impl fmt::Display for Refusal {
    /// The sentence without its final stop.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the module is not signed, and this driver loads signed ones only",
            Self::Truncated => "the file ends within its signature block",
            Self::UnknownFormat => {
                "the signature block has a format that this version does not know"
            }
            Self::Malformed => "the signature block is damaged",
            Self::OtherContent => "the module is not what was signed: its content has another hash",
            Self::OtherName => "the module was signed for another name",
            Self::OlderDriver => "the module was signed for a newer driver",
            Self::WrongSignature => "the signature is not that of the key which it names",
            Self::UnknownKey => "the module is signed by a key that this driver does not trust",
            Self::NotKernelGrade => {
                "the signer does not declare that the module's code keeps the kernel's rules"
            }
        })
    }
}
