//! What became of the tasks that ended in a span of time.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::App;
use crate::api::actions::Action;
use crate::api::read::Problem;
use crate::api::state::{Statistics, StatisticsQuery, Summary};
use crate::app::authorise::Question;
use crate::app::context::Context;
use crate::app::error::Error;
use crate::app::infras::UNKNOWN;
use crate::metrics::figure;
use crate::model::name::Name;
use crate::model::status::TaskStatus;
use crate::model::time::Timestamp;
use crate::policy::{Infra, Resource};
use crate::store::record::{Rollup, Tally};
use crate::store::statistics::{hour, start_of};

/// How far back is looked where nobody says.
const USUAL: Duration = Duration::from_hours(7 * 24);
/// What belongs to none.
const NONE: &str = "-";

impl App {
    /// What became of the tasks that ended in a span of time, of infras that the caller may read.
    ///
    /// # Errors
    /// When the span ends before it begins.
    pub async fn statistics(&self, context: &Context, query: StatisticsQuery) -> Result<Statistics, Error> {
        let permit = self.authorise(context, "statistics", &Question::about(Resource::System))?;
        let store = &self.guarded.open(&permit).store;
        let now = self.clock.now();
        let until = query.until.unwrap_or(now).min(now);
        let since = query.since.unwrap_or_else(|| until.minus(USUAL));
        if since > until {
            let message = "must not be after `until`, nor after now".to_owned();
            return Err(Error::Invalid(vec![Problem { pointer: "?since".to_owned(), message }]));
        }
        let (first, end) = (hour(since), hour(until) + 1);
        let read = store.read(move |reads| Ok((reads.statistics(first..end)?, reads.statistics_since()?)));
        let (ended, counted_since) = read.await?;
        let ended = self.readable(context, ended).await?;
        let since = start_of(first).max(counted_since.unwrap_or(until));
        Ok(summed_up(&ended, (since, start_of(end).min(now))))
    }

    /// Those of infras whose state the caller may read.
    async fn readable(
        &self,
        context: &Context,
        mut ended: Vec<(Rollup, Tally)>,
    ) -> Result<Vec<(Rollup, Tally)>, Error> {
        let names = ended.iter().filter_map(|(rollup, _)| Name::new(rollup.infra.clone()).ok());
        let names: std::collections::BTreeSet<Name> = names.collect();
        let environments = self.infras.environments(names.into_iter().collect()).await?;
        let asker = self.asker(context);
        let may =
            |name: &str, environment: &str| asker.may(Action::StateRead, Resource::Infra(Infra { name, environment }));
        let permitted: HashMap<&str, bool> =
            environments.iter().map(|(name, environment)| (name.as_str(), may(name.as_str(), environment))).collect();
        let nowhere = may("", UNKNOWN);
        ended.retain(|(rollup, _)| permitted.get(rollup.infra.as_str()).copied().unwrap_or(nowhere));
        Ok(ended)
    }
}

fn summed_up(ended: &[(Rollup, Tally)], (since, until): (Timestamp, Timestamp)) -> Statistics {
    Statistics {
        since,
        until,
        all: summary(ended.iter()),
        by_infra: grouped(ended, |rollup| &rollup.infra),
        by_provider: grouped(ended, |rollup| &rollup.provider),
        by_type: grouped(ended, |rollup| &rollup.kind),
    }
}

fn grouped<'r>(ended: &'r [(Rollup, Tally)], by: impl Fn(&'r Rollup) -> &'r str) -> BTreeMap<String, Summary> {
    let mut groups: BTreeMap<&str, Vec<&(Rollup, Tally)>> = BTreeMap::new();
    for one in ended {
        let name = Some(by(&one.0)).filter(|name| !name.is_empty()).unwrap_or(NONE);
        groups.entry(name).or_default().push(one);
    }
    groups.into_iter().map(|(name, group)| (name.to_owned(), summary(group.into_iter()))).collect()
}

fn summary<'r>(ended: impl Iterator<Item = &'r (Rollup, Tally)>) -> Summary {
    let mut by_status: BTreeMap<TaskStatus, Tally> = BTreeMap::new();
    for (rollup, tally) in ended {
        by_status.entry(rollup.status).or_default().add(*tally);
    }
    let of = |status| by_status.get(&status).copied().unwrap_or_default();
    let (completed, failed) = (of(TaskStatus::Completed), of(TaskStatus::Failed));
    let tried = completed.count.saturating_add(failed.count);
    let seconds = || figure(completed.total_ms) / 1000.0 / figure(completed.count);
    let ended = TaskStatus::ALL.iter().filter(|status| status.is_terminal());
    Summary {
        total: by_status.values().map(|tally| tally.count).sum(),
        totals: ended.map(|status| (*status, of(*status).count)).collect(),
        average_completion_time: (completed.count > 0).then(seconds),
        success_rate: (tried > 0).then(|| figure(completed.count) / figure(tried)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(infra: &str, kind: &str, status: TaskStatus, count: u64, total_ms: u64) -> (Rollup, Tally) {
        let rollup = Rollup { infra: infra.to_owned(), provider: String::new(), kind: kind.to_owned(), status };
        (rollup, Tally { count, total_ms })
    }

    #[test]
    fn sums_are_of_the_whole_and_of_each_group() {
        let ended = [
            row("a", "create_servers", TaskStatus::Completed, 3, 6000),
            row("a", "create_servers", TaskStatus::Failed, 1, 500),
            row("b", "command", TaskStatus::Completed, 1, 2000),
            row("", "command", TaskStatus::Cancelled, 2, 0),
        ];
        let found = summed_up(&ended, (Timestamp(0), Timestamp(1)));
        assert_eq!((found.all.total, found.all.average_completion_time), (7, Some(2.0)));
        assert_eq!(found.all.success_rate, Some(0.8));
        assert_eq!(found.all.totals[&TaskStatus::Cancelled], 2);
        assert_eq!((found.by_infra["a"].total, found.by_infra["-"].success_rate), (4, None));
        assert_eq!(found.by_type.keys().collect::<Vec<_>>(), ["command", "create_servers"]);
        assert_eq!(found.by_provider["-"], found.all);
        let text = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<Statistics>(&text).unwrap(), found);
        assert!(text.contains(r#""totals":{"Completed":4,"Failed":1,"Cancelled":2}"#), "{text}");
    }
}
