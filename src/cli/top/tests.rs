//! What the screen shows, and what keys do.

use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::{Value, json};
use uuid::Uuid;

use super::model::{Effect, Input, Key, Link, Lists, Model};
use super::render::{self, Theme};
use crate::model::id::{BatchId, TaskId};
use crate::model::time::Timestamp;

/// 2026-11-27T16:01:00Z.
const NOW: Timestamp = Timestamp(1_795_795_260_000);

fn batch(number: u128, name: &str, status: &str, done: u32) -> Value {
    let has_ended = !["Pending", "Running", "RollingBack"].contains(&status);
    json!({
        "batch_id": Uuid::from_u128(number), "name": name, "version": "1", "status": status, "infra": "lab",
        "parallel_limit": 5, "rollback_enabled": true, "operations_total": 4, "operations_completed": done,
        "progress": f64::from(done) / 4.0, "created_at": "2026-11-27T16:00:00.000Z",
        "started_at": if status == "Pending" { Value::Null } else { json!("2026-11-27T16:00:10.000Z") },
        "completed_at": if has_ended { json!("2026-11-27T16:00:25.000Z") } else { Value::Null },
        "cancel_requested": false, "left": [], "submitted_by": "admin",
        "error": if has_ended && status != "Completed" { json!("operation b: exit status 3") } else { Value::Null },
    })
}

fn task(number: u128, name: &str, status: &str) -> Value {
    json!({
        "id": Uuid::from_u128(number), "name": name, "command": "prov", "args": [], "dependencies": [], "status": status,
        "created_at": "2026-11-27T16:00:30.000Z", "started_at": "2026-11-27T16:00:30.000Z", "infra": "production",
        "attempt": 1, "max_attempts": 1, "progress": 0.4, "step": "installing kubernetes", "submitted_by": "admin",
    })
}

fn lists() -> Lists {
    let batches = json!([
        batch(1, "deploy", "Running", 2),
        batch(2, "nightly", "RolledBack", 1),
        batch(3, "migrate", "RollbackFailed", 1),
        batch(4, "queued", "Pending", 0),
        batch(5, "keys", "Completed", 4),
    ]);
    let tasks = json!([task(6, "create_servers", "Running")]);
    Lists { batches: serde_json::from_value(batches).unwrap(), tasks: serde_json::from_value(tasks).unwrap() }
}

fn model() -> Model {
    let mut model = Model::new("http://localhost:9090".to_owned(), String::new());
    model.update(Input::Read(lists()));
    model.update(Input::Link(Link::Live));
    let figures = json!({
        "cpu_usage": 0.25, "memory_usage": 0.5, "disk_usage": 0.75, "network_usage": 0.0, "active_workflows": 3,
        "queued_tasks": 1, "running_tasks": 2, "completed_tasks": 120, "failed_tasks": 2, "cancelled_tasks": 0,
        "uptime_seconds": 7300,
    });
    let health = json!({
        "overall_status": "Degraded", "last_check": "2026-11-27T16:00:00.000Z",
        "components": { "disk": { "status": "Degraded", "reason": "little is left" },
            "store": { "status": "Healthy", "reason": null } },
    });
    let (figures, health) = (serde_json::from_value(figures).unwrap(), serde_json::from_value(health).unwrap());
    model.update(Input::Figures(Box::new(figures), Some(Box::new(health))));
    model
}

fn press(model: &mut Model, keys: &[Key]) -> Vec<Effect> {
    keys.iter().flat_map(|key| model.update(Input::Key(*key))).collect()
}

fn typed(model: &mut Model, text: &str) -> Vec<Effect> {
    press(model, &text.chars().map(Key::Char).collect::<Vec<_>>())
}

fn screen(model: &Model, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| render::draw(frame, model, Theme { has_colour: false }, NOW)).unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(line).collect()
}

fn opened(model: &mut Model) -> Vec<Effect> {
    let mut view = batch(1, "deploy", "Running", 2);
    view["operations"] = json!([
        { "id": "net", "type": "command", "status": "Completed", "progress": 1.0, "attempt": 1, "max_attempts": 1,
          "task_id": Uuid::from_u128(10) },
        { "id": "web", "type": "command", "status": "Running", "progress": 0.5, "step": "waiting for web-2",
          "attempt": 1, "max_attempts": 1, "task_id": Uuid::from_u128(11), "started_at": "2026-11-27T16:00:40.000Z" },
        { "id": "check", "type": "command", "status": "Pending", "progress": 0.0, "attempt": 0, "max_attempts": 1 },
    ]);
    model.update(Input::Opened(serde_json::from_value(view).unwrap()))
}

#[test]
fn the_screen_shows_all_work_with_what_runs_and_what_failed_first() {
    let expected = [
        " prov top  http://localhost:9090                                           live",
        " Degraded (disk)  2 running  1 queued  120 done  2 failed  cpu 25% mem 50% disk",
        " WORK 6         STATUS         PROGRESS      TOOK  AGE INFRA      STEP",
        ">create_servers Running        ███····· 40%   30s  30s production installing ku…",
        " deploy         Running        ████···· 2/4   50s  60s lab",
        " migrate        RollbackFailed ██······ 1/4   15s  60s lab        operation b: …",
        " queued         Pending        ········ 0/4        60s lab",
        " nightly        RolledBack     ██······ 1/4   15s  60s lab        operation b: …",
        " keys           Completed      ████████ 4/4   15s  60s lab",
        "",
        " task 00000000-0000-0000-0000-000000000006",
        " installing kubernetes",
        "",
        " Tab list  l log  c cancel  r retry  / filter  s status  ? help  q quit",
    ];
    assert_eq!(screen(&model(), 80, 14), expected);
}

#[test]
fn a_batch_opens_its_operations_and_they_their_logs() {
    let (mut model, deploy) = (model(), BatchId(Uuid::from_u128(1)));
    assert_eq!(press(&mut model, &[Key::Down, Key::Enter]), [Effect::Open(deploy)]);
    assert!(screen(&model, 80, 14)[3].contains("reading"));
    assert_eq!(opened(&mut model), []);
    let shown = screen(&model, 90, 14);
    assert!(shown[2].starts_with(" BATCH deploy 3"), "{shown:?}");
    assert!(shown[3].starts_with(">web") && shown[3].contains("50%") && shown[3].ends_with("waiting for web-2"));
    let web = TaskId(Uuid::from_u128(11));
    assert_eq!(press(&mut model, &[Key::Enter]), [Effect::Log(web)]);
    model.update(Input::Log(web, b"one\ntwo\n".to_vec()));
    model.update(Input::Log(TaskId(Uuid::nil()), b"of another\n".to_vec()));
    let shown = screen(&model, 80, 8);
    assert!(shown[0].starts_with(" web  task 0000") && shown[0].ends_with("following"), "{shown:?}");
    assert_eq!(shown[1..4], ["one", "two", ""]);
    model.update(Input::LogEnded(web, "ended".to_owned()));
    assert!(screen(&model, 80, 8)[0].ends_with("ended"));
    assert_eq!(press(&mut model, &[Key::Escape]), [Effect::CloseLog]);
    press(&mut model, &[Key::Escape]);
    assert!(screen(&model, 80, 14)[4].starts_with(">deploy"), "back where it was");
}

#[test]
fn the_log_of_a_batch_is_that_of_what_runs_or_failed() {
    let mut model = model();
    press(&mut model, &[Key::Down, Key::Char('l')]);
    assert_eq!(opened(&mut model), [Effect::Log(TaskId(Uuid::from_u128(11)))]);
    assert_eq!(opened(&mut model), [], "once");
}

#[test]
fn nothing_is_cancelled_without_a_clear_yes() {
    let (mut model, deploy) = (model(), BatchId(Uuid::from_u128(1)));
    press(&mut model, &[Key::Down]);
    for no in [Key::Char('n'), Key::Escape, Key::Enter, Key::Char('c'), Key::Char(' ')] {
        assert_eq!(press(&mut model, &[Key::Char('c'), no]), [], "{no:?}");
    }
    press(&mut model, &[Key::Char('c')]);
    assert!(screen(&model, 80, 14).iter().any(|line| line.contains("Cancel batch deploy?")));
    assert_eq!(press(&mut model, &[Key::Char('y')]), [Effect::CancelBatch(deploy, false)]);
    assert_eq!(typed(&mut model, "cu"), [Effect::CancelBatch(deploy, true)]);
    press(&mut model, &[Key::Home]);
    assert_eq!(typed(&mut model, "cy"), [Effect::CancelTask(TaskId(Uuid::from_u128(6)))]);
    press(&mut model, &[Key::End]);
    assert_eq!(typed(&mut model, "c"), []);
    assert!(screen(&model, 80, 14)[13].contains("there is nothing to cancel"));
}

#[test]
fn what_failed_is_retried_and_nothing_else() {
    let mut model = model();
    assert_eq!(typed(&mut model, "r"), []);
    assert!(screen(&model, 80, 14)[13].contains("create_servers is Running: there is nothing to retry"));
    assert_eq!(typed(&mut model, "jjr"), [Effect::RetryBatch(BatchId(Uuid::from_u128(3)))]);
    assert_eq!(typed(&mut model, "q"), [Effect::Quit]);
}

#[test]
fn lists_are_filtered_by_text_and_status() {
    let mut model = model();
    typed(&mut model, "/LAB");
    assert!(screen(&model, 80, 14)[13].starts_with(" /LAB"), "q and others are text here");
    press(&mut model, &[Key::Enter]);
    assert!(screen(&model, 80, 14)[2].starts_with(" WORK 5 /LAB"));
    typed(&mut model, "ss");
    let shown = screen(&model, 80, 14);
    assert!(shown[2].starts_with(" WORK 2 failed"), "{shown:?}");
    assert!(shown[3].starts_with(">migrate") && shown[4].starts_with(" nightly"), "{shown:?}");
    press(&mut model, &[Key::Escape, Key::Tab]);
    assert!(screen(&model, 80, 14)[3].contains("nothing like that"));
    typed(&mut model, "?");
    assert!(screen(&model, 80, 24).iter().any(|line| line.contains("cancel, after asking")));
}

#[test]
fn frames_change_what_is_known_and_have_the_rest_read() {
    let mut model = model();
    let frame = |kind: &str, data: Value| {
        let frame = json!({
            "sequence": 1, "timestamp": "2026-11-27T16:00:50.000Z", "event_type": kind, "data": data,
            "metadata": { "infra": null, "submitted_by": "admin" },
        });
        Input::Frame(serde_json::from_value(frame).unwrap())
    };
    let whole = |number: u128, status: &str| {
        let data = json!({
            "workflow_id": Uuid::from_u128(number), "status": status, "progress": 0.75, "current_step": null,
            "total_steps": 4, "completed_steps": 3, "error": null,
        });
        frame("WorkflowProgressUpdate", data)
    };
    assert_eq!(model.update(whole(1, "Running")), []);
    assert!(screen(&model, 80, 14)[4].contains("3/4"));
    assert_eq!(model.update(whole(1, "Completed")), [Effect::Read]);
    assert!(!screen(&model, 80, 14)[4].contains("deploy"), "it is among those that have ended");
    assert_eq!(model.update(whole(3, "Running")), [Effect::Read], "it was retried");
    assert_eq!(model.update(whole(99, "Pending")), [Effect::Read], "it is new");
    assert_eq!(model.update(whole(6, "Running")), [], "a workflow's task is told of as a task");
    let ended = json!({
        "task_id": Uuid::from_u128(6), "name": "create_servers", "status": "Failed", "previous_status": "Running",
        "batch_id": null, "operation_id": null, "error": "no",
    });
    assert_eq!(model.update(frame("TaskStatusChanged", ended)), [Effect::Read]);
    assert!(screen(&model, 80, 14).iter().any(|line| line.contains("create_servers Failed")));
}

fn keys() -> impl Strategy<Value = Key> {
    use Key::{Backspace, Down, End, Enter, Escape, Home, PageDown, PageUp, Tab, Up};
    let plain = prop::sample::select(vec![Up, Down, PageUp, PageDown, Home, End, Enter, Escape, Tab, Backspace]);
    prop_oneof![plain, prop::char::any().prop_map(Key::Char)]
}

proptest! {
    #[test]
    fn whatever_is_typed_on_whatever_terminal_it_is_drawn(
        keys in prop::collection::vec(keys(), 0..40), width in 1u16..160, height in 1u16..50,
    ) {
        let mut model = model();
        for key in keys {
            let is_opening = press(&mut model, &[key]).iter().any(|effect| matches!(effect, Effect::Open(_)));
            if is_opening {
                opened(&mut model);
            }
            model.page = render::page(height, model.over.as_ref());
        }
        let shown = screen(&model, width, height);
        prop_assert_eq!(shown.len(), usize::from(height));
        if width < 40 || height < 8 {
            prop_assert!("too small".starts_with(shown[0].get(..9).unwrap_or(&shown[0])));
        }
    }
}
