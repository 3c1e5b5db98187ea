//! A daemon with a million finished tasks: pages of the list, its start, its memory; against one with a thousand or none.

use std::time::{Duration, Instant};

use super::load::{Connection, Request};
use super::measure::{Spread, memory, milliseconds};
use super::stock;
use super::support::{Daemon, run};
use super::table::{Reach, Table, spread};

const MANY: usize = 1_000_000;
const FEW: usize = 1000;
const PAIRS: usize = 200;
const STARTS: usize = 7;

/// What is asked of a store with so many tasks, the `n`th time.
type Ask = fn(count: usize, n: usize) -> String;

const PAGES: [(&str, Ask, Option<f64>); 5] = [
    ("first page", |_, _| "/tasks?limit=50".to_owned(), Some(20.0)),
    ("cursor page", |count, n| format!("/tasks?limit=50&after={}", somewhere(count, n)), Some(20.0)),
    ("by-status page", |_, _| "/tasks?limit=50&status=Failed".to_owned(), None),
    ("by-status cursor page", |count, n| format!("/tasks?limit=50&status=Failed&after={}", somewhere(count, n)), None),
    ("one task", |count, n| format!("/tasks/{}", somewhere(count, n)), None),
];

/// A task that is not near the last one asked for.
fn somewhere(count: usize, n: usize) -> prov::model::id::TaskId {
    stock::id(count / 10 + n * 7919 % (count * 9 / 10))
}

pub fn bench(table: &mut Table) {
    run(async {
        let (mut many, mut few, mut none) = (daemon(), daemon(), daemon());
        stock::put(&many.path("data"), MANY).await;
        stock::put(&few.path("data"), FEW).await;
        // The first start makes the administrator and the store.
        none.boot().await;
        assert!(none.terminate().success());
        many.boot().await;
        assert!(many.terminate().success());
        starts(table, &mut many, &mut none).await;
        many.boot().await;
        few.boot().await;
        for (what, ask, most) in PAGES {
            pages(table, (&many, &few), what, ask, most).await;
        }
        two_conditions(table, &many).await;
        let used = Spread::of([memory(many.pid(), "VmRSS")]);
        table.line("memory with 1,000,000 finished tasks, after those pages", "", &used, "MB", Reach::AtMost(60.0));
        many.kill();
        let after_crash = ready(&mut many).await;
        table.line("start after kill -9 with 1,000,000", "", &Spread::of([after_crash]), "ms", Reach::Shown);
    });
}

fn daemon() -> Daemon {
    let mut daemon = Daemon::new(&[]);
    daemon.configure("requests_per_minute = 4000000000");
    daemon
}

async fn starts(table: &mut Table, many: &mut Daemon, none: &mut Daemon) {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        for (daemon, times) in [(&mut *many, &mut with), (&mut *none, &mut without)] {
            times.push(ready(daemon).await);
            assert!(daemon.terminate().success());
        }
    }
    let ratio = Spread::of(with.iter().zip(&without).map(|(with, without)| with / without));
    let (with, without) = (Spread::of(with), Spread::of(without));
    let shown = format!("{} = {}", spread(&ratio, "×"), spread(&with, "ms"));
    let against = format!("an empty store: {}", spread(&without, "ms"));
    let met = ratio.median() <= 2.0 || with.median() <= 300.0;
    table.either("start-up to ready with 1,000,000 finished tasks", &against, &shown, "≤ 2× or ≤ 300 ms", met);
}

/// Starts the daemon; milliseconds until it says that both APIs answer.
async fn ready(daemon: &mut Daemon) -> f64 {
    let start = Instant::now();
    daemon.spawn();
    while !daemon.path("ready.json").exists() {
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
    milliseconds(start.elapsed())
}

async fn pages(table: &mut Table, daemons: (&Daemon, &Daemon), what: &str, ask: Ask, most: Option<f64>) {
    let (many, few) = daemons;
    let (mut to_many, mut to_few) = (Connection::to(many).await, Connection::to(few).await);
    let (mut with_many, mut with_few) = (Vec::new(), Vec::new());
    for n in 0..PAIRS {
        with_many.push(milliseconds(to_many.send(&Request::get(many, &ask(MANY, n))).await.0));
        with_few.push(milliseconds(to_few.send(&Request::get(few, &ask(FEW, n))).await.0));
    }
    let (with_many, with_few) = (Spread::of(with_many), Spread::of(with_few));
    let ratio = with_many.median() / with_few.median();
    let shown = format!("{ratio:.2}× = {}", spread(&with_many, "ms"));
    let reach = most.map_or("≤ 2×".to_owned(), |most| format!("≤ 2× and < {most} ms"));
    let met = ratio <= 2.0 && most.is_none_or(|most| with_many.median() < most);
    let against = format!("of 1,000: {}", spread(&with_few, "ms"));
    table.either(&format!("{what} of 1,000,000 tasks"), &against, &shown, &reach, met);
}

/// With two conditions nothing but a walk through the smaller index knows the total.
async fn two_conditions(table: &mut Table, many: &Daemon) {
    let mut connection = Connection::to(many).await;
    let mut times = Vec::new();
    for _ in 0..5 {
        let request = Request::get(many, "/tasks?limit=50&status=Failed&infra=infra-10");
        times.push(connection.send(&request).await.0);
    }
    table.line("page by status and infra of 1,000,000", "", &Spread::of_times(&times), "ms", Reach::Shown);
}
