//! [`Attributes`]: how far each part of a provider may be relied on.
//!
//! Neighbours: `object` writes them into the provider's record; `sup-abi` has the record. Invariant: every
//! value here is one that the driver's validator accepts.

/// How stable names or data are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stability {
    /// For its maker only.
    Internal = 1,
    /// For whoever is close to its maker.
    Private = 2,
    /// Will go.
    Obsolete = 3,
    /// In the hands of somebody else.
    External = 4,
    /// May change in any release.
    Unstable = 5,
    /// Becoming stable.
    Evolving = 6,
    /// Changes with major releases only.
    Stable = 7,
    /// As a standard has it.
    Standard = 8,
}

/// What something depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// Nobody knows.
    Unknown = 1,
    /// The model of the processor.
    Cpu = 2,
    /// The platform.
    Platform = 3,
    /// The platform's group.
    Group = 4,
    /// The instruction set.
    Isa = 5,
    /// Nothing.
    Common = 6,
}

/// Of one part of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute {
    /// How stable the names are.
    pub code: Stability,
    /// How stable the data is.
    pub data: Stability,
    /// What it depends on.
    pub class: Class,
}

/// Of all parts of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Of the provider itself.
    pub provider: Attribute,
    /// Of the names of modules.
    pub modules: Attribute,
    /// Of the names of functions.
    pub functions: Attribute,
    /// Of the names of probes.
    pub names: Attribute,
    /// Of the arguments.
    pub arguments: Attribute,
}

impl Attribute {
    /// What a provider has that says nothing: evolving names and data, which depend on the instruction set.
    pub const EVOLVING: Self =
        Self { code: Stability::Evolving, data: Stability::Evolving, class: Class::Isa };
}

impl Attributes {
    /// All parts alike.
    #[must_use]
    pub const fn all(attribute: Attribute) -> Self {
        Self {
            provider: attribute,
            modules: attribute,
            functions: attribute,
            names: attribute,
            arguments: attribute,
        }
    }
}
