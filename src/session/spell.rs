//! Whether sessions lend their connections, which may change while they last (pure).
//!
//! A session that lends has its nodes tell more from its beginning than one that does not. So only those lend that have begun since it was
//! turned on last.

/// How often it was turned on and off: odd while it is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spell(u32);

impl Spell {
    /// As it is on from now on, or off.
    pub(super) fn next(self, is_on: bool) -> Self {
        if is_on == self.is_on() { self } else { Self(self.0.wrapping_add(1)) }
    }

    /// Has it ever been on?
    pub(super) fn has_begun(self) -> bool {
        self != Self::default()
    }

    /// Does a session lend that has begun then?
    pub(super) fn lends(self, then: Self) -> bool {
        self.is_on() && self == then
    }

    fn is_on(self) -> bool {
        self.0 % 2 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_lend_that_have_begun_since() {
        let never = Spell::default();
        let on = never.next(false).next(true);
        let off = on.next(true).next(false);
        let again = off.next(true);
        assert!(!never.has_begun() && on.has_begun() && off.has_begun());
        for (now, then, lends) in [
            (never, never, false),
            (on, never, false),
            (on, on, true),
            (off, on, false),
            (again, on, false),
            (again, again, true),
        ] {
            assert_eq!(now.lends(then), lends, "{now:?} {then:?}");
        }
    }
}
