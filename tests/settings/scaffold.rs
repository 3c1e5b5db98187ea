//! The workspace that `prov init` writes is one that works.

use std::time::Duration;

use prov::api::batch::BatchRequest;
use prov::model::name::Name;
use prov::provision::scaffold;
use prov::provision::settings::{DEFAULT_FILES, default_file, load_with};
use prov::provision::workspace::Workspace;

use super::evaluator;

#[test]
fn the_example_infra_is_three_local_servers() {
    let dir = tempfile::tempdir().unwrap();
    scaffold::write(dir.path()).unwrap();
    let workspace = Workspace::open(dir.path()).unwrap();
    let infra = Name::new("production").unwrap();
    assert_eq!(workspace.infras().unwrap(), std::slice::from_ref(&infra));
    let file = default_file(&workspace, &infra).unwrap();
    assert_eq!(file, DEFAULT_FILES[0]);
    let settings = load_with(&evaluator(Duration::from_secs(30)), &workspace, &infra, file).unwrap();
    let servers: Vec<&str> = settings.servers.iter().map(|server| server.name.as_str()).collect();
    assert_eq!(servers, ["web-1", "web-2", "db-1"]);
    assert!(settings.servers.iter().all(|server| server.provider.as_str() == "local"));
    assert_eq!(settings.servers[0].labels["team"], "shop");
}

#[test]
fn the_example_batch_is_one_that_the_daemon_takes() {
    let dir = tempfile::tempdir().unwrap();
    scaffold::write(dir.path()).unwrap();
    let document = evaluator(Duration::from_secs(30)).file(&dir.path().join("batches/demo.ncl")).unwrap();
    let batch = BatchRequest::read(&document.value).unwrap().spec;
    let operations: Vec<(&str, &str)> =
        batch.operations.iter().map(|operation| (operation.id.as_str(), operation.payload.kind())).collect();
    assert_eq!(operations, [("servers", "server_batch"), ("hello", "taskserv_batch"), ("report", "command")]);
    assert_eq!(batch.infra.as_str(), "demo");
}
