//! Infras over the API: what the execution plane tells of them, to whoever may read them.

use serde_json::json;

use crate::support::{Daemon, run};

#[test]
fn infras_are_listed_and_shown_with_their_secrets_covered() {
    run(async {
        let daemon = Daemon::start(&[]).await;
        let write = |name: &str, text: &str| {
            let dir = daemon.path(&format!("ws/infra/{name}"));
            std::fs::create_dir_all(&dir).unwrap();
            std::fs::write(dir.join("config.yaml"), text).unwrap();
        };
        write(
            "web",
            "environment: staging\nservers:\n  - {name: web-1, provider: local, plan: 1xCPU-512 MB, zone: local}\n",
        );
        write("broken", "servers: 7\n");
        let listed = daemon.get("/infra").await;
        let infras = listed.data().as_array().unwrap();
        let find = |name: &str| infras.iter().find(|infra| infra["name"] == name).unwrap();
        assert_eq!((&find("web")["environment"], &find("web")["servers"]), (&json!("staging"), &json!(1)));
        assert!(find("broken")["problem"].is_string() && find("broken")["environment"].is_null());

        let shown = daemon.get("/infra/web").await;
        assert_eq!(shown.data()["servers"][0]["name"], "web-1");
        assert_eq!(daemon.get("/infra/web/servers").await.data(), &json!([]));
        let broken = daemon.get("/infra/broken").await;
        assert_eq!((broken.status.as_u16(), broken.code()), (409, "conflict"));
        for path in ["/infra/nothing", "/infra/nothing/servers", "/infra/..%2f..", "/infra/%2e%2e/servers"] {
            let missing = daemon.get(path).await;
            assert_eq!((missing.status.as_u16(), missing.code()), (404, "not_found"), "{path}");
        }
    });
}

/// Another program as the execution plane, which knows nothing of infras.
#[test]
fn a_plane_that_does_not_answer_is_said_to_be_one() {
    run(async {
        let mut daemon = Daemon::new(&[]);
        daemon.configure("command = \"/bin/true\"");
        daemon.boot().await;
        let answer = daemon.get("/infra").await;
        assert_eq!((answer.status.as_u16(), answer.code()), (503, "unavailable"));
    });
}
