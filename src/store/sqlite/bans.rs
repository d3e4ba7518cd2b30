//! Who is kept out: the table `bans`, read by the server and written by the operator's commands.

use super::chat::sql;
use super::fault::Done;
use crate::error::Refusal;
use crate::id::{Micros, UserId};
use crate::policy::bans::{Ban, Bans, Network};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// What a banned user is told; `None`: the user is not banned now.
pub(super) fn of_user(db: &Connection, user: UserId, now: Micros) -> rusqlite::Result<Option<Refusal>> {
    let ban = db
        .prepare_cached("SELECT until, reason FROM bans WHERE user = ?1")?
        .query_row(params![sql(user.0)], |row| ban_at(row, 0))
        .optional()?;
    Ok(ban.filter(|ban| ban.holds(now)).map(|ban| ban.refusal("user", now)))
}

/// The addresses that are banned.
pub(super) fn of_addresses(db: &Connection) -> Done<Bans> {
    let bans = db
        .prepare_cached("SELECT until, reason, address FROM bans WHERE address IS NOT NULL")?
        .query_map([], |row| Ok((row.get::<_, String>(2)?, ban_at(row, 0)?)))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let is_network = |(address, ban): (String, Ban)| match address.parse::<Network>() {
        Ok(network) => Some((network, ban)),
        Err(why) => {
            log::error!("store: the ban of {address} is without effect: it is {why}");
            None
        }
    };
    Ok(bans.into_iter().filter_map(is_network).collect())
}

/// Two columns: until, reason.
pub(super) fn ban_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Ban> {
    Ok(Ban { until: row.get(column)?, reason: row.get(column + 1)? })
}
