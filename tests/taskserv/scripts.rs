//! Scripts that go wrong: they fail the task with what they said, and leave nothing running.

use std::time::{Duration, Instant};

use serde_json::json;

use super::Sample;

const NOTHING: &str = "true";

#[test]
fn a_script_that_never_ends_is_ended_with_everything_it_started() {
    let Some(sample) = Sample::new(&["a"]) else { return };
    let install = "(trap '' TERM HUP; exec -a prov-test-stubborn sleep 3600) &\n\
        setsid bash -c \"trap '' TERM HUP; exec -a prov-test-stubborn sleep 3600\" &\nwait\n";
    sample.define("slow", "[timeouts]\ninstall = 1\n", "", [install, NOTHING, NOTHING]);
    let began = Instant::now();
    let failed = sample.prov("taskserv create slow --infra demo");
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(failed.stderr.contains("its install script took longer than 1 s"), "{failed:?}");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    // The pattern doesn't match the command line that it stands in.
    let left = sample.inside("a", "grep -l 'prov-test-stubbor[n]' /proc/[0-9]*/cmdline");
    assert_eq!(left, "");
    assert_eq!(sample.installed(), ["a slow incomplete"]);
}

#[test]
fn a_gibibyte_of_output_is_bounded() {
    let Some(sample) = Sample::new(&["a"]) else { return };
    sample.define("loud", "", "", ["head -c 1G /dev/zero | tr '\\0' x\n", NOTHING, NOTHING]);
    let done = sample.prov("taskserv create loud --infra demo");
    assert_eq!(done.code, 0, "{}", &done.stderr[done.stderr.len().saturating_sub(500)..]);
    assert!(done.stderr.len() < 100_000, "{} bytes", done.stderr.len());
}

#[test]
fn a_failing_check_fails_the_task_with_its_last_words() {
    let Some(sample) = Sample::new(&["a", "b"]) else { return };
    let check = "if [[ $PROV_SERVER_NAME == b ]]; then echo 'the widget is bent' >&2; exit 7; fi\n";
    sample.define("widget", "", "", [NOTHING, check, NOTHING]);
    let failed = sample.prov("taskserv create widget --infra demo");
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(
        failed.stderr.contains("b: widget: its check script failed with status 7: the widget is bent"),
        "{failed:?}"
    );
    assert_eq!(sample.installed(), ["a widget works", "b widget incomplete"]);
}

#[test]
fn parameters_are_environment_and_never_text_of_the_script() {
    let Some(sample) = Sample::new(&["a"]) else { return };
    let install = "printf %s \"$PROV_PARAM_TEXT\" >/root/text\n";
    sample.define("writer", "", "text = \"\"\n", [install, NOTHING, "rm /root/text\n"]);
    let text = "'; touch /root/owned; $(touch /root/owned) `touch /root/owned` \"\n\\ ü";
    let done = sample.operation("create", "o", &json!([{"name": "writer", "params": {"text": text}}]));
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(sample.inside("a", "cat /root/text"), text);
    assert_eq!(sample.inside("a", "ls /root"), "text\n");
}

#[test]
fn what_is_needed_comes_first_and_goes_last() {
    let Some(sample) = Sample::new(&["a"]) else { return };
    let log = |word: &str| format!("echo {word} >>/root/log\n");
    for (name, metadata) in
        [("base", ""), ("middle", "dependencies = [\"base\"]\n"), ("top", "dependencies = [\"middle\"]\n")]
    {
        sample.define(name, metadata, "", [&log(&format!("+{name}")), NOTHING, &log(&format!("-{name}"))]);
    }
    assert_eq!(sample.prov("taskserv create top --infra demo").stdout, "Successfully installed 3 task services\n");
    let refused = sample.prov("taskserv delete base --infra demo --yes");
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.stderr.contains("base can't be removed from a: middle needs it"), "{refused:?}");
    // A later reinstallation doesn't change what needs what.
    assert_eq!(sample.prov("taskserv reinstall base --infra demo --yes").code, 0);
    assert_eq!(sample.prov("taskserv delete base middle top --infra demo --yes").code, 0);
    let log = sample.inside("a", "cat /root/log").replace('\n', " ");
    assert_eq!(log, "+base +middle +top -base +base -top -middle -base ");
    assert_eq!(sample.installed(), [""; 0]);
}

#[test]
fn services_that_exclude_each_other_are_not_installed_together() {
    let Some(sample) = Sample::new(&["a"]) else { return };
    sample.define("one", "", "", [NOTHING; 3]);
    sample.define("other", "conflicts = [\"one\"]\n", "", [NOTHING; 3]);
    assert_eq!(sample.prov("taskserv create one --infra demo").code, 0);
    let refused = sample.prov("taskserv create other --infra demo");
    assert!(refused.stderr.contains("other can't be installed beside one"), "{refused:?}");
    assert_eq!((refused.code, sample.installed()), (1, vec!["a one works".to_owned()]));
}

#[test]
fn what_was_installed_is_removed_by_the_scripts_that_installed_it() {
    let Some(sample) = Sample::new(&["a"]) else { return };
    let uninstall = "echo gone >>/root/log\nrm /root/thing\n";
    for fate in ["replaced", "vanished"] {
        sample.define("thing", "", "", ["touch /root/thing\n", "test -e /root/thing\n", uninstall]);
        assert_eq!(sample.prov("taskserv create thing --infra demo").code, 0);
        if fate == "replaced" {
            sample.define("thing", "", "", [NOTHING, "exit 1\n", "exit 1\n"]);
        } else {
            std::fs::remove_dir_all(sample.path().join("extensions")).unwrap();
        }
        assert_eq!(sample.installed(), ["a thing works"], "{fate}");
        let removed = sample.prov("taskserv delete thing --infra demo --yes");
        assert_eq!(removed.code, 0, "{fate}: {removed:?}");
        assert_eq!(sample.inside("a", "ls /root"), "log\n", "{fate}");
    }
    assert_eq!(sample.inside("a", "cat /root/log; ls /var/lib/prov/taskservs"), "gone\ngone\n");
}

#[test]
fn a_check_says_what_a_create_would_do() {
    let Some(sample) = Sample::new(&["a"]) else { return };
    sample.define("thing", "", "", ["touch /root/thing\n", "test -e /root/thing\n", NOTHING]);
    assert_eq!(sample.prov("taskserv create thing --infra demo").code, 0);
    let check = "taskserv create thing --infra demo --check --detailed-exitcode";
    assert_eq!(sample.prov(check).code, 0);
    sample.inside("a", "rm /root/thing");
    assert_eq!(sample.prov(check).code, 3, "it is recorded and doesn't work");
}

#[test]
fn on_a_server_that_was_stopped_it_is_removed_all_the_same() {
    let Some(sample) = Sample::new(&["a"]) else { return };
    sample.define("thing", "", "", ["touch /root/thing\n", NOTHING, "rm /root/thing\n"]);
    assert_eq!(sample.prov("taskserv create thing --infra demo").code, 0);
    sample.stop("a");
    let check = sample.prov("taskserv delete thing --infra demo --check");
    assert!(check.code != 0 && check.stderr.contains("doesn't run"), "{check:?}");
    let removed = sample.prov("taskserv delete thing --infra demo --yes");
    assert_eq!(removed.stdout, "Successfully removed 1 task service\n", "{removed:?}");
    assert_eq!(sample.inside("a", "ls /root"), "");
}

#[test]
fn under_systemd_a_service_is_a_unit_that_starts_with_the_server() {
    let Some(sample) = Sample::new(&["a"]) else { return };
    let install = "service_start thing --signal INT sleep 'a b' \"\\$x%\"\n";
    sample.define(
        "thing",
        "",
        "",
        [install, "grep -q 'a\\\\ b' /var/lib/prov/services/thing\n", "service_remove thing\n"],
    );
    // A server whose first process says that it is systemd, and writes down what it is told.
    sample.inside(
        "a",
        "mkdir -p /run/systemd/system && printf '#!/bin/sh\necho \"$*\" >>/root/told\n' >/usr/local/bin/systemctl && \
         chmod 755 /usr/local/bin/systemctl",
    );
    let made = sample.prov("taskserv create thing --infra demo");
    assert_eq!(made.code, 0, "{made:?}");
    let told = sample.inside("a", "cat /root/told; rm /root/told");
    let expected = "--quiet stop thing.service\ndaemon-reload\n--quiet enable thing.service\nrestart thing.service\n";
    assert_eq!(told, expected);
    let unit = sample.inside("a", "cat /etc/systemd/system/thing.service");
    for line in ["ExecStart=/bin/bash /var/lib/prov/services/thing", "KillSignal=SIGINT", "WantedBy=multi-user.target"]
    {
        assert!(unit.lines().any(|one| one == line), "{line}: {unit}");
    }
    assert_eq!(sample.prov("taskserv delete thing --infra demo --yes").code, 0);
    assert_eq!(sample.inside("a", "ls /etc/systemd/system/thing.service 2>/dev/null; ls /var/lib/prov/services"), "");
}
