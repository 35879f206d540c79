//! COMMENT ON CONSTRAINT, which the parser does not know.

use super::utility::{Cursor, Read, Utility};

/// `None` leaves it to the parser.
pub(super) fn comment(mut cursor: Cursor<'_>) -> Read<Option<Utility>> {
    cursor.at = 1;
    if !cursor.take(&["on", "constraint"]) {
        return Ok(None);
    }
    let constraint = cursor.name()?;
    cursor.expect("on")?;
    let table = cursor.dotted()?;
    cursor.expect("is")?;
    let text = if cursor.take(&["null"]) { None } else { Some(cursor.string()?) };
    cursor.done(Utility::CommentOnConstraint { constraint, table, text })
}
