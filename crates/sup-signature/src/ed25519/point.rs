//! [`Point`]: a point of the curve -x² + y² = 1 + d·x²·y², in extended coordinates.
//!
//! The formulas are those of Hisil, Wong, Carter and Dawson (2008), which hold for all points. Sums go
//! through [`Addend`], a point made ready to be added often.

use super::field::Element;
use super::scalar::{Digits, Scalar};

/// The curve's d, which is -121665/121666.
const D: Element = Element::constant([
    0xa3, 0x78, 0x59, 0x13, 0xca, 0x4d, 0xeb, 0x75, 0xab, 0xd8, 0x41, 0x41, 0x4d, 0x0a, 0x70, 0x00,
    0x98, 0xe8, 0x79, 0x77, 0x79, 0x40, 0xc7, 0x8c, 0x73, 0xfe, 0x6f, 0x2b, 0xee, 0x6c, 0x03, 0x52,
]);
/// A square root of -1.
const ROOT_OF_MINUS_ONE: Element = Element::constant([
    0xb0, 0xa0, 0x0e, 0x4a, 0x27, 0x1b, 0xee, 0xc4, 0x78, 0xe4, 0x2f, 0xad, 0x06, 0x18, 0x43, 0x2f,
    0xa7, 0xd7, 0xfb, 0x3d, 0x99, 0x00, 0x4d, 0x2b, 0x0b, 0xdf, 0xc1, 0x4f, 0x80, 0x24, 0x83, 0x2b,
]);
const BASE_X: Element = Element::constant([
    0x1a, 0xd5, 0x25, 0x8f, 0x60, 0x2d, 0x56, 0xc9, 0xb2, 0xa7, 0x25, 0x95, 0x60, 0xc7, 0x2c, 0x69,
    0x5c, 0xdc, 0xd6, 0xfd, 0x31, 0xe2, 0xa4, 0xc0, 0xfe, 0x53, 0x6e, 0xcd, 0xd3, 0x36, 0x69, 0x21,
]);
const BASE_Y: Element = Element::constant({
    let mut bytes = [0x66; 32];
    bytes[0] = 0x58;
    bytes
});

/// The sign of x in an encoded point.
const SIGN: u8 = 0x80;

/// A point: x = X/Z, y = Y/Z, x·y = T/Z.
#[derive(Clone, Copy)]
pub(super) struct Point {
    x: Element,
    y: Element,
    z: Element,
    t: Element,
}

/// A point to be added.
#[derive(Clone, Copy)]
struct Addend {
    y_plus_x: Element,
    y_minus_x: Element,
    z: Element,
    t_d: Element,
}

/// A point times 1, 3, 5 and 7.
type Table = [Addend; 4];

impl Point {
    const NEUTRAL: Self =
        Self { x: Element::ZERO, y: Element::ONE, z: Element::ONE, t: Element::ZERO };

    /// The generator of the group.
    fn base() -> Self {
        Self { x: BASE_X, y: BASE_Y, z: Element::ONE, t: BASE_X.multiply(&BASE_Y) }
    }

    /// The point that `bytes` encode; `None` if they encode none, or not in the one right way.
    #[inline(never)]
    pub(super) fn decode(bytes: &[u8; 32]) -> Option<Self> {
        let mut y_bytes = *bytes;
        let [.., last] = &mut y_bytes;
        let is_odd = *last & SIGN != 0;
        *last &= !SIGN;
        let y = Element::canonical(&y_bytes)?;
        let x = Self::x_of(&y)?;
        if x.is_zero() && is_odd {
            return None;
        }
        let x = if x.is_odd() == is_odd { x } else { x.negate() };
        Some(Self { x, y, z: Element::ONE, t: x.multiply(&y) })
    }

    /// A square root of (y² - 1) / (d·y² + 1), if there is one.
    #[inline(never)]
    fn x_of(y: &Element) -> Option<Element> {
        let y2 = y.square();
        let (u, v) = (y2.subtract(&Element::ONE), D.multiply(&y2).add(&Element::ONE));
        let v3 = v.square().multiply(&v);
        let v7 = v3.square().multiply(&v);
        let x = u.multiply(&v3).multiply(&u.multiply(&v7).root_power());
        let check = v.multiply(&x.square());
        if check == u {
            Some(x)
        } else if check == u.negate() {
            Some(x.multiply(&ROOT_OF_MINUS_ONE))
        } else {
            None
        }
    }

    #[inline(never)]
    pub(super) fn encode(&self) -> [u8; 32] {
        let inverse = self.z.invert();
        let x = self.x.multiply(&inverse);
        let mut bytes = self.y.multiply(&inverse).to_bytes();
        let [.., last] = &mut bytes;
        if x.is_odd() {
            *last |= SIGN;
        }
        bytes
    }

    pub(super) fn negated(&self) -> Self {
        Self { x: self.x.negate(), t: self.t.negate(), ..*self }
    }

    /// Whether eight times the point is the neutral one.
    pub(super) fn has_small_order(&self) -> bool {
        let eight = self.doubled().doubled().doubled();
        eight.x.is_zero() && eight.y == eight.z
    }

    #[inline(never)]
    fn doubled(&self) -> Self {
        let (x2, y2, z2) = (self.x.square(), self.y.square(), self.z.square());
        let sum = x2.add(&y2);
        let cross = self.x.add(&self.y).square().subtract(&sum);
        let difference = y2.subtract(&x2);
        let f = difference.subtract(&z2.add(&z2));
        let h = sum.negate();
        Self::completed(&cross, &f, &difference, &h)
    }

    #[inline(never)]
    fn plus(&self, other: &Addend) -> Self {
        let a = self.y.subtract(&self.x).multiply(&other.y_minus_x);
        let b = self.y.add(&self.x).multiply(&other.y_plus_x);
        let c = self.t.multiply(&other.t_d);
        let d = self.z.multiply(&other.z);
        let d = d.add(&d);
        Self::completed(&b.subtract(&a), &d.subtract(&c), &d.add(&c), &b.add(&a))
    }

    /// The end that both formulas share.
    #[inline]
    fn completed(e: &Element, f: &Element, g: &Element, h: &Element) -> Self {
        Self { x: e.multiply(f), y: g.multiply(h), z: f.multiply(g), t: e.multiply(h) }
    }

    #[inline(never)]
    fn addend(&self) -> Addend {
        let t_d = self.t.multiply(&D);
        Addend {
            y_plus_x: self.y.add(&self.x),
            y_minus_x: self.y.subtract(&self.x),
            z: self.z,
            t_d: t_d.add(&t_d),
        }
    }

    #[inline(never)]
    fn fill_table(&self, table: &mut Table) {
        let double = self.doubled().addend();
        let mut multiple = *self;
        for place in table {
            *place = multiple.addend();
            multiple = multiple.plus(&double);
        }
    }
}

impl Addend {
    const NEUTRAL: Self = Self {
        y_plus_x: Element::ONE,
        y_minus_x: Element::ONE,
        z: Element::ONE,
        t_d: Element::ZERO,
    };

    #[inline(never)]
    fn negated(&self) -> Self {
        let Self { y_plus_x, y_minus_x, z, t_d } = *self;
        Self { y_plus_x: y_minus_x, y_minus_x: y_plus_x, z, t_d: t_d.negate() }
    }
}

/// `scalar` times the generator plus `other` times `point`.
#[inline(never)]
pub(super) fn combine(scalar: &Scalar, other: &Scalar, point: &Point) -> Point {
    let (scalar, other) = (scalar.digits(), other.digits());
    combine_digits(&scalar, &other, point)
}

// Each of these has one table in its frame, which both together would make too large.
#[inline(never)]
fn combine_digits(scalar: &Digits, other: &Digits, point: &Point) -> Point {
    let mut table = [Addend::NEUTRAL; 4];
    point.fill_table(&mut table);
    combine_table(scalar, other, &table)
}

#[inline(never)]
fn combine_table(scalar: &Digits, other: &Digits, table: &Table) -> Point {
    let mut base = [Addend::NEUTRAL; 4];
    Point::base().fill_table(&mut base);
    run(scalar, &base, other, table)
}

/// Doubles and adds, from the highest digit on.
#[inline(never)]
fn run(first: &Digits, first_table: &Table, second: &Digits, second_table: &Table) -> Point {
    let mut sum = Point::NEUTRAL;
    for (first, second) in first.iter().zip(second).rev() {
        sum = sum.doubled();
        sum = with_digit(sum, *first, first_table);
        sum = with_digit(sum, *second, second_table);
    }
    sum
}

#[inline]
fn with_digit(sum: Point, digit: i8, table: &Table) -> Point {
    let entry = table.get(usize::from(digit.unsigned_abs()) >> 1);
    match entry {
        Some(addend) if digit > 0 => sum.plus(addend),
        Some(addend) if digit < 0 => sum.plus(&addend.negated()),
        _ => sum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constants_are_what_they_are_called() {
        let small = |number: u32| {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&number.to_le_bytes());
            Element::constant(bytes)
        };
        assert!(D.multiply(&small(121_666)) == small(121_665).negate());
        assert!(ROOT_OF_MINUS_ONE.square() == Element::ONE.negate());
        assert!(BASE_Y.multiply(&small(5)) == small(4));
        assert!(!BASE_X.is_odd());
        assert!(Point::decode(&Point::base().encode()).is_some_and(|point| point.x == BASE_X));
    }
}
