//! The evaluation can be neither left nor held up.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use prov::provision::settings::{Limit, SettingsError};

use super::{Sample, Told, evaluator};

/// What loading `text` as Nickel is refused with.
fn refusal(text: &str, timeout: Duration) -> Told {
    Sample::new().with("infra/a/config.ncl", text).load_within("config.ncl", timeout).unwrap_err()
}

#[test]
fn a_loop_ends_at_the_deadline() {
    let began = Instant::now();
    let error = refusal("let rec loop = fun n => loop (n + 1) in loop 0", Duration::from_secs(1));
    assert!(matches!(*error, SettingsError::Limit { limit: Limit::Time(_), .. }), "{error}");
    assert_eq!(error.to_string(), "infra/a/config.ncl is refused: it takes longer than 1 s");
    assert!(error.hint().unwrap().contains("PROV_EVAL_TIMEOUT_SECONDS"));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn memory_without_end_ends_at_the_limit() {
    let text = "let rec grow = fun text => grow (text ++ text) in grow \"xxxxxxxxxxxxxxxx\"";
    let error = refusal(text, Duration::from_mins(1));
    assert!(matches!(*error, SettingsError::Limit { limit: Limit::Memory(_), .. }), "{error}");
    assert_eq!(error.to_string(), "infra/a/config.ncl is refused: it needs more than 512 MiB of memory");
}

#[test]
fn recursion_without_end_ends_at_a_limit() {
    let text = "let rec deep = fun n => 1 + deep n in deep 0";
    let error = refusal(text, Duration::from_mins(1));
    assert!(matches!(*error, SettingsError::Limit { .. }), "{error}");
    let text = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let error = refusal(&text, Duration::from_mins(1));
    assert!(matches!(*error, SettingsError::Limit { limit: Limit::Depth, .. }), "{error}");
}

#[test]
fn yaml_that_takes_long_to_scan_ends_at_the_deadline() {
    let began = Instant::now();
    let sample = Sample::new().with("infra/a/config.yaml", &"{a: ".repeat(1_000_000));
    let error = sample.load_within("config.yaml", Duration::from_secs(1)).unwrap_err();
    assert!(matches!(*error, SettingsError::Limit { limit: Limit::Time(_), .. }), "{error}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn an_import_from_outside_is_refused_in_every_format() {
    for import in ["import \"/etc/passwd\"", "import \"/etc/passwd\" as 'Text", "import \"/etc/os-release\" as 'Toml"] {
        let error = refusal(&format!("{{\n  name = \"a\",\n  x = {import},\n}}"), Duration::from_secs(30)).to_string();
        let expected = "infra/a/config.ncl:3:7: the import \"/etc/";
        assert!(error.starts_with(expected), "{error}");
        assert!(error.contains("leads out of the workspace; settings can import only what is in it"), "{error}");
        assert!(!error.contains("root:"), "{error}");
    }
}

#[test]
fn dots_and_links_do_not_lead_out() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("x.ncl"), "\"leaked\"").unwrap();
    let sample = Sample::new().with("ok.ncl", "1");
    let name = outside.path().file_name().unwrap().to_str().unwrap();
    symlink(outside.path().join("x.ncl"), sample.dir.path().join("infra/a/link.ncl")).unwrap();
    symlink(outside.path(), sample.dir.path().join("top")).unwrap();
    for import in [&format!("../../../{name}/x.ncl"), "link.ncl", "../../top/x.ncl"] {
        fs::write(sample.dir.path().join("infra/a/config.ncl"), format!("{{ x = import \"{import}\" }}")).unwrap();
        let error = sample.load("config.ncl").unwrap_err().to_string();
        assert!(error.starts_with("infra/a/config.ncl:1:7: the import "), "{error}");
        assert!(error.contains("leads out of the workspace"), "{error}");
        assert!(!error.contains("leaked"), "{error}");
    }
}

#[test]
fn what_the_execution_plane_keeps_is_not_for_settings() {
    let sample = Sample::new()
        .with(".prov/local/secret.json", "{\"k\": 1}")
        .with("infra/a/config.ncl", "{ x = import \"../../.prov/local/secret.json\" }");
    let error = sample.load("config.ncl").unwrap_err().to_string();
    assert!(error.contains("leads out of the workspace"), "{error}");
}

#[test]
fn a_settings_file_that_is_a_link_out_is_refused() {
    let outside = tempfile::tempdir().unwrap();
    for file in ["config.ncl", "config.yaml", "config.json"] {
        fs::write(outside.path().join(file), "{}").unwrap();
        let sample = Sample::new();
        symlink(outside.path().join(file), sample.dir.path().join("infra/a").join(file)).unwrap();
        let error = sample.load(file).unwrap_err();
        assert!(error.to_string().starts_with(&format!("infra/a/{file} leads out of the workspace")), "{error}");
        assert!(error.is_invalid_file());
    }
}

#[test]
fn paths_that_climb_or_start_at_the_root_are_refused() {
    for file in ["../b/config.json", "/etc/passwd", "a\nb.json", ""] {
        let error = Sample::new().load(file).unwrap_err().to_string();
        assert!(error.contains("must be a relative path inside the workspace"), "{error}");
    }
}

#[test]
fn a_batch_may_import_what_is_in_its_workspace_and_no_more() {
    let sample = Sample::new()
        .with("shared/sizes.ncl", "{ small = \"1xCPU-1 GB\" }")
        .with("shared/zones.yaml", "eu: de-fra1\n")
        .with(
            "batches/demo.ncl",
            "let sizes = import \"../shared/sizes.ncl\" in { plan = sizes.small, zone = (import \"../shared/zones.yaml\").eu }",
        )
        .with("batches/bad.ncl", "{ x = import \"../../x.ncl\" }");
    let evaluator = evaluator(Duration::from_secs(30));
    let document = evaluator.file(&sample.dir.path().join("batches/demo.ncl")).unwrap();
    assert_eq!(document.value, serde_json::json!({"plan": "1xCPU-1 GB", "zone": "de-fra1"}));
    let error = evaluator.file(&sample.dir.path().join("batches/bad.ncl")).unwrap_err().to_string();
    let error = error.trim_start_matches(&format!("{}/", sample.dir.path().display()));
    assert!(error.starts_with("batches/bad.ncl:1:7: the import \"../../x.ncl\" leads out"), "{error}");
}
