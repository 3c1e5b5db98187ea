//! `prov demo`: a daemon of its own on free ports, real servers, real services, a failure on purpose and its rollback,
//! then everything gone again, and proof that it is.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::connect::{block_on, failure};
use super::error::{CliError, Kind};
use super::own_daemon::{self, OwnDaemon, PATIENCE, failed};
use super::watch::{self, Limits};
use super::{Global, Printer};
use crate::api::batch::BatchView;
use crate::client::Client;
use crate::model::name::Name;
use crate::model::status::{BatchStatus, OperationStatus};
use crate::provision::provider::{self, Server};
use crate::provision::report::Reporter;
use crate::provision::servers::{Options, Prepared, existing};
use crate::provision::transport::Exec;
use crate::provision::workspace::Workspace;

/// Show what prov does: one real batch run to its end, one that fails and is rolled back, then everything gone
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Keep the directory with the daemon's log when something goes wrong
    #[arg(long)]
    keep: bool,
}

/// The infra that the demo makes.
const INFRA: &str = "demo";
/// Where the two services listen.
const HTTP_PORT: u16 = 8080;
const KV_PORT: u16 = 6380;

pub(super) fn run(args: &Args, global: &Global) -> Result<ExitCode, CliError> {
    let printer = Printer::new(global);
    if !printer.format().is_for_people() {
        let error = CliError::new(Kind::Usage, "the demo is for people and comes in no other format");
        return Err(error.hint("leave --output away".to_owned()));
    }
    let start = Instant::now();
    let mut stage = Stage::set()?;
    printer.remark(&format!("a daemon of its own, in {}", stage.own.directory().display()));
    let played = block_on(async {
        tokio::select! {
            // Listened for before anything is started.
            biased;
            interruption = own_daemon::interruption() => Err(interruption),
            played = play(&mut stage, &printer) => played,
        }
    });
    printer.remark("\n== Everything is deleted");
    let struck = stage.strike(args.keep && played.is_err());
    played?;
    struck?;
    let left = what_is_left(&stage);
    if !left.is_empty() {
        return Err(CliError::new(Kind::Failure, format!("the demo left something behind: {}", left.join(", "))));
    }
    printer.remark("nothing is left: no process, no mount, no network interface, no file");
    printer.out(&format!("The demo is complete: {:.1} s\n", start.elapsed().as_secs_f64()))?;
    Ok(ExitCode::SUCCESS)
}

/// The demo itself.
async fn play(stage: &mut Stage, printer: &Printer) -> Result<(), CliError> {
    let client = stage.open(printer).await?;
    printer.remark("\n== A batch: three servers, an HTTP server on two of them, a key-value store on the third");
    let batch = execute(&client, &first_batch(), printer).await?;
    if batch.summary.status != BatchStatus::Completed {
        return Err(watch::explain(&client, &batch, Kind::WorkFailed).await);
    }
    let servers = stage.servers()?;
    let addresses = servers.iter().filter_map(|server| server.address.as_ref()?.parse().ok());
    stage.interfaces = addresses.filter_map(interface_to).collect();
    printer.list(&servers, super::servers::server_rows)?;
    printer.remark("\n== The services answer");
    prove(stage, &servers, printer)?;
    printer.remark("\n== A second batch: a server, then an operation that fails on purpose");
    let failed = execute(&client, &second_batch(), printer).await?;
    printer.out(&super::batch::overview(&failed))?;
    if failed.summary.status != BatchStatus::RolledBack {
        let what = format!("the second batch ended {}, not RolledBack", failed.summary.status);
        return Err(CliError::new(Kind::Failure, what));
    }
    let undone = failed.operations.iter().filter(|operation| operation.status == OperationStatus::RolledBack).count();
    let names = stage.servers()?.iter().map(|server| server.spec.name.to_string()).collect::<Vec<_>>().join(", ");
    printer.remark(&format!(
        "{undone} operation was undone; the servers that are left are those of the first batch: {names}"
    ));
    Ok(())
}

async fn execute(client: &Client, batch: &Value, printer: &Printer) -> Result<BatchView, CliError> {
    let (view, warnings) = client.batch_execute(batch).await.map_err(|error| failure(&error))?;
    printer.warnings(&warnings);
    watch::to_the_end(client, view.summary.batch_id, Limits::until_the_end(), printer).await
}

fn server(name: &str) -> Value {
    json!({ "name": name, "plan": "1xCPU-512 MB", "zone": "local" })
}

fn first_batch() -> Value {
    json!({
        "name": "demo", "infra": INFRA, "parallel_limit": 4,
        "operations": [
            { "id": "servers", "type": "server_batch", "provider": "local",
              "server_configs": [server("web-1"), server("web-2"), server("store-1")] },
            { "id": "http", "type": "taskserv_batch", "provider": "local", "dependencies": ["servers"],
              "taskservs": [{ "name": "tiny-http", "servers": ["web-1", "web-2"], "params": { "port": HTTP_PORT } }] },
            { "id": "store", "type": "taskserv_batch", "provider": "local", "dependencies": ["servers"],
              "taskservs": [{ "name": "tiny-kv", "servers": ["store-1"], "params": { "port": KV_PORT } }] },
        ],
    })
}

fn second_batch() -> Value {
    json!({
        "name": "demo-failure", "infra": INFRA,
        "operations": [
            { "id": "another-server", "type": "server_batch", "provider": "local", "server_configs": [server("web-3")] },
            { "id": "fails", "type": "command", "dependencies": ["another-server"], "command": "sh",
              "args": ["-c", "echo 'this operation fails on purpose' >&2; exit 1"] },
            { "id": "never", "type": "command", "dependencies": ["fails"], "command": "true" },
        ],
    })
}

/// Asks every service for something that only it can answer.
fn prove(stage: &Stage, servers: &[Server], printer: &Printer) -> Result<(), CliError> {
    for server in servers {
        let is_store = server.spec.name.as_str().starts_with("store");
        let (port, request) = if is_store {
            (KV_PORT, "SET greeting hello\r\nGET greeting\r\n")
        } else {
            (HTTP_PORT, "GET / HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n")
        };
        let answer = stage.ask(server, port, request)?;
        let last = answer.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("").to_owned();
        let expected = if is_store { "hello".to_owned() } else { server.spec.name.to_string() };
        if !last.contains(&expected) {
            return Err(CliError::new(Kind::Failure, format!("{} answered {answer:?}", server.spec.name)));
        }
        let what = if is_store { "SET greeting hello, GET greeting" } else { "GET /" };
        let place = server.address.as_deref().unwrap_or("inside the server");
        printer.out(&format!("{:8} {place}:{port}  {what}  →  {last}\n", server.spec.name))?;
    }
    Ok(())
}

/// The demo's own daemon, and what its servers can be known by.
struct Stage {
    own: OwnDaemon,
    /// The interfaces by which servers were reached.
    interfaces: BTreeSet<String>,
}

impl Stage {
    fn set() -> Result<Self, CliError> {
        Ok(Self { own: OwnDaemon::set_up("demo")?, interfaces: BTreeSet::new() })
    }

    /// Starts the daemon and logs in as its administrator.
    async fn open(&mut self, printer: &Printer) -> Result<Client, CliError> {
        let addresses = self.own.start().await?;
        printer
            .remark(&format!("orchestrator {}, control center {}", addresses.orchestrator, addresses.control_center));
        let client = Client::new(addresses).map_err(|error| failure(&error))?;
        let pair = self.own.log_in(&client).await?;
        printer.remark("logged in as admin, with the password from the file that the first start made");
        Ok(client.with_token(pair.token))
    }

    fn servers(&self) -> Result<Vec<Server>, CliError> {
        let workspace = self.opened()?;
        let reporter = Reporter::silent();
        let listed = existing(&workspace, &infra(), &reporter).list();
        listed.map_err(|error| CliError::of(Kind::Failure, &error).hint(error.hint()))
    }

    fn opened(&self) -> Result<Workspace, CliError> {
        Workspace::open(&self.own.workspace()).map_err(|error| CliError::of(Kind::Failure, &error))
    }

    /// Sends a request to a server's port, from the host where it can be reached, else from inside.
    fn ask(&self, server: &Server, port: u16, request: &str) -> Result<String, CliError> {
        let what = format!("can't ask {}", server.spec.name);
        if let Some(address) = &server.address {
            return ask_from_here(&format!("{address}:{port}"), request).map_err(|error| failed(&what, &error));
        }
        let workspace = self.opened()?;
        let provider = provider::open(&server.provider, &workspace, &Reporter::silent())
            .map_err(|error| CliError::of(Kind::Failure, &error))?;
        let script = r#"exec 3<>"/dev/tcp/127.0.0.1/$1"; cat >&3; timeout 1 cat <&3 || true"#;
        let argv = ["bash", "-c", script, "bash", &port.to_string()].map(str::to_owned).to_vec();
        let exec =
            Exec { argv, stdin: request.as_bytes(), deadline: Some(Instant::now() + PATIENCE), ..Exec::default() };
        let result = provider.transport(&infra(), &server.spec.name).and_then(|way| way.exec(&exec));
        let result = result.map_err(|error| CliError::of(Kind::Failure, &error))?;
        Ok(String::from_utf8_lossy(&result.stdout).into_owned())
    }

    /// Ends the daemon, deletes the servers and the directory.
    fn strike(&mut self, keep: bool) -> Result<(), CliError> {
        self.own.stop()?;
        let servers = self.servers()?;
        let names: Vec<Name> = servers.iter().map(|server| server.spec.name.clone()).collect();
        if !names.is_empty() {
            let (workspace, reporter) = (self.opened()?, Reporter::silent());
            let prepared = Prepared::delete_named(&workspace, &infra(), &names, &reporter);
            let prepared = prepared.map_err(|error| CliError::of(Kind::Failure, &error))?;
            let deleted = prepared.apply(&Options { keep_going: true, ..Options::default() });
            deleted.map_err(|error| CliError::of(Kind::Failure, &error).hint(error.hint()))?;
        }
        if keep { Ok(()) } else { self.own.remove() }
    }
}

fn infra() -> Name {
    Name::new(INFRA).expect("the demo's infra is a name")
}

fn ask_from_here(address: &str, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(request.as_bytes())?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    BufReader::new(stream.take(64 * 1024)).read_to_string(&mut answer)?;
    Ok(answer)
}

/// What is there because of the demo, looked at until it is gone, for a moment at most: processes and mounts that name
/// its directory, the directory, and the interfaces its servers were reached by.
fn what_is_left(stage: &Stage) -> Vec<String> {
    let mut left = Vec::new();
    for _ in 0..100 {
        left = look(stage);
        if left.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    left
}

fn look(stage: &Stage) -> Vec<String> {
    let name = stage.own.directory().display().to_string();
    let mut left = stage.own.processes_left();
    let mounts = fs::File::open("/proc/self/mountinfo").map(BufReader::new);
    let lines = mounts.into_iter().flat_map(BufRead::lines).map_while(Result::ok);
    left.extend(lines.filter(|line| line.contains(&name)).map(|line| format!("mount {line}")));
    let there = |interface: &&String| Path::new("/sys/class/net").join(interface).exists();
    left.extend(stage.interfaces.iter().filter(there).map(|interface| format!("network interface {interface}")));
    if stage.own.directory().exists() {
        left.push(format!("directory {name}"));
    }
    left
}

/// The interface by which the host reaches an address, by its routing table (`/proc/net/route`, little-endian hex).
fn interface_to(address: Ipv4Addr) -> Option<String> {
    let table = fs::read_to_string("/proc/net/route").ok()?;
    let number = |field: &str| u32::from_str_radix(field, 16).ok().map(u32::swap_bytes);
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (destination, mask) = (number(fields.get(1)?)?, number(fields.get(7)?)?);
        (mask != 0 && u32::from(address) & mask == destination).then(|| fields[0].to_owned())
    })
}
