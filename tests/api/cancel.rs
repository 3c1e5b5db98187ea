//! Cancelling scripts that hide: nothing of them is left, and the task says how many processes were ended.

use serde_json::{Value, json};

use crate::support::{Daemon, processes_of, run, script, until};

/// Ways to hide, each in a shell script; `$MARK` is on the command line of everything that is to be gone.
const WAYS: [&str; 10] = [
    "trap '' TERM; while :; do sleep 1; done",
    "(setsid sh -c 'while :; do sleep 1; done' $MARK &)",
    "(env -i setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' $MARK &)",
    "((setsid sh -c '(sh -c \"while :; do sleep 1; done\" '$MARK' &) ; exit 0' $MARK &) &)",
    "nohup sh -c 'while :; do sleep 1; done' $MARK >/dev/null 2>&1 &",
    "env -i nohup setsid sh -c 'trap \"\" TERM HUP INT; while :; do sleep 1; done' $MARK >/dev/null 2>&1 &",
    "for i in 1 2 3 4 5; do (setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' $MARK &); done",
    "sh -c 'trap \"sh -c \\\"while :; do sleep 1; done\\\" '$MARK' &\" TERM; while :; do sleep 0.05; done' $MARK &",
    "sh -c 'exec 1>&- 2>&-; cd /; (setsid env -i sh -c \"while :; do sleep 1; done\" '$MARK' &)' $MARK",
    "i=0; while [ $i -lt 200 ]; do sh -c 'while :; do sleep 5; done' $MARK & i=$((i+1)); done",
];
const AT_ONCE: usize = 20;
const ROUNDS: usize = 200;

#[test]
fn two_hundred_hostile_scripts_leave_nothing() {
    run(async {
        let mut daemon = Daemon::new(&["--max-parallel", "64"]);
        daemon.configure("grace_seconds = 1");
        daemon.boot().await;
        let confined = has_groups(&daemon).await;
        if !confined {
            println!(
                "skipped: without control groups of version 2, what clears its environment and its session escapes"
            );
        }
        let ways: Vec<&str> = WAYS.into_iter().filter(|way| confined || !way.contains("env -i")).collect();
        for batch in 0..ROUNDS / AT_ONCE {
            let mark = format!("hostile-{}", uuid::Uuid::now_v7());
            let operations: Vec<Value> = (0..AT_ONCE)
                .map(|n| {
                    // The way with two hundred children once a batch, the others in turn.
                    let way = if n == 0 { ways[ways.len() - 1] } else { ways[n % (ways.len() - 1)] };
                    let up = daemon.path(&format!("up-{batch}-{n}"));
                    script(&format!("o{n}"), &format!("MARK={mark}; {way}\ntouch {}; wait; sleep 600", up.display()))
                })
                .collect();
            let spec = json!({ "name": "hostile", "parallel_limit": AT_ONCE, "rollback_enabled": false, "operations": operations });
            let id = daemon.batch(&spec).await;
            // The first way never gets to its second line.
            let up = || (0..AT_ONCE).filter(|n| daemon.path(&format!("up-{batch}-{n}")).exists()).count();
            let loops = (1..AT_ONCE).filter(|n| n % (ways.len() - 1) == 0).count();
            until("the scripts hide", || async { (up() >= AT_ONCE - loops).then_some(()) }).await;
            daemon.post(&format!("/batch/operations/{id}/cancel"), &json!({})).await.data();
            let ended = daemon.ended(&id).await;
            assert_eq!(processes_of(&mark).len(), 0, "round {batch}");
            assert_eq!(ended["status"], "Cancelled");
            let task = ended["operations"][0]["task_id"].as_str().unwrap();
            let task = daemon.get(&format!("/tasks/{task}")).await;
            assert!(task.data()["processes_ended"].as_u64() >= Some(200), "{task:?}");
        }
    });
}

/// Whether a task's processes have a control group of their own here, as one of them sees it.
async fn has_groups(daemon: &Daemon) -> bool {
    let spec = json!({ "name": "probe", "operations": [script("a", "cat /proc/self/cgroup")] });
    let ended = daemon.ended(&daemon.batch(&spec).await).await;
    let task = ended["operations"][0]["task_id"].as_str().unwrap();
    daemon.get(&format!("/tasks/{task}")).await.data()["output"].as_str().unwrap().contains("/prov-tasks-")
}
