//! How the daemon does, part by part. What is found is judged here; nothing is done about it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::App;
use crate::api::state::{ComponentHealth, Health, SystemHealth};
use crate::app::authorise::Question;
use crate::app::context::{Context, Permit};
use crate::app::error::Error;
use crate::app::{Phase, aside};
use crate::host::Disk;
use crate::model::batch::PROVIDERS;
use crate::model::status::TaskStatus;
use crate::policy::Resource;
use crate::store::measure::Condition;
use crate::store::record::{Counts, Rollup, Tally};
use crate::store::statistics::hour;

/// A commit takes a few milliseconds.
const SLOW_COMMIT: Duration = Duration::from_millis(500);
/// A commit that goes on for so long may never end.
const STUCK_COMMIT: Duration = Duration::from_secs(10);
/// Work that waits for so long waits for more than its turn.
const LONG_WAIT: Duration = Duration::from_mins(5);
/// A disk with less than this is soon full.
const LITTLE_BYTES: u64 = 1 << 30;
/// A disk with less than this is full.
const NO_BYTES: u64 = 64 << 20;
/// Hours whose outcome says how a provider does: this one and the one before.
const HOURS: u64 = 2;

impl App {
    /// How the daemon does.
    ///
    /// # Errors
    /// When no thread can be had to find out.
    pub async fn system_health(&self, context: &Context) -> Result<SystemHealth, Error> {
        self.authorise(context, "system_health", &Question::about(Resource::System))?;
        self.health_now().await
    }

    /// The same, for whoever was let in already.
    pub(in crate::app) async fn health_now(&self) -> Result<SystemHealth, Error> {
        let resources = self.guarded.open(&Permit::own());
        let (now, data_dir) = (self.clock.now(), resources.data_dir.clone());
        let this_hour = hour(now);
        let hours = (this_hour + 1).saturating_sub(HOURS)..this_hour + 1;
        let counts = resources.store.read(crate::store::Backend::counts).await;
        let ended = resources.store.read(move |reads| reads.statistics(hours)).await;
        let disk = aside(move || Disk::of(&data_dir)).await?;
        let mut components = BTreeMap::new();
        let unreadable = counts.as_ref().err().or(ended.as_ref().err()).map(ToString::to_string);
        components.insert("store".to_owned(), store(&resources.store.measures().condition(), unreadable));
        let waits = counts.as_ref().ok().and_then(|counts| counts.oldest_pending).map(|since| now.since(since));
        let scheduling = Scheduling {
            lives: resources.scheduler.is_alive(),
            is_ending: self.phase() != Phase::Ready,
            slots: self.max_parallel,
            waits: waits.unwrap_or_default(),
        };
        components.insert("scheduler".to_owned(), scheduler(&scheduling, &counts.unwrap_or_default()));
        components.insert("executor".to_owned(), executor(resources.scheduler.has_supervisor()));
        components.insert("disk".to_owned(), disk.map_or_else(|error| unknown(error.to_string()), |disk| space(&disk)));
        components.extend(providers(&ended.unwrap_or_default()));
        let (failing, webhooks) = self.webhooks.failing();
        if webhooks > 0 {
            components.insert("webhooks".to_owned(), webhooks_of(failing, webhooks));
        }
        let worst = components.values().map(|component| component.status).max().unwrap_or(Health::Healthy);
        Ok(SystemHealth { overall_status: worst.max(Health::Healthy), components, last_check: now })
    }
}

fn healthy() -> ComponentHealth {
    ComponentHealth { status: Health::Healthy, reason: None }
}

fn unknown(reason: String) -> ComponentHealth {
    ComponentHealth { status: Health::Unknown, reason: Some(reason) }
}

fn degraded(reason: String) -> ComponentHealth {
    ComponentHealth { status: Health::Degraded, reason: Some(reason) }
}

fn unhealthy(reason: String) -> ComponentHealth {
    ComponentHealth { status: Health::Unhealthy, reason: Some(reason) }
}

fn store(condition: &Condition, unreadable: Option<String>) -> ComponentHealth {
    if let Some(why) = condition.failed.clone().or(unreadable) {
        return unhealthy(why);
    }
    if let Some(long) = condition.under_way.filter(|long| *long >= STUCK_COMMIT) {
        return unhealthy(format!("a write has not come back from the disk for {} s", long.as_secs()));
    }
    let typical = condition.typical.unwrap_or_default();
    if typical >= SLOW_COMMIT {
        return degraded(format!("a write took {} ms of late; the disk is slow or busy", typical.as_millis()));
    }
    healthy()
}

struct Scheduling {
    lives: bool,
    is_ending: bool,
    slots: usize,
    /// For how long the oldest task that waits has waited.
    waits: Duration,
}

fn scheduler(scheduling: &Scheduling, counts: &Counts) -> ComponentHealth {
    let (queued, running) = (counts.tasks(TaskStatus::Pending), counts.tasks(TaskStatus::Running));
    if !scheduling.lives {
        return unhealthy("it has stopped: no work goes on; start the daemon again".to_owned());
    }
    if scheduling.is_ending {
        return degraded("the daemon is ending: nothing new is started".to_owned());
    }
    if scheduling.slots == 0 && queued > 0 {
        return degraded(format!("{queued} waiting, and none is started: max_parallel is 0"));
    }
    if scheduling.waits >= LONG_WAIT {
        let minutes = scheduling.waits.as_secs() / 60;
        return degraded(format!(
            "{queued} waiting, the oldest for {minutes} min; {running} of {} run",
            scheduling.slots
        ));
    }
    healthy()
}

fn executor(has_supervisor: bool) -> ComponentHealth {
    if has_supervisor {
        return healthy();
    }
    unhealthy("there is no supervisor: nothing can be started; one is being sought".to_owned())
}

fn space(disk: &Disk) -> ComponentHealth {
    let left = format!("{} MiB are left for the data directory", disk.available_bytes >> 20);
    match (disk.available_bytes, disk.available_files) {
        (..NO_BYTES, _) => unhealthy(left),
        (_, Some(files @ ..64)) => unhealthy(format!("only {files} files more can be made for the data directory")),
        (..LITTLE_BYTES, _) => degraded(left),
        (_, Some(files @ ..10_000)) => degraded(format!("only {files} files more can be made for the data directory")),
        _ => healthy(),
    }
}

fn webhooks_of(failing: usize, all: usize) -> ComponentHealth {
    if failing == 0 {
        return healthy();
    }
    degraded(format!("{failing} of {all} fail again and again; see `prov webhooks list`"))
}

/// Each provider by what became of the tasks that went there of late: a daemon doesn't speak with them itself.
fn providers(ended: &[(Rollup, Tally)]) -> BTreeMap<String, ComponentHealth> {
    let mut outcomes: BTreeMap<&str, (u64, u64)> = PROVIDERS.iter().map(|name| (*name, (0, 0))).collect();
    for (rollup, tally) in ended.iter().filter(|(rollup, _)| !rollup.provider.is_empty()) {
        let (completed, failed) = outcomes.entry(&rollup.provider).or_default();
        match rollup.status {
            TaskStatus::Completed => *completed += tally.count,
            TaskStatus::Failed => *failed += tally.count,
            _ => {}
        }
    }
    let judge = |(name, (completed, failed)): (&str, (u64, u64))| {
        let component = match (completed, failed) {
            (0, 0) => unknown("no task of the last two hours went there".to_owned()),
            (0, 1) => degraded("the only task that went there in the last two hours failed".to_owned()),
            (0, failed) => degraded(format!("all {failed} tasks that went there in the last two hours failed")),
            _ => healthy(),
        };
        (format!("provider:{name}"), component)
    };
    outcomes.into_iter().map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(component: &ComponentHealth) -> (Health, &str) {
        (component.status, component.reason.as_deref().unwrap_or(""))
    }

    #[test]
    fn a_store_is_as_its_last_writes() {
        let condition = |typical_ms, under_way_s, failed: Option<&str>| Condition {
            typical: Some(Duration::from_millis(typical_ms)),
            under_way: Some(Duration::from_secs(under_way_s)),
            failed: failed.map(str::to_owned),
        };
        assert_eq!(store(&Condition::default(), None), healthy());
        assert_eq!(store(&condition(4, 1, None), None), healthy());
        assert_eq!(store(&condition(700, 0, None), None).status, Health::Degraded);
        assert_eq!(told(&store(&condition(4, 0, Some("full")), None)), (Health::Unhealthy, "full"));
        assert_eq!(store(&condition(4, 60, None), None).status, Health::Unhealthy);
        assert_eq!(told(&store(&condition(4, 0, None), Some("gone".to_owned()))), (Health::Unhealthy, "gone"));
    }

    #[test]
    fn what_waits_long_or_for_ever_is_told() {
        let mut counts = Counts::default();
        counts.tasks.insert(TaskStatus::Pending, 3);
        let with = |lives, is_ending, slots, seconds| {
            let waits = Duration::from_secs(seconds);
            scheduler(&Scheduling { lives, is_ending, slots, waits }, &counts)
        };
        assert_eq!(with(true, false, 8, 200), healthy());
        let late = with(true, false, 8, 420);
        assert_eq!(told(&late), (Health::Degraded, "3 waiting, the oldest for 7 min; 0 of 8 run"));
        assert_eq!(with(true, false, 0, 1).status, Health::Degraded);
        assert_eq!(with(true, true, 8, 1).status, Health::Degraded);
        assert_eq!(with(false, false, 8, 1).status, Health::Unhealthy);
    }

    #[test]
    fn a_disk_is_as_full_as_what_can_still_be_written() {
        let disk = |available_bytes, available_files| {
            let (total_bytes, free_bytes) = (1 << 40, available_bytes);
            space(&Disk { total_bytes, free_bytes, available_bytes, available_files }).status
        };
        assert_eq!(disk(10 << 30, None), Health::Healthy);
        assert_eq!(disk(10 << 30, Some(1_000_000)), Health::Healthy);
        assert_eq!((disk(1 << 29, None), disk(10 << 30, Some(500))), (Health::Degraded, Health::Degraded));
        assert_eq!((disk(1 << 20, None), disk(10 << 30, Some(3))), (Health::Unhealthy, Health::Unhealthy));
    }

    #[test]
    fn webhooks_are_as_the_worst_of_them() {
        assert_eq!(webhooks_of(0, 3), healthy());
        assert_eq!(webhooks_of(1, 3).status, Health::Degraded);
    }

    #[test]
    fn a_provider_is_as_what_went_there() {
        let rollup = |provider: &str, status, count| {
            let (infra, kind) = (String::new(), "create_servers".to_owned());
            (Rollup { infra, provider: provider.to_owned(), kind, status }, Tally { count, total_ms: 0 })
        };
        let ended = [
            rollup("local", TaskStatus::Completed, 1),
            rollup("local", TaskStatus::Failed, 9),
            rollup("upcloud", TaskStatus::Failed, 2),
            rollup("", TaskStatus::Failed, 7),
        ];
        let found = providers(&ended);
        assert_eq!(found["provider:local"], healthy());
        assert_eq!(found["provider:upcloud"].status, Health::Degraded);
        assert_eq!((found["provider:aws"].status, found.len()), (Health::Unknown, 4));
    }
}
