//! Points in time across restarts. While a process runs its clock only counts; between two of them there
//! is the wall clock, which may have been set meanwhile.
//!
//! A record says when it was written and by which boot of the machine, with the wall clock's reading at
//! that boot. Within one boot the machine's uptime tells how much time has really gone by, so a wall clock
//! that was set in between changes nothing: the points move along with it. Across boots the wall clock has
//! to be believed, with one limit: nothing was written in the future, so what says so moves back until it
//! was written now. A page is then as fresh as when it was written: it neither lives for ever nor is it
//! lost. A clock that ran ahead only makes pages stale early, and nothing is thrown away for its age.

use crate::policy::{Lifetime, Timestamp};
use std::fs;
use xxhash_rust::xxh3::xxh3_64;

/// When something was written, in a form that another process can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// The writer's clock.
    pub(super) at: Timestamp,
    /// Which boot of the machine; zero: not known.
    pub(super) boot: u64,
    /// What the writer's clock would have shown at that boot, in milliseconds since 1970; it may be negative.
    pub(super) boot_at: i64,
}

/// This process's clock, in relation to its machine's boot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wall {
    boot: u64,
    boot_at: i64,
}

impl Wall {
    /// `now` is the reading of the process's clock.
    pub(super) fn at(now: Timestamp) -> Wall {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").map_or(0, |id| xxh3_64(id.trim().as_bytes()));
        match (boot, uptime()) {
            (1.., Some(uptime)) => Wall { boot, boot_at: signed(now.millis()) - uptime },
            _ => Wall { boot: 0, boot_at: 0 },
        }
    }

    /// For a record that is written at `now`.
    pub(super) fn written(&self, now: Timestamp) -> Written {
        Written { at: now, boot: self.boot, boot_at: self.boot_at }
    }

    /// What a lifetime that was written down then is for this process at `now`.
    pub(super) fn here(&self, lifetime: Lifetime, written: Written, now: Timestamp) -> Lifetime {
        let shift = if written.boot != 0 && written.boot == self.boot {
            self.boot_at.saturating_sub(written.boot_at)
        } else {
            0
        };
        let ahead = signed(written.at.millis()).saturating_add(shift).saturating_sub(signed(now.millis()));
        let shift = shift.saturating_sub(ahead.max(0));
        Lifetime {
            born: moved(lifetime.born, shift),
            fresh_until: moved(lifetime.fresh_until, shift),
            while_revalidate_until: moved(lifetime.while_revalidate_until, shift),
            if_error_until: moved(lifetime.if_error_until, shift),
            has_ttl: lifetime.has_ttl,
        }
    }
}

/// Milliseconds since the machine's boot, time asleep included.
fn uptime() -> Option<i64> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    let (whole, rest) = text.split_whitespace().next()?.split_once('.')?;
    let hundredths: i64 = rest.parse().ok()?;
    Some(whole.parse::<i64>().ok()?.checked_mul(1000)? + hundredths * 10)
}

fn signed(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}

fn moved(point: Timestamp, by: i64) -> Timestamp {
    if point == Timestamp::FOREVER || point == Timestamp::EPOCH {
        return point;
    }
    Timestamp::from_millis(point.millis().saturating_add_signed(by))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const DAY: u64 = 86_400_000;
    const THEN: u64 = 1_700_000_000_000;

    fn lifetime(born: u64) -> Lifetime {
        let at = Timestamp::from_millis;
        Lifetime {
            born: at(born),
            fresh_until: at(born + 60_000),
            while_revalidate_until: at(born + 120_000),
            if_error_until: Timestamp::FOREVER,
            has_ttl: true,
        }
    }

    fn wall(boot: u64, boot_at: u64) -> Wall {
        Wall { boot, boot_at: signed(boot_at) }
    }

    /// Ten seconds go by and the clock is set by a day in either direction: ten seconds have gone by.
    #[test]
    fn within_one_boot_a_clock_that_was_set_changes_nothing() {
        let written = wall(7, THEN - 1000).written(Timestamp::from_millis(THEN));
        for jump in [0, signed(DAY), -signed(DAY)] {
            let now = Timestamp::from_millis((THEN + 10_000).saturating_add_signed(jump));
            let here = wall(7, (THEN - 1000).saturating_add_signed(jump)).here(lifetime(THEN), written, now);
            assert_eq!(now.since(here.born), Duration::from_secs(10), "{jump}");
            assert_eq!(here.fresh_until.since(now), Duration::from_secs(50), "{jump}");
            assert_eq!(here.while_revalidate_until.since(now), Duration::from_secs(110), "{jump}");
            assert_eq!(here.if_error_until, Timestamp::FOREVER);
        }
    }

    /// After a reboot with a clock that is a day behind, a page is as fresh as when it was written.
    #[test]
    fn what_was_written_in_the_future_was_written_now() {
        let written = wall(7, THEN - 1000).written(Timestamp::from_millis(THEN + 5000));
        let now = Timestamp::from_millis(THEN - DAY);
        let here = wall(8, THEN - DAY - 1000).here(lifetime(THEN), written, now);
        assert_eq!(now.since(here.born), Duration::from_secs(5));
        assert_eq!(here.fresh_until.since(now), Duration::from_secs(55));
    }

    /// After a reboot the time that it took counts.
    #[test]
    fn across_boots_the_wall_clock_tells() {
        let written = wall(7, THEN - 1000).written(Timestamp::from_millis(THEN));
        let here = wall(8, THEN).here(lifetime(THEN), written, Timestamp::from_millis(THEN + DAY));
        assert_eq!(here, lifetime(THEN));
    }

    #[test]
    fn this_machine_knows_when_it_was_started() {
        let now = Timestamp::from_millis(THEN);
        let wall = Wall::at(now);
        assert!(wall.boot == 0 || wall.boot_at <= signed(THEN));
        assert_eq!(wall.written(now).at, now);
    }
}
