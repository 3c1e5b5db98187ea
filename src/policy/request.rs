//! A question to the policies: who, what, to what, under which circumstances.

use std::net::IpAddr;

use crate::api::actions::{Action, Kind};
use crate::model::time::Timestamp;
use crate::model::user::{Role, User};

/// Whether `subject` may do `action` to `resource`.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who asks.
    pub subject: Subject<'a>,
    /// What for.
    pub action: Action,
    /// What it is done to.
    pub resource: Resource<'a>,
    /// All else that counts.
    pub circumstances: Circumstances<'a>,
}

/// A user as policies see one.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The user name.
    pub username: &'a str,
    /// May be empty.
    pub email: &'a str,
    /// The roles that count: those of the token, where there is one.
    pub roles: &'a [Role],
    /// Whether the account has a second factor.
    pub mfa_enrolled: bool,
}

impl<'a> Subject<'a> {
    /// A user with all of their roles.
    #[must_use]
    pub fn of(user: &'a User, mfa_enrolled: bool) -> Self {
        Self { username: &user.username, email: &user.email, roles: &user.roles, mfa_enrolled }
    }
}

/// An infra as policies see one.
#[derive(Clone, Copy, Debug)]
pub struct Infra<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its environment; policies see it in lower case, so that `Production` is production.
    pub environment: &'a str,
}

/// What something is done to.
#[derive(Clone, Copy, Debug)]
pub enum Resource<'a> {
    /// What belongs to no infra.
    System,
    /// An infra.
    Infra(Infra<'a>),
    /// A task.
    Task {
        /// Its id.
        id: &'a str,
        /// Its name.
        name: &'a str,
        /// The infra it works on.
        infra: Infra<'a>,
        /// The user name of who asked for it.
        submitted_by: &'a str,
    },
    /// A batch.
    Batch {
        /// Its id.
        id: &'a str,
        /// Its name.
        name: &'a str,
        /// The infra it works on.
        infra: Infra<'a>,
        /// The user name of who asked for it.
        submitted_by: &'a str,
    },
    /// A user.
    User(Subject<'a>),
    /// A policy, by name.
    Policy(&'a str),
}

impl Resource<'_> {
    /// What kind of thing it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::System => Kind::System,
            Self::Infra(_) => Kind::Infra,
            Self::Task { .. } => Kind::Task,
            Self::Batch { .. } => Kind::Batch,
            Self::User(_) => Kind::User,
            Self::Policy(_) => Kind::Policy,
        }
    }
}

/// The context of a request.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// Whether a second factor was given.
    pub mfa: bool,
    /// Where the request came from; an IPv4 address within an IPv6 one counts as the IPv4 address.
    pub ip: IpAddr,
    /// When it came.
    pub time: Timestamp,
    /// Whether nothing is to be changed.
    pub check_mode: bool,
    /// `create`, `delete`, `reinstall` …, where work is submitted or something is deleted.
    pub operation: Option<&'a str>,
    /// The providers that submitted work goes to.
    pub providers: Option<&'a [&'a str]>,
}

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

impl Circumstances<'_> {
    /// The hour in UTC, 0 to 23.
    #[must_use]
    pub fn hour(&self) -> i64 {
        self.time.0.rem_euclid(DAY_MS) / HOUR_MS
    }

    /// The day of the week in UTC, 1 for Monday to 7 for Sunday (ISO 8601).
    #[must_use]
    pub fn weekday(&self) -> i64 {
        // The first of January 1970 was a Thursday, the fourth day.
        (self.time.0.div_euclid(DAY_MS) + 3).rem_euclid(7) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_and_days_are_those_of_utc() {
        for (milliseconds, weekday, hour) in [
            (0, 4, 0),                  // Thursday, 1970-01-01T00:00Z
            (-1, 3, 23),                // the millisecond before
            (1_795_822_200_000, 5, 23), // Friday, 2026-11-27T23:30Z
            (1_795_824_000_000, 6, 0),  // Saturday, half an hour later
        ] {
            let time = Timestamp(milliseconds);
            let at = Circumstances {
                time,
                mfa: false,
                ip: IpAddr::from([127, 0, 0, 1]),
                check_mode: false,
                operation: None,
                providers: None,
            };
            assert_eq!((at.weekday(), at.hour()), (weekday, hour), "{time}");
        }
    }
}
