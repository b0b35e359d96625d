//! Kleene's three-valued truth: what an evaluation says when something cannot be known.

/// True, false, or not decidable from what was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tri {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It depends on something that the evaluation was not told.
    Unknown,
}

impl Tri {
    /// Kleene conjunction: false wins over unknown.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::True, Self::True) => Self::True,
            _ => Self::Unknown,
        }
    }

    /// Negated when `inverted` is set (the `!` of an option); unknown stays unknown.
    #[must_use]
    pub fn xor(self, inverted: bool) -> Self {
        match (self, inverted) {
            (Self::True, true) => Self::False,
            (Self::False, true) => Self::True,
            (same, _) => same,
        }
    }
}

impl From<bool> for Tri {
    fn from(b: bool) -> Self {
        if b { Self::True } else { Self::False }
    }
}
