//! `chatwire restore`: data again from a backup, for a server to go on with.

use super::super::admin::AdminError;
use super::super::open;
use super::{Look, Media, Report, check_as, copy};
use std::fs;
use std::path::Path;

/// Makes data of a backup, in a folder that is empty: the newest schema, and a new epoch, by which clients know that
/// what they remember may not hold. If the check of it finds anything wrong, the folder is no data.
///
/// # Errors
/// When it is no whole backup, the folder is not empty, or a disk fails.
pub fn restore(backup: &Path, data: &Path, media: Media, look: Look) -> Result<Report, AdminError> {
    let from = open::database(backup);
    if !from.exists() {
        if open::part(backup).exists() {
            let text = format!(
                "{}: this backup was never finished, or was found damaged when it was made; take another one",
                backup.display()
            );
            return Err(AdminError::Refused(text.into()));
        }
        return Err(AdminError::NoBackup(backup.to_owned()));
    }
    let db = open::observer(&from)?;
    open::found_version(&db, &from)?;
    if !open::is_backup(&db)? {
        return Err(AdminError::NoBackup(backup.to_owned()));
    }
    drop(db);
    copy::empty_folder(data)?;
    let _lock = open::lock(data)?;
    let part = open::part(data);
    fs::copy(&from, &part).map_err(super::files::fault(&part))?;
    open::renew(&part)?;
    copy::media(backup, data, &open::observer(&part)?, media)?;
    let report = check_as(data, &part, look)?;
    if report.wrong.is_empty() {
        copy::finish(&part, &open::database(data), data)?;
    }
    Ok(report)
}
