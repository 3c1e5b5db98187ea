//! `prov credentials …`, and secrets that can't be had.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// A user with a home and a workspace.
struct Person {
    dir: tempfile::TempDir,
}

impl Person {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn prov(&self, line: &str, stdin: &str, env: &[(&str, &str)]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_prov"));
        command.args(line.split_whitespace()).current_dir(self.dir.path()).env_clear();
        command.env("HOME", self.dir.path()).env("PATH", "/usr/bin:/bin").envs(env.iter().copied());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A command that reads nothing may end first.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        // What went to the keyring outlives the home.
        self.prov("credentials delete upcloud", "", &[]);
        self.prov("credentials delete db", "", &[]);
        self.prov("credentials delete aws", "", &[]);
    }
}

#[test]
fn a_credential_is_kept_listed_without_itself_and_forgotten() {
    let person = Person::new();
    let (code, _, said) = person.prov("credentials set upcloud --stdin", "swordfish\n", &[]);
    assert!(code == 0 && said.starts_with("UPCLOUD_TOKEN is kept in "), "{said}");
    assert_eq!(person.prov("credentials set db --stdin", "trout\n", &[]).0, 0);
    let list = |env: &[(&str, &str)]| -> (Value, String) {
        let (code, out, err) = person.prov("credentials list -o json", "", env);
        assert_eq!(code, 0, "{err}");
        (serde_json::from_str(&out).unwrap(), out)
    };
    let (listed, text) = list(&[]);
    assert!(!text.contains("swordfish") && !text.contains("trout"));
    let names: Vec<&Value> = listed.as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["UPCLOUD_TOKEN", "db"]);
    let (listed, _) = list(&[("UPCLOUD_TOKEN", "pike")]);
    assert_eq!(listed[0]["origin"], "environment", "it goes before what is kept");
    fs::write(person.dir.path().join("open"), "pike").unwrap();
    let (listed, _) = list(&[("UPCLOUD_TOKEN_FILE", "open")]);
    let problem = listed[0]["problem"].as_str().unwrap();
    assert!(problem.contains("can be read by everybody"), "{problem}");
    assert_eq!(person.prov("credentials delete upcloud", "", &[]).0, 0);
    assert_eq!(person.prov("credentials delete upcloud", "", &[]).0, 6);
    let (code, _, said) = person.prov("credentials set upcloud", "", &[]);
    assert!(code == 2 && said.contains("--stdin"), "{said}");
}

#[test]
fn a_reference_that_is_none_is_refused_with_its_place() {
    let person = Person::new();
    let infra = person.dir.path().join("infra/demo");
    fs::create_dir_all(&infra).unwrap();
    let settings = json!({
        "servers": [{"name": "a", "plan": "1xCPU-1 GB"}],
        "taskservs": [{"name": "redis", "params": {"port": {"secret": {"fiel": "A"}}}}],
    });
    fs::write(infra.join("config.json"), serde_json::to_string_pretty(&settings).unwrap()).unwrap();
    let (code, _, said) = person.prov("infra validate demo", "", &[]);
    assert_eq!(code, 2, "{said}");
    assert!(
        said.contains("taskservs[0].params.port: unknown source of a secret `fiel`; did you mean `file`?"),
        "{said}"
    );
    assert!(said.contains("config.json:"), "{said}");
}

#[test]
fn a_key_of_aws_is_kept_whole_used_after_the_files_and_forgotten() {
    let person = Person::new();
    // It refuses whoever comes, which is found out once there is something to sign with.
    let elsewhere = crate::support::upcloud::UpCloud::start();
    let env = [
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ENDPOINT_URL", elsewhere.url.as_str()),
    ];
    let used = || {
        let (_, out, err) = person.prov("provider images aws", "", &env);
        assert!(!(out + &err).contains("swordfish"));
        err
    };
    assert!(used().contains("prov credentials set aws"), "{}", used());
    let (code, _, said) = person.prov("credentials set aws --stdin", "AKIDKEPT\n", &[]);
    assert!(code == 2 && said.contains("AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN"), "{said}");
    assert_eq!(person.prov("credentials set aws --stdin", "AKIDOLD\nswordfish\nsalmon\n", &[]).0, 0);
    let (code, _, said) = person.prov("credentials set aws --stdin", "AKIDKEPT\nswordfish\n", &[]);
    assert!(code == 0 && said.contains("AWS_SECRET_ACCESS_KEY is kept in ") && !said.contains("swordfish"), "{said}");
    let (_, out, _) = person.prov("credentials list -o json", "", &[]);
    let listed: Value = serde_json::from_str(&out).unwrap();
    let names: Vec<&Value> = listed.as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], "the old session went with the old key");
    assert_eq!(listed[0]["provider"], "aws");
    assert!(used().contains("DescribeImages: the answer is the status 401"), "{}", used());
    let (code, _, said) = person.prov("credentials delete aws", "", &[]);
    assert!(code == 0 && said.contains("AWS_ACCESS_KEY_ID is forgotten"), "{said}");
    assert!(used().contains("there are no AWS credentials"), "{}", used());
}
