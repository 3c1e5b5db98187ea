//! Policies change what happens from the next request on, can't lock everybody out, and come back as they were.

use reqwest::Method;
use serde_json::{Value, json};

use super::House;
use crate::support::run;

const NO_READING: &str =
    "forbid (\n    principal in Role::\"Viewer\",\n    action == Action::\"task_read\",\n    resource\n);";

#[test]
fn a_change_takes_effect_at_once_and_can_be_taken_back() {
    run(async {
        let house = House::open().await;
        let task = house.task("Admin", "dev").await;
        let path = format!("/tasks/{task}");
        let create = json!({ "name": "no-reading", "content": NO_READING });
        let made = house.control("Admin", Method::POST, "/policies", &create).await;
        assert_eq!((made.data()["version"].as_u64(), made.data()["created_by"].as_str()), (Some(1), Some("root")));
        assert_eq!(house.get("Viewer", &path).await.status, 404);
        let denied = house.get("Viewer", "/tasks").await;
        assert_eq!((denied.status.as_u16(), denied.code()), (403, "forbidden"));
        let details = &denied.body["details"];
        assert_eq!(details["policies"], json!(["no-reading"]));
        assert!(details["hint"].as_str().unwrap().contains("prov policy why --as viewer --action task_read"));
        assert_eq!(house.control("Admin", Method::POST, "/policies", &create).await.status, 409);

        let off = house.control("Admin", Method::PUT, "/policies/no-reading", &json!({ "enabled": false })).await;
        assert_eq!(off.data()["version"], 2);
        assert_eq!(house.get("Viewer", &path).await.status, 200);
        let stale = json!({ "enabled": true, "version": 1 });
        assert_eq!(house.control("Admin", Method::PUT, "/policies/no-reading", &stale).await.status, 409);
        let back = json!({ "version": 1 });
        let back = house.control("Admin", Method::POST, "/policies/no-reading/rollback", &back).await;
        assert_eq!((back.data()["version"].as_u64(), back.data()["enabled"].as_bool()), (Some(3), Some(true)));
        assert_eq!(house.get("Viewer", &path).await.status, 404);
        let versions = house.control("Auditor", Method::GET, "/policies/no-reading/versions", &json!({})).await;
        let versions: Vec<u64> =
            versions.data().as_array().unwrap().iter().map(|v| v["version"].as_u64().unwrap()).collect();
        assert_eq!(versions, [3, 2, 1]);
        let id = made.data()["id"].as_str().unwrap();
        let gone = house.control("Admin", Method::DELETE, &format!("/policies/{id}"), &json!({})).await;
        assert_eq!(gone.status, 200);
        assert_eq!(house.get("Viewer", &path).await.status, 200);
        assert_eq!(house.control("Admin", Method::GET, "/policies/no-reading", &json!({})).await.status, 404);
    });
}

#[test]
fn policies_see_the_account_of_whoever_asks() {
    run(async {
        let mut house = House::open().await;
        let password = "nine kittens in a gale";
        let guest = json!({
            "username": "guest", "email": "guest@example.net", "password": password, "roles": ["Operator"],
        });
        assert_eq!(house.control("Admin", Method::POST, "/users", &guest).await.status, 200);
        let login = house.daemon.login("guest", password).await;
        house.tokens.insert("guest", login.data()["token"].as_str().unwrap().to_owned());
        let may = async |house: &House| house.get("guest", "/tasks").await.status.as_u16();
        let verdict = async |house: &House| {
            let ask = json!({ "principal": "guest", "action": "task_read" });
            house.control("Admin", Method::POST, "/policies/evaluate", &ask).await.data()["decision"].clone()
        };
        assert_eq!((may(&house).await, verdict(&house).await), (200, json!("allow")));
        let outsiders = "forbid (principal, action, resource) when { principal.email like \"*@example.net\" };";
        let create = json!({ "name": "outsiders", "content": outsiders });
        assert_eq!(house.control("Admin", Method::POST, "/policies", &create).await.status, 200);
        assert_eq!((may(&house).await, verdict(&house).await), (403, json!("deny")));
        let other = json!({ "email": "guest@example.org" });
        assert_eq!(house.control("Admin", Method::PUT, "/users/guest", &other).await.status, 200);
        assert_eq!((may(&house).await, verdict(&house).await), (200, json!("allow")));
    });
}

#[test]
fn nobody_can_lock_every_administrator_out() {
    run(async {
        let mut house = House::open().await;
        let content = "forbid (principal, action == Action::\"policy_manage\", resource);";
        let create = json!({ "name": "shut", "content": content });
        let refused = house.control("Admin", Method::POST, "/policies", &create).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (409, "conflict"));
        assert!(refused.body["error"].as_str().unwrap().contains("policy `shut` forbids it"), "{refused:?}");
        let off = house.control("Admin", Method::PUT, "/policies/role-admin", &json!({ "enabled": false })).await;
        assert_eq!(off.status, 409);
        let delete = house.control("Admin", Method::DELETE, "/policies/role-admin", &json!({})).await;
        assert_eq!(delete.status, 409);
        let listed = house.control("Admin", Method::GET, "/policies", &json!({})).await;
        assert_eq!(super::total(&listed), 8, "what ships, and nothing else");

        let disabled = json!({ "name": "shut", "content": content, "enabled": false });
        assert_eq!(house.control("Admin", Method::POST, "/policies", &disabled).await.status, 200);
        // What was decided outlives the daemon.
        house.daemon.kill();
        house.daemon.boot().await;
        let shut = house.control("Admin", Method::GET, "/policies/shut", &json!({})).await;
        assert_eq!(shut.data()["enabled"], false);
    });
}

#[test]
fn wrong_texts_are_refused_with_their_places_and_questions_are_answered() {
    run(async {
        let house = House::open().await;
        let wrong = json!({ "content": NO_READING.replace("action ==", "action =") });
        for body in [wrong.clone(), json!({ "name": "wrong", "content": wrong["content"], "enabled": false })] {
            let path = if body.get("name").is_some() { "/policies" } else { "/policies/validate" };
            let refused = house.control("Admin", Method::POST, path, &body).await;
            assert_eq!((refused.status.as_u16(), refused.code()), (400, "invalid_request"));
            let problem = &refused.body["details"]["problems"][0];
            assert_eq!(
                (problem["pointer"].as_str(), problem["line"].as_u64()),
                (Some("/content"), Some(3)),
                "{problem}"
            );
            assert!(problem["message"].as_str().unwrap().starts_with("line 3, column "), "{problem}");
        }
        let ask = |principal: &str, infra: &str| -> Value {
            json!({ "principal": principal, "action": "workflow_submit", "resource": infra, "context": { "mfa": true } })
        };
        let said = house.control("Auditor", Method::POST, "/policies/evaluate", &ask("developer", "production")).await;
        assert_eq!(said.data()["decision"], "deny");
        assert_eq!(said.data()["why_not"], "it takes the role Admin or Operator");
        let said = house.control("Developer", Method::POST, "/policies/evaluate", &ask("developer", "dev")).await;
        assert_eq!(said.data()["decision"], "allow");
        assert_eq!(said.data()["policies"], json!(["role-developer"]));
        let others = house.control("Developer", Method::POST, "/policies/evaluate", &ask("viewer", "dev")).await;
        assert_eq!(others.status, 403);
    });
}
