//! Whether a set of policies leaves an administrator the way back.
//!
//! The rule: there must be one administrator who can change the policies, each enabled one among them (so that none is for
//! ever), and can manage users. To change a policy one must see it, so both must be permitted at once; each of these under
//! *some* circumstances that they can bring about within a week from now, and within a week of every date that a policy
//! names:
//!
//! * at some hour of the 168 that begin then: they can wait;
//! * from some address: the host itself, usual private and public addresses, or the first or last address of a network that
//!   a policy names: they can go there. Where the daemon listens on its host alone, only the host itself counts;
//! * without a second factor, or with one if they have enrolled it. Those who have not can't be relied on to manage it, so
//!   policies can demand a second factor of administrators only when one of them has one.
//!
//! So policies may restrict administrators to working hours or to a network, but not for ever, nor out of the way. How many
//! addresses and dates are tried is bounded: what names more of them is refused where those that are tried don't do.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::compile::Policies;
use super::request::{Circumstances, Request, Resource, Subject};
use crate::api::actions::Action;
use crate::model::time::{LastMoment, Timestamp};

/// With these policies nobody could change them any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no administrator could {action} any more: {}", because(policies))]
pub struct LockedOut {
    /// What nobody could do.
    pub action: Action,
    /// The policies that forbid it to each of them; empty when none permits it.
    pub policies: Vec<String>,
}

fn because(policies: &[String]) -> String {
    match policies {
        [] => "no enabled policy permits it".to_owned(),
        [one] => format!("policy `{one}` forbids it"),
        several => format!("policies `{}` forbid it", several.join("`, `")),
    }
}

/// Where administrators usually are.
const USUAL: [IpAddr; 7] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 10)),
    IpAddr::V4(Ipv4Addr::new(172, 16, 0, 10)),
    IpAddr::V4(Ipv4Addr::new(192, 168, 0, 10)),
    // Addresses that are for documentation stand for public ones (RFC 5737, RFC 3849).
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 10)),
];

const HOURS_OF_A_WEEK: u64 = 168;
/// Addresses that are tried.
const MOST_ADDRESSES: usize = 32;
/// Weeks that are looked at: the one that begins now, and those after dates that policies name.
const MOST_WEEKS: usize = 8;

/// From where an administrator can reach the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// From its own host alone.
    Host,
    /// From anywhere.
    Anywhere,
}

/// What must be permitted at once.
type Questions<'p> = Vec<(Action, Resource<'p>)>;

impl Policies {
    /// Checks that one of the administrators keeps the way back; see the module for the rule.
    ///
    /// # Errors
    /// When none does, with what the first who comes furthest could no longer do.
    pub fn keeps_an_admin<'a>(
        &self,
        admins: impl IntoIterator<Item = Subject<'a>>,
        reach: Reach,
        now: Timestamp,
    ) -> Result<(), LockedOut> {
        let (questions, weeks) = (self.questions(), self.weeks(reach, now));
        let mut furthest: Option<(usize, LockedOut)> = None;
        for admin in admins {
            let Err((at, locked_out)) = self.check_each(admin, &questions, &weeks) else { return Ok(()) };
            if furthest.as_ref().is_none_or(|(before, _)| at > *before) {
                furthest = Some((at, locked_out));
            }
        }
        Err(furthest.map_or(LockedOut { action: Action::PolicyManage, policies: Vec::new() }, |(_, it)| it))
    }

    fn questions(&self) -> Vec<Questions<'_>> {
        use Action::{PolicyManage, PolicyRead, UserManage};
        let somebody = Subject { username: "somebody", email: "", roles: &[], mfa_enrolled: false };
        let change = |resource| [(PolicyManage, resource), (PolicyRead, resource)];
        let mut questions = vec![
            change(Resource::System).to_vec(),
            vec![(UserManage, Resource::System)],
            vec![(UserManage, Resource::User(somebody))],
        ];
        let each = self.texts.iter().map(|(name, _)| Resource::Policy(name));
        questions.extend(each.map(|policy| [change(Resource::System), change(policy)].concat()));
        questions
    }

    /// Every hour and address that may make a difference, without a second factor, by the week that it is in.
    fn weeks(&self, reach: Reach, now: Timestamp) -> Vec<Vec<Circumstances<'static>>> {
        let mentions = |word: &str| self.texts.iter().any(|(_, content)| content.contains(word));
        let hours = if ["time", "hour", "weekday"].into_iter().any(mentions) { HOURS_OF_A_WEEK } else { 1 };
        let named = || self.texts.iter().flat_map(|(_, content)| content.split('"'));
        let can_be = |ip: &IpAddr| reach == Reach::Anywhere || ip.is_loopback();
        let addresses: BTreeSet<IpAddr> = named().filter_map(ends).flatten().collect();
        let addresses: Vec<IpAddr> = USUAL.into_iter().chain(addresses).filter(can_be).take(MOST_ADDRESSES).collect();
        let mut begins: BTreeSet<Timestamp> = named().filter_map(day_after).filter(|date| *date > now).collect();
        begins.insert(now);
        let bare =
            |ip, time| Circumstances { mfa: false, ip, time, check_mode: false, operation: None, providers: None };
        let week = |begin: Timestamp| {
            let at = move |hour| begin.plus(Duration::from_hours(hour));
            addresses.iter().flat_map(|ip| (0..hours).map(move |hour| bare(*ip, at(hour)))).collect()
        };
        // The last date as well, which is followed by all time.
        let last = begins.last().copied();
        let first = begins.into_iter().take(MOST_WEEKS);
        first.chain(last).collect::<BTreeSet<Timestamp>>().into_iter().map(week).collect()
    }

    /// Asks everything of one administrator; answers what is always denied first, and where it stands.
    fn check_each(
        &self,
        admin: Subject<'_>,
        questions: &[Questions<'_>],
        weeks: &[Vec<Circumstances<'_>>],
    ) -> Result<(), (usize, LockedOut)> {
        for (at, questions) in questions.iter().enumerate() {
            for places in weeks {
                self.check(admin, questions, places).map_err(|locked_out| (at, locked_out))?;
            }
        }
        Ok(())
    }

    /// Whether there is a place where all of this is permitted.
    fn check(
        &self,
        admin: Subject<'_>,
        questions: &Questions<'_>,
        places: &[Circumstances<'_>],
    ) -> Result<(), LockedOut> {
        let (mut forbids, mut denials) = (BTreeMap::<String, usize>::new(), BTreeMap::<usize, usize>::new());
        let factors = if admin.mfa_enrolled { &[true, false][..] } else { &[false] };
        for circumstances in factors.iter().flat_map(|mfa| places.iter().map(|it| Circumstances { mfa: *mfa, ..*it })) {
            let denied = questions.iter().enumerate().find_map(|(at, (action, resource))| {
                let request = Request { subject: admin, action: *action, resource: *resource, circumstances };
                let decision = self.decide(&request);
                (!decision.allowed).then_some((at, decision.policies))
            });
            let Some((at, policies)) = denied else { return Ok(()) };
            *denials.entry(at).or_default() += 1;
            for name in policies {
                *forbids.entry(name).or_default() += 1;
            }
        }
        let all: usize = denials.values().sum();
        let most = denials.into_iter().max_by_key(|(at, count)| (*count, std::cmp::Reverse(*at)));
        let action = most.and_then(|(at, _)| questions.get(at)).map_or(Action::PolicyManage, |(action, _)| *action);
        // Those that always forbid are enough of an explanation; otherwise it takes all of them together.
        let always: Vec<String> =
            forbids.iter().filter(|(_, count)| **count == all).map(|(name, _)| name.clone()).collect();
        let policies = if always.is_empty() { forbids.into_keys().collect() } else { always };
        Err(LockedOut { action, policies })
    }
}

/// The end of a day that is named, when what was said of it is so.
fn day_after(text: &str) -> Option<Timestamp> {
    text.get(..10)?.parse::<LastMoment>().ok().map(|moment| moment.0.plus(Duration::from_secs(1)))
}

/// The first and the last address of an address or network.
fn ends(text: &str) -> Option<[IpAddr; 2]> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().ok()?;
    let width: u32 = if address.is_ipv4() { 32 } else { 128 };
    let bits: u32 = bits.map_or(Ok(width), str::parse).ok().filter(|bits| *bits <= width)?;
    Some(match address {
        IpAddr::V4(address) => {
            let host = u32::MAX.checked_shr(bits).unwrap_or(0);
            [address.to_bits() & !host, address.to_bits() | host].map(|end| Ipv4Addr::from_bits(end).into())
        }
        IpAddr::V6(address) => {
            let host = u128::MAX.checked_shr(bits).unwrap_or(0);
            [address.to_bits() & !host, address.to_bits() | host].map(|end| Ipv6Addr::from_bits(end).into())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_have_two_ends() {
        let found =
            |text: &str| text.split('"').filter_map(ends).flatten().map(|ip| ip.to_string()).collect::<Vec<_>>();
        assert_eq!(found(r#"ip("10.1.2.3/8") "x""#), ["10.0.0.0", "10.255.255.255"]);
        assert_eq!(found(r#"ip("198.51.100.7")"#), ["198.51.100.7", "198.51.100.7"]);
        assert_eq!(found(r#"ip("2001:db8::/127")"#), ["2001:db8::", "2001:db8::1"]);
        assert_eq!(found(r#"ip("0.0.0.0/0")"#), ["0.0.0.0", "255.255.255.255"]);
        assert!(found(r#"ip("10.0.0.0/33") "1/2""#).is_empty());
    }
}
