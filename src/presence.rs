//! How a user is seen. Of several devices the highest counts.

/// How a user is seen, by its number on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Presence {
    /// Not there, or wishes to be seen so.
    #[default]
    Offline = 0,
    /// There.
    Online = 1,
    /// Connected, but away from it.
    Away = 2,
}

impl Presence {
    /// The presence with this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Presence::Offline),
            1 => Some(Presence::Online),
            2 => Some(Presence::Away),
            _ => None,
        }
    }

    /// Online is above away, and away above offline.
    #[must_use]
    pub const fn rank(self) -> u8 {
        match self {
            Presence::Offline => 0,
            Presence::Away => 1,
            Presence::Online => 2,
        }
    }
}
