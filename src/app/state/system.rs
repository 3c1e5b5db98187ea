//! Figures of the machine and of the work, as JSON and as the text that Prometheus reads.

use std::time::Duration;

use super::App;
use crate::api::state::SystemMetrics;
use crate::app::aside;
use crate::app::authorise::Question;
use crate::app::context::Context;
use crate::app::error::Error;
use crate::host::{Disk, Process};
use crate::metrics::{Kind, Text};
use crate::model::status::TaskStatus;
use crate::policy::Resource;
use crate::store::Backend;
use crate::store::measure::Measures;
use crate::store::record::Counts;

impl App {
    /// Figures of the machine and of all work.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn system_metrics(&self, context: &Context) -> Result<SystemMetrics, Error> {
        let permit = self.authorise(context, "system_metrics", &Question::about(Resource::System))?;
        let resources = self.guarded.open(&permit);
        let counts = resources.store.read(Backend::counts).await?;
        let (host, data_dir) = (std::sync::Arc::clone(&self.host), resources.data_dir.clone());
        let (usage, disk) = aside(move || (host.usage(), Disk::of(&data_dir))).await?;
        Ok(SystemMetrics {
            cpu_usage: usage.cpu,
            memory_usage: usage.memory,
            disk_usage: disk.map_or(0.0, |disk| disk.usage()),
            network_usage: usage.network,
            active_workflows: counts.live_works,
            queued_tasks: counts.tasks(TaskStatus::Pending),
            running_tasks: counts.tasks(TaskStatus::Running),
            completed_tasks: counts.tasks(TaskStatus::Completed),
            failed_tasks: counts.tasks(TaskStatus::Failed),
            cancelled_tasks: counts.tasks(TaskStatus::Cancelled),
            uptime_seconds: self.started.elapsed().as_secs(),
        })
    }

    /// All figures, as Prometheus reads them.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn metrics(&self, context: &Context) -> Result<String, Error> {
        let permit = self.authorise(context, "metrics", &Question::about(Resource::System))?;
        let resources = self.guarded.open(&permit);
        let counts = resources.store.read(Backend::counts).await?;
        let mut text = Text::default();
        let help = "The version that runs; always 1.";
        text.family("prov_build_info", Kind::Gauge, help).figure(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        let waits = counts.oldest_pending.map_or(Duration::ZERO, |since| self.clock.now().since(since));
        work(&mut text, &counts, waits);
        store(&mut text, resources.store.measures());
        let connected = u8::from(resources.scheduler.has_supervisor());
        let help = "Whether the daemon is connected to its supervisor.";
        text.single("prov_supervisor_connected", Kind::Gauge, help, connected);
        self.requests.tell(&mut text);
        self.webhooks.tell(&mut text, self.clock.now());
        process(&mut text, &aside(Process::read).await?);
        Ok(text.finish())
    }
}

fn work(text: &mut Text, counts: &Counts, waits: Duration) {
    text.family("prov_tasks_total", Kind::Counter, "Tasks that have ended, by status.");
    for status in TaskStatus::ALL.iter().filter(|status| status.is_terminal()) {
        text.figure(&[("status", status.as_str())], counts.tasks(*status));
    }
    let pending = counts.tasks(TaskStatus::Pending);
    text.single("prov_tasks_queued", Kind::Gauge, "Tasks that wait.", pending);
    let help = "For how long the oldest task that waits has waited.";
    text.single("prov_tasks_queue_age_seconds", Kind::Gauge, help, waits.as_secs_f64());
    text.single("prov_tasks_running", Kind::Gauge, "Tasks that run.", counts.tasks(TaskStatus::Running));
    let help = "Workflows and batches that have not ended.";
    text.single("prov_workflows_active", Kind::Gauge, help, counts.live_works);
}

fn store(text: &mut Text, measures: &Measures) {
    let help = "Time from the first start of a task to its end, by type.";
    text.family("prov_task_duration_seconds", Kind::Histogram, help);
    for (kind, lengths) in measures.tasks().filter(|(_, lengths)| lengths.count > 0) {
        text.histogram(&[("type", kind)], &lengths);
    }
    let help = "Time to make a group of changes durable.";
    text.family("prov_store_commit_duration_seconds", Kind::Histogram, help).histogram(&[], &measures.commits());
    let help = "Groups of changes that could not be made durable.";
    text.single("prov_store_commit_failures_total", Kind::Counter, help, measures.failures());
}

fn process(text: &mut Text, process: &Process) {
    let help = "Time of the daemon on processors.";
    text.single("process_cpu_seconds_total", Kind::Counter, help, process.cpu_seconds);
    text.single("process_resident_memory_bytes", Kind::Gauge, "Memory in RAM.", process.resident_bytes);
    text.single("process_open_fds", Kind::Gauge, "Open files, connections among them.", process.open_files);
    if let Some(most) = process.most_open_files {
        text.single("process_max_fds", Kind::Gauge, "How many may be open.", most);
    }
    let help = "When the daemon started, in seconds since the Unix epoch.";
    text.single("process_start_time_seconds", Kind::Gauge, help, process.started_at);
}
