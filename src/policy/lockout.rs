//! Whether a set of policies leaves an administrator the way back.
//!
//! The rule: there must be one administrator who can manage policies, can manage each enabled policy (so that none is for
//! ever), and can manage users; each of these under *some* circumstances that they can bring about within a week:
//!
//! * at some hour of the 168 that begin now: they can wait;
//! * from some address: the host itself, usual private and public addresses, or the first or last address of a network that
//!   a policy names: they can go there;
//! * without a second factor, or with one if they have enrolled it. Those who have not can't be relied on to manage it, so
//!   policies can demand a second factor of administrators only when one of them has one.
//!
//! So policies may restrict administrators to working hours or to a network, but not for ever, nor out of the way.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::compile::Policies;
use super::request::{Circumstances, Request, Resource, Subject};
use crate::api::actions::Action;
use crate::model::time::Timestamp;

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

impl Policies {
    /// Checks that one of the administrators keeps the way back; see the module for the rule.
    ///
    /// # Errors
    /// When none does, with what the first who comes furthest could no longer do.
    pub fn keeps_an_admin<'a>(
        &self,
        admins: impl IntoIterator<Item = Subject<'a>>,
        now: Timestamp,
    ) -> Result<(), LockedOut> {
        let (questions, places) = (self.questions(), self.circumstances(now));
        let mut furthest: Option<(usize, LockedOut)> = None;
        for admin in admins {
            let Err((at, locked_out)) = self.check_each(admin, &questions, &places) else { return Ok(()) };
            if furthest.as_ref().is_none_or(|(before, _)| at > *before) {
                furthest = Some((at, locked_out));
            }
        }
        Err(furthest.map_or(LockedOut { action: Action::PolicyManage, policies: Vec::new() }, |(_, it)| it))
    }

    fn questions(&self) -> Vec<(Action, Resource<'_>)> {
        let somebody = Subject { username: "somebody", email: "", roles: &[], mfa_enrolled: false };
        let mut questions = vec![
            (Action::PolicyManage, Resource::System),
            (Action::UserManage, Resource::System),
            (Action::UserManage, Resource::User(somebody)),
        ];
        questions.extend(self.texts.iter().map(|(name, _)| (Action::PolicyManage, Resource::Policy(name))));
        questions
    }

    /// Every hour and address that may make a difference, without a second factor.
    fn circumstances(&self, now: Timestamp) -> Vec<Circumstances<'static>> {
        let mentions = |word: &str| self.texts.iter().any(|(_, content)| content.contains(word));
        let hours = if ["time", "hour", "weekday"].into_iter().any(mentions) { HOURS_OF_A_WEEK } else { 1 };
        let named = self.texts.iter().flat_map(|(_, content)| addresses(content));
        let addresses: BTreeSet<IpAddr> = USUAL.into_iter().chain(named).collect();
        let at = |hour: u64| now.plus(Duration::from_hours(hour));
        let all = addresses.iter().flat_map(|ip| (0..hours).map(|hour| (*ip, at(hour))));
        let bare =
            |(ip, time)| Circumstances { mfa: false, ip, time, check_mode: false, operation: None, providers: None };
        all.map(bare).collect()
    }

    /// Asks everything of one administrator; answers the first question that is always denied, and where it stands.
    fn check_each(
        &self,
        admin: Subject<'_>,
        questions: &[(Action, Resource<'_>)],
        places: &[Circumstances<'_>],
    ) -> Result<(), (usize, LockedOut)> {
        for (at, (action, resource)) in questions.iter().enumerate() {
            let (mut forbids, mut denials) = (BTreeMap::<String, usize>::new(), 0);
            let factors = if admin.mfa_enrolled { &[true, false][..] } else { &[false] };
            let mut each =
                factors.iter().flat_map(|mfa| places.iter().map(|place| Circumstances { mfa: *mfa, ..*place }));
            let allowed = each.any(|circumstances| {
                let request = Request { subject: admin, action: *action, resource: *resource, circumstances };
                let decision = self.decide(&request);
                denials += 1;
                decision.policies.into_iter().for_each(|name| *forbids.entry(name).or_default() += 1);
                decision.allowed
            });
            if !allowed {
                // Those that always forbid are enough of an explanation; otherwise it takes all of them together.
                let always: Vec<String> =
                    forbids.iter().filter(|(_, count)| **count == denials).map(|(name, _)| name.clone()).collect();
                let policies = if always.is_empty() { forbids.into_keys().collect() } else { always };
                return Err((at, LockedOut { action: *action, policies }));
            }
        }
        Ok(())
    }
}

/// The first and the last address of every address or network that stands in quotes.
fn addresses(content: &str) -> impl Iterator<Item = IpAddr> {
    content.split('"').filter_map(ends).flatten()
}

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
        let found = |text: &str| addresses(text).map(|ip| ip.to_string()).collect::<Vec<_>>();
        assert_eq!(found(r#"ip("10.1.2.3/8") "x""#), ["10.0.0.0", "10.255.255.255"]);
        assert_eq!(found(r#"ip("198.51.100.7")"#), ["198.51.100.7", "198.51.100.7"]);
        assert_eq!(found(r#"ip("2001:db8::/127")"#), ["2001:db8::", "2001:db8::1"]);
        assert_eq!(found(r#"ip("0.0.0.0/0")"#), ["0.0.0.0", "255.255.255.255"]);
        assert!(found(r#"ip("10.0.0.0/33") "1/2""#).is_empty());
    }
}
