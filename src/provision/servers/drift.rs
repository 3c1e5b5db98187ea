//! Where servers differ from what is declared and from what was made.

use super::{Seen, Servers};
use crate::provision::plan::drift::{Drift, DriftKind};
use crate::provision::plan::{Action, Change, Others, Wanted};
use crate::provision::provider::{Server, ServerSpec, ServerState};

const DELETED: &str = "somebody deleted it at its provider";

impl Servers<'_> {
    /// Where what the providers were `seen` to have differs from what is wanted and from what was made.
    #[must_use]
    pub fn differences(&self, wanted: &[Wanted], seen: &Seen) -> Vec<Drift> {
        let changes = self.changes(wanted, &seen.there, Others::Leave);
        let of_changes = changes.changes.iter().filter_map(|change| of_change(change, seen));
        // What a batch made is declared by nobody's settings: that it is gone is news all the same.
        let named = |spec: &ServerSpec| changes.changes.iter().any(|change| change.server == spec.name);
        let lost = seen.gone.iter().filter(|(_, spec)| !named(spec));
        let lost =
            lost.map(|(provider, spec)| Drift::of_server(&spec.name, provider, DriftKind::Gone, DELETED.to_owned()));
        let strays = seen.strays.iter().map(|stray| {
            let what = format!("{} is on nobody's record here", stray.id);
            Drift::of_server(&stray.spec.name, &stray.provider, DriftKind::Stray, what)
        });
        of_changes.chain(lost).chain(strays).collect()
    }
}

fn of_change(change: &Change, seen: &Seen) -> Option<Drift> {
    let changed = change.actual.iter().flat_map(|actual| actual.changed.clone());
    let differences = change.differences.iter().map(ToString::to_string);
    let details: Vec<String> = differences.chain(changed).chain(change.reason.clone()).collect();
    let silent = change.actual.as_ref().and_then(|actual: &Server| actual.silent.clone());
    let is_damaged = change.actual.as_ref().is_some_and(|actual| actual.state == ServerState::Damaged);
    let (kind, what) = match change.action {
        _ if is_damaged => (DriftKind::Unknown, "its record can't be read".to_owned()),
        Action::Create if change.actual.is_none() && seen.is_unasked(&change.provider) => {
            (DriftKind::Unknown, format!("{} can't be asked", change.provider))
        }
        Action::Create if seen.gone.iter().any(|(_, spec)| spec.name == change.server) => {
            (DriftKind::Gone, DELETED.to_owned())
        }
        Action::Create if change.actual.is_none() => (DriftKind::Missing, "it isn't there".to_owned()),
        Action::Start => match silent {
            Some(why) => (DriftKind::Unknown, format!("it doesn't answer: {why}")),
            None => (DriftKind::Stopped, details.join("; ")),
        },
        Action::Leave => (DriftKind::Undeclared, details.join("; ")),
        Action::Keep if details.is_empty() => return None,
        _ => (DriftKind::Changed, details.join("; ")),
    };
    Some(Drift::of_server(&change.server, &change.provider, kind, what))
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::super::fake::{Fake, Sample, wanted};
    use super::*;

    #[test]
    fn drift_names_what_is_missing_changed_stopped_and_undeclared() {
        let sample = Sample::new(Fake::default());
        let servers: Servers<'_> = sample.servers();
        let made = [wanted("a", 1), wanted("b", 1), wanted("c", 1), wanted("d", 1)];
        servers.apply(&servers.plan(&made, Others::Leave).unwrap(), &Options::default()).unwrap();
        assert!(servers.differences(&made, &servers.seen()).is_empty());
        sample.fake().stop("b");
        let now = [wanted("a", 2), wanted("b", 1), wanted("c", 1), wanted("e", 1)];
        let drift = servers.differences(&now, &servers.seen());
        let mut seen: Vec<(&str, DriftKind)> = drift.iter().map(|drift| (drift.name.as_str(), drift.kind)).collect();
        seen.sort();
        let expected = [
            ("a", DriftKind::Changed),
            ("b", DriftKind::Stopped),
            ("d", DriftKind::Undeclared),
            ("e", DriftKind::Missing),
        ];
        assert_eq!(seen, expected);
        assert_eq!(drift[0].what, "plan: 1xCPU-1 GB → 2xCPU-1 GB");
    }

    #[test]
    fn what_a_provider_that_cannot_be_asked_may_have_is_not_called_missing() {
        let sample = Sample::new(Fake::default().failing("list"));
        let servers = sample.servers();
        let seen = servers.seen();
        assert!(seen.is_unasked("local"));
        let drift = servers.differences(&[wanted("a", 1)], &seen);
        assert_eq!(
            (drift.len(), drift[0].kind, drift[0].what.as_str()),
            (1, DriftKind::Unknown, "local can't be asked")
        );
    }
}
