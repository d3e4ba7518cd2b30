//! How the file descriptors that the system allows are shared out: connections, those at the door, all else.

/// Descriptors for what is no connection: the database, files of media, those who wait at the door.
const SPARE: usize = 512;
/// Who may wait for a place at most.
const WAITING: usize = 1024;
/// Who may be told at once why they are not let in, at most.
const TURNED_AWAY: usize = 256;

/// Who may have a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shares {
    /// Connections.
    pub(super) places: usize,
    /// Who waits for a place.
    pub(super) waiting: usize,
    /// Who is told why they are not let in.
    pub(super) turned_away: usize,
}

/// As many connections as are wished for, if the system has a descriptor for each.
pub(super) fn share(wished: usize) -> Shares {
    let wanted = (wished + SPARE + WAITING + TURNED_AWAY) as u64;
    let allowed = rlimit::increase_nofile_limit(wanted).unwrap_or(u64::MAX);
    let shares = Shares::of(wished, usize::try_from(allowed).unwrap_or(usize::MAX));
    if shares.places < wished {
        let places = shares.places;
        log::warn!(
            "limits.connections is {wished}, but the system allows {allowed} open files: at most {places} \
             connections are served; raise the limit (ulimit -n, LimitNOFILE) or lower the setting"
        );
    }
    shares
}

impl Shares {
    /// Those at the door have at most three quarters of what is spare: the database needs some too.
    fn of(wished: usize, allowed: usize) -> Shares {
        let places = wished.min(allowed.saturating_sub(SPARE).max(allowed / 2)).max(1);
        let spare = allowed.saturating_sub(places);
        Shares { places, waiting: WAITING.min(spare / 2), turned_away: TURNED_AWAY.min(spare / 4) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_at_the_door_leaves_some_for_the_rest() {
        for (wished, allowed, places, waiting, turned_away) in [
            (10_000, 20_000, 10_000, 1024, 256),
            (20_000, 20_000, 19_488, 256, 128),
            (10_000, 1024, 512, 256, 128),
            (10_000, 256, 128, 64, 32),
            (1, 1024, 1, 511, 255),
        ] {
            let want = Shares { places, waiting, turned_away };
            assert_eq!(Shares::of(wished, allowed), want, "{wished} of {allowed}");
        }
    }
}
