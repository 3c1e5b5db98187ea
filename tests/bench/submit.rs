//! Durable submissions through the REST API against plain flushes of the same disk: group commit makes the one independent
//! of the other.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use reqwest::Method;
use serde_json::json;

use super::support::{Daemon, run};
use super::{figure, quantiles, rate, timed};

const CLIENTS: usize = 64;
const EACH: usize = 100;
const FLUSHES: usize = 500;

pub fn bench() {
    run(async {
        let mut daemon = Daemon::new(&["--max-parallel", "0"]);
        daemon.configure("requests_per_minute = 4000000000");
        daemon.boot().await;
        let flushes = flushes_a_second(&daemon.path("data"));
        let submit = async || {
            let mut times = Vec::with_capacity(EACH);
            for _ in 0..EACH {
                let start = Instant::now();
                let request = daemon.request(Method::POST, "/workflows/servers/create");
                let response = request.json(&json!({ "infra": "bench" })).send().await.unwrap();
                assert_eq!(response.status(), 200);
                response.bytes().await.unwrap();
                times.push(start.elapsed());
            }
            times
        };
        let start = Instant::now();
        let times = futures_util::future::join_all((0..CLIENTS).map(|_| submit())).await;
        let submits = rate(CLIENTS * EACH, start.elapsed());
        let listed = daemon.get("/tasks?limit=1").await;
        assert_eq!(listed.headers["x-total-count"], (CLIENTS * EACH).to_string().as_str());
        let (middle, slow) = quantiles(times.concat());
        figure("plain: write and fdatasync", flushes, "/s");
        figure(&format!("prov: durable submissions, {CLIENTS} clients"), submits, "/s");
        figure("prov: until the answer, p50", middle, "ms");
        figure("prov: until the answer, p99", slow, "ms");
        figure("ratio: submissions to flushes", submits / flushes, "×");
    });
}

fn flushes_a_second(directory: &Path) -> f64 {
    let path = directory.join("flushes");
    let mut file = File::create(&path).unwrap();
    let ((), took) = timed(|| {
        for _ in 0..FLUSHES {
            file.write_all(&[7; 512]).unwrap();
            file.sync_data().unwrap();
        }
    });
    std::fs::remove_file(path).unwrap();
    rate(FLUSHES, took)
}
