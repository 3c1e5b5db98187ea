//! A real daemon for a test: its own directory, free ports, logged in, gone when dropped.

pub mod certificates;
pub mod ec2;
pub mod moto;
pub mod proxy;
pub mod receiver;
pub mod sockets;
pub mod totp;
pub mod upcloud;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often it looks whether it did.
const INTERVAL: Duration = Duration::from_millis(10);

/// A free port of this machine alone.
pub const ANY_PORT: &str = "127.0.0.1:0";

/// A daemon that runs.
pub struct Daemon {
    pub dir: TempDir,
    /// What is started; prov as it was built, unless a test puts another in its place.
    pub program: PathBuf,
    child: Option<Child>,
    pub options: Vec<String>,
    /// Variables of its environment, besides the test's own.
    pub environment: Vec<(String, String)>,
    open_files: Option<u32>,
    orchestrator: String,
    pub control_center: String,
    pub token: String,
    pub http: reqwest::Client,
}

/// An answer, taken apart.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    /// The data of a success.
    pub fn data(&self) -> &Value {
        assert_eq!(self.body["success"], true, "{self:?}");
        &self.body["data"]
    }

    /// The code of a failure, whose envelope is checked.
    pub fn code(&self) -> &str {
        assert_eq!(self.body["success"], false, "{self:?}");
        assert!(self.body["error"].as_str().is_some_and(|error| !error.is_empty()), "{self:?}");
        assert_eq!(self.body["request_id"].as_str(), self.headers["x-request-id"].to_str().ok(), "{self:?}");
        self.body["code"].as_str().unwrap()
    }
}

impl Daemon {
    /// Starts one with more options.
    pub async fn start(options: &[&str]) -> Self {
        let mut daemon = Self::new(options);
        daemon.boot().await;
        daemon
    }

    /// One that is not started yet.
    pub fn new(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("ws")).unwrap();
        Self {
            dir,
            program: env!("CARGO_BIN_EXE_prov").into(),
            child: None,
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            environment: Vec::new(),
            open_files: None,
            orchestrator: String::new(),
            control_center: String::new(),
            token: String::new(),
            http: http(),
        }
    }

    /// Gives it a configuration: keys of `[daemon]`, as TOML.
    pub fn configure(&mut self, keys: &str) {
        let path = self.path("prov.toml");
        fs::write(&path, format!("[daemon]\n{keys}\n")).unwrap();
        self.options.extend(["--config".to_owned(), path.display().to_string()]);
    }

    /// Lets it have no more files open than this.
    pub fn limit_open_files(&mut self, limit: u32) {
        self.open_files = Some(limit);
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Starts the process, on the directory as it is, and logs in.
    pub async fn boot(&mut self) {
        self.spawn();
        self.greet().await;
    }

    /// Starts the process.
    pub fn spawn(&mut self) {
        let ready = self.path("ready.json");
        let _ = fs::remove_file(&ready);
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("daemon.log")).unwrap();
        let mut command = command_of(&self.program, &self.path("ws"), &self.path("data"), ANY_PORT);
        command.arg("--ready-file").arg(&ready).args(&self.options);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(limit) = self.open_files {
            command = limited(&command, limit);
        }
        let child = command.stderr(log).spawn().unwrap();
        self.child = Some(child);
    }

    /// Waits until the process is ready, and logs in.
    pub async fn greet(&mut self) {
        let ready = self.path("ready.json");
        let addresses = until("the daemon is ready", || async {
            fs::read(&ready).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok())
        });
        let addresses = addresses.await;
        addresses["orchestrator"].as_str().unwrap().clone_into(&mut self.orchestrator);
        addresses["control_center"].as_str().unwrap().clone_into(&mut self.control_center);
        let password = self.password();
        let login = self.login("admin", &password).await;
        login.data()["token"].as_str().unwrap().clone_into(&mut self.token);
    }

    /// What the daemon has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("daemon.log")).unwrap_or_default()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn password(&self) -> String {
        fs::read_to_string(self.path("data/admin-password")).unwrap().trim().to_owned()
    }

    pub async fn login(&self, username: &str, password: &str) -> Answer {
        let request = self.http.post(format!("{}/auth/login", self.control_center));
        answer(request.json(&json!({ "username": username, "password": password }))).await
    }

    /// A login with a code of the second factor.
    pub async fn login_with(&self, username: &str, password: &str, code: &str) -> Answer {
        let request = self.http.post(format!("{}/auth/login", self.control_center));
        answer(request.json(&json!({ "username": username, "password": password, "mfa_code": code }))).await
    }

    /// The orchestrator's address.
    pub fn orchestrator(&self) -> &str {
        &self.orchestrator
    }

    /// A request to the orchestrator, with the token.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.orchestrator)).bearer_auth(&self.token)
    }

    /// A call of the control center with this token; a body that is null is none.
    pub async fn control(&self, token: &str, method: Method, path: &str, body: Value) -> Answer {
        let request = self.http.request(method, format!("{}{path}", self.control_center)).bearer_auth(token);
        answer(if body.is_null() { request } else { request.json(&body) }).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        answer(self.request(Method::POST, path).json(body)).await
    }

    /// Submits a batch and answers its id.
    pub async fn batch(&self, body: &Value) -> String {
        let answer = self.post("/batch/execute", body).await;
        answer.data()["batch_id"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
    }

    /// The batch once it has ended.
    pub async fn ended(&self, id: &str) -> Value {
        let path = format!("/batch/operations/{id}");
        self.ended_at(&path, &["Pending", "Running", "RollingBack"]).await
    }

    /// The task once it has ended.
    pub async fn task_ended(&self, id: &str) -> Value {
        self.ended_at(&format!("/tasks/{id}"), &["Pending", "Running"]).await
    }

    /// The rollback once it has ended.
    pub async fn rollback_ended(&self, id: &str) -> Value {
        self.ended_at(&format!("/rollback/executions/{id}"), &["Pending", "Running"]).await
    }

    async fn ended_at(&self, path: &str, live: &[&str]) -> Value {
        until("it has ended", || async {
            let data = self.get(path).await.data().clone();
            (!live.contains(&data["status"].as_str().unwrap())).then_some(data)
        })
        .await
    }

    /// SIGKILL: the daemon alone; its supervisor and tasks live on.
    pub fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        self.child.take().unwrap().wait().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        // The supervisor and its tasks name the data directory on their command line or in their environment.
        let name = self.dir.path().display().to_string();
        for pid in processes_of(&name) {
            let _ = kill_process(pid, Signal::KILL);
        }
        if let Ok(data) = fs::canonicalize(self.path("data")) {
            prov::exec::remove_groups(&data.join("supervisor"));
        }
    }
}

/// Processes that name `what` on their command line or in their environment.
pub fn processes_of(what: &str) -> Vec<Pid> {
    let names = |pid: &i32| {
        ["cmdline", "environ"].iter().any(|file| {
            fs::read(format!("/proc/{pid}/{file}")).is_ok_and(|text| String::from_utf8_lossy(&text).contains(what))
        })
    };
    let own = i32::try_from(std::process::id()).unwrap();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| *pid != own).filter(names).filter_map(Pid::from_raw).collect()
}

/// `prov serve` with the control center on a free port.
pub fn command(workspace: &Path, data: &Path, listen: &str) -> Command {
    command_of(Path::new(env!("CARGO_BIN_EXE_prov")), workspace, data, listen)
}

fn command_of(program: &Path, workspace: &Path, data: &Path, listen: &str) -> Command {
    let mut command = Command::new(program);
    command
        .args(["serve", "--listen", listen, "--control-listen", ANY_PORT])
        .arg("--workspace")
        .arg(workspace)
        .arg("--data-dir")
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .env("PROV_LOG", "warn");
    command
}

/// The same with a limit of open files.
fn limited(command: &Command, open_files: u32) -> Command {
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -n {open_files}; exec \"$0\" \"$@\"")]);
    limited.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null()).stdout(Stdio::null());
    limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited
}

pub async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{status}: {text}"));
    Answer { status, headers, body }
}

/// A client that trusts no authority: the machine's needn't be read for it.
pub fn http() -> reqwest::Client {
    trusting([]).build().unwrap()
}

/// A client that trusts these authorities.
pub fn trusting(authorities: impl IntoIterator<Item = reqwest::Certificate>) -> reqwest::ClientBuilder {
    // Only the first of the process has to.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().tls_certs_only(authorities)
}

/// Looks until there is something, and fails after a while.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        let _ = tokio::time::timeout(INTERVAL, std::future::pending::<()>()).await;
    }
}

/// Runs a test's future.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

/// An operation that runs a shell script.
pub fn script(id: &str, text: &str) -> Value {
    json!({ "id": id, "type": "command", "command": "sh", "args": ["-c", text] })
}
