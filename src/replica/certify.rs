//! Certification: an interactive transaction stands if each statement answers what its client saw.

use crate::page::Hash;
use crate::transaction::{Answer, SqlError};

/// What becomes of a transaction after one statement.
#[derive(Debug, PartialEq)]
pub(super) enum Judged {
    /// It goes on.
    Stands,
    /// It ends with an error that the client has not seen yet.
    Failed(SqlError),
    /// It ends: the client saw something else (40001).
    Differs {
        /// Row and column of the first value that differs, if that is known.
        place: Option<(u64, u32)>,
    },
}

/// Compares an answer, or an error that is an answer, with the digest of what was seen.
///
/// An error that the client saw as well is no end: a savepoint was rolled back after it, or it would not
/// have been submitted.
pub(super) fn judge(answer: &Result<Answer, SqlError>, seen: Option<Hash>, outline: &[u8]) -> Judged {
    match (answer, seen) {
        (Ok(_), None) => Judged::Stands,
        (Err(error), None) => Judged::Failed(error.clone()),
        (Ok(answer), Some(seen)) if answer.digest() == seen => Judged::Stands,
        (Err(error), Some(seen)) if error.digest() == seen => Judged::Stands,
        (Ok(answer), Some(_)) => Judged::Differs { place: answer.first_difference(outline) },
        (Err(_), Some(_)) => Judged::Differs { place: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_client_saw_stands() {
        let (one, two) = (Answer::default(), Answer { changes: 1, ..Answer::default() });
        let error = SqlError::new("23505", "duplicate");
        let judge = |answer: &Result<Answer, SqlError>, seen| judge(answer, seen, &[]);
        let differs = Judged::Differs { place: None };
        assert_eq!(judge(&Ok(one.clone()), None), Judged::Stands);
        assert_eq!(judge(&Ok(one.clone()), Some(one.digest())), Judged::Stands);
        assert_eq!(judge(&Ok(one.clone()), Some(two.digest())), differs);
        assert_eq!(judge(&Ok(one), Some(error.digest())), differs);
        assert_eq!(judge(&Err(error.clone()), Some(error.digest())), Judged::Stands);
        assert_eq!(judge(&Err(error.clone()), Some(two.digest())), differs);
        assert_eq!(judge(&Err(error.clone()), None), Judged::Failed(error));
    }
}
