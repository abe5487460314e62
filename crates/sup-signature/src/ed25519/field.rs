//! [`Element`]: a number modulo 2²⁵⁵ - 19, over `fiat-crypto`.
//!
//! Invariant: an element's limbs keep the bounds that `fiat-crypto` calls tight; each operation gives
//! such an element back.

use fiat_crypto::curve25519_64 as fiat;

/// A number modulo 2²⁵⁵ - 19.
#[derive(Clone, Copy)]
pub(super) struct Element(fiat::fiat_25519_tight_field_element);

/// Little-endian bytes of 2²⁵⁵ - 19.
const MODULUS: [u8; 32] = {
    let mut bytes = [0xff; 32];
    bytes[0] = 0xed;
    bytes[31] = 0x7f;
    bytes
};

impl Element {
    pub(super) const ZERO: Self = Self::constant([0; 32]);
    pub(super) const ONE: Self = Self::constant({
        let mut bytes = [0; 32];
        bytes[0] = 1;
        bytes
    });

    /// The number of little-endian `bytes` that is below the modulus.
    pub(super) const fn constant(bytes: [u8; 32]) -> Self {
        let mut element = fiat::fiat_25519_tight_field_element([0; 5]);
        fiat::fiat_25519_from_bytes(&mut element, &bytes);
        Self(element)
    }

    /// The number of little-endian `bytes`; `None` if it is not below the modulus.
    pub(super) fn canonical(bytes: &[u8; 32]) -> Option<Self> {
        is_below(bytes, &MODULUS).then(|| Self::constant(*bytes))
    }

    /// The number below the modulus.
    pub(super) fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        fiat::fiat_25519_to_bytes(&mut bytes, &self.0);
        bytes
    }

    fn relaxed(&self) -> fiat::fiat_25519_loose_field_element {
        fiat::fiat_25519_loose_field_element(self.0.0)
    }

    fn carried(loose: &fiat::fiat_25519_loose_field_element) -> Self {
        let mut out = Self::ZERO;
        fiat::fiat_25519_carry(&mut out.0, loose);
        out
    }

    #[inline]
    pub(super) fn add(&self, other: &Self) -> Self {
        let mut sum = Self::ZERO.relaxed();
        fiat::fiat_25519_add(&mut sum, &self.0, &other.0);
        Self::carried(&sum)
    }

    #[inline]
    pub(super) fn subtract(&self, other: &Self) -> Self {
        let mut difference = Self::ZERO.relaxed();
        fiat::fiat_25519_sub(&mut difference, &self.0, &other.0);
        Self::carried(&difference)
    }

    pub(super) fn negate(&self) -> Self {
        Self::ZERO.subtract(self)
    }

    // Out of line: a point operation has eight of these, and a frame for each when they are inlined.
    #[inline(never)]
    pub(super) fn multiply(&self, other: &Self) -> Self {
        let mut out = Self::ZERO;
        fiat::fiat_25519_carry_mul(&mut out.0, &self.relaxed(), &other.relaxed());
        out
    }

    #[inline(never)]
    pub(super) fn square(&self) -> Self {
        let mut out = Self::ZERO;
        fiat::fiat_25519_carry_square(&mut out.0, &self.relaxed());
        out
    }

    /// `self` to the power of 2 to the power of `count`.
    #[inline(never)]
    fn squared_times(&self, count: u32) -> Self {
        let mut loose = self.relaxed();
        let mut out = *self;
        for _ in 0..count {
            fiat::fiat_25519_carry_square(&mut out.0, &loose);
            loose = out.relaxed();
        }
        out
    }

    /// `self` to the powers of 2²⁵⁰ - 1 and of 11, which both exponents below are made of.
    #[inline(never)]
    fn long_powers(&self) -> (Self, Self) {
        let p2 = self.square();
        let p9 = p2.squared_times(2).multiply(self);
        let p11 = p9.multiply(&p2);
        let ones_5 = p11.square().multiply(&p9);
        let ones_10 = ones_5.squared_times(5).multiply(&ones_5);
        let ones_20 = ones_10.squared_times(10).multiply(&ones_10);
        let ones_40 = ones_20.squared_times(20).multiply(&ones_20);
        let ones_50 = ones_40.squared_times(10).multiply(&ones_10);
        let ones_100 = ones_50.squared_times(50).multiply(&ones_50);
        let ones_200 = ones_100.squared_times(100).multiply(&ones_100);
        (ones_200.squared_times(50).multiply(&ones_50), p11)
    }

    /// The inverse, of zero zero: to the power of 2²⁵⁵ - 21.
    pub(super) fn invert(&self) -> Self {
        let (ones_250, p11) = self.long_powers();
        ones_250.squared_times(5).multiply(&p11)
    }

    /// To the power of 2²⁵² - 3, from which square roots are made.
    pub(super) fn root_power(&self) -> Self {
        let (ones_250, _) = self.long_powers();
        ones_250.squared_times(2).multiply(self)
    }

    pub(super) fn is_zero(&self) -> bool {
        self.to_bytes() == [0; 32]
    }

    /// Whether the number below the modulus is odd: the sign of an encoded point.
    pub(super) fn is_odd(&self) -> bool {
        self.to_bytes().first().is_some_and(|byte| byte & 1 == 1)
    }
}

impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        self.to_bytes() == other.to_bytes()
    }
}

/// Compares little-endian numbers.
pub(super) fn is_below(number: &[u8; 32], limit: &[u8; 32]) -> bool {
    number.iter().rev().lt(limit.iter().rev())
}
