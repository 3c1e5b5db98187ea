//! What stands between prov and moto: what the real EC2 does and moto doesn't.
//!
//! It keeps the tokens of orders with EC2's three answers to a repeated one (the same machine; other fields; a machine that
//! was terminated), and a rule of the test says what becomes of each call.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A call on its way to EC2.
#[derive(Clone, Debug)]
pub struct Call {
    /// `RunInstances`, …
    pub action: String,
    /// All that it says.
    pub params: BTreeMap<String, String>,
    /// The lines above its body.
    pub head: String,
    body: Vec<u8>,
}

/// What becomes of a call.
pub enum Fate {
    /// It is carried out and answered.
    Pass,
    /// It isn't carried out, and answered with this status, code and wait in seconds.
    Refuse(u16, &'static str, Option<u32>),
    /// It isn't carried out, and never answered.
    Drop,
    /// It is carried out, and never answered.
    Lose,
    /// It is carried out, and half of its answer comes.
    Cut,
    /// It arrives twice; the second answer counts.
    Twice,
    /// It is carried out, and its answer comes changed.
    Edit(fn(String) -> String),
    /// It asks for pages of so many.
    Pages(u32),
}

type Rule = Box<dyn FnMut(&Call) -> Fate + Send>;

/// Answers of which one is remembered for each token.
#[derive(Default)]
struct Tokens {
    orders: BTreeMap<String, (BTreeMap<String, String>, String)>,
    terminated: BTreeSet<String>,
}

/// EC2 for one test.
pub struct Ec2 {
    pub address: String,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Ec2 {
    /// Before the moto at `target`; `rule` is asked about each call.
    pub fn before(target: &str, rule: impl FnMut(&Call) -> Fate + Send + 'static) -> Self {
        let listener = TcpListener::bind(super::ANY_PORT).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let target = target.trim_start_matches("http://").to_owned();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let rule: Arc<Mutex<Rule>> = Arc::new(Mutex::new(Box::new(rule)));
        let (seen, tokens) = (Arc::clone(&calls), Arc::new(Mutex::new(Tokens::default())));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (target, rule, seen) = (target.clone(), Arc::clone(&rule), Arc::clone(&seen));
                let tokens = Arc::clone(&tokens);
                thread::spawn(move || {
                    let Some(mut call) = read_call(&client) else { return };
                    seen.lock().unwrap().push(call.clone());
                    let fate = rule.lock().unwrap()(&call);
                    serve(&client, &target, &mut call, &fate, &tokens);
                });
            }
        });
        Self { address, calls }
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// How many calls of an action came.
    pub fn count(&self, action: &str) -> usize {
        self.calls().iter().filter(|call| call.action == action).count()
    }
}

fn serve(client: &TcpStream, target: &str, call: &mut Call, fate: &Fate, tokens: &Mutex<Tokens>) {
    let answer = match fate {
        Fate::Refuse(status, code, after) => Some(refusal(*status, code, *after)),
        Fate::Drop => None,
        Fate::Lose => {
            carry_out(target, call, tokens);
            None
        }
        Fate::Cut => {
            let answer = carry_out(target, call, tokens);
            Some(answer[..answer.len() / 2].to_owned())
        }
        Fate::Twice => {
            carry_out(target, call, tokens);
            Some(carry_out(target, call, tokens))
        }
        Fate::Edit(edit) => Some(with_body(&carry_out(target, call, tokens), *edit)),
        Fate::Pages(size) => {
            call.params.insert("MaxResults".to_owned(), size.to_string());
            let pairs = call.params.iter();
            call.body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().into_bytes();
            Some(carry_out(target, call, tokens))
        }
        Fate::Pass => Some(carry_out(target, call, tokens)),
    };
    let mut client = client;
    // Whoever waited may have gone.
    let _ = client.write_all(answer.unwrap_or_default().as_bytes());
    let _ = client.shutdown(Shutdown::Both);
}

/// Has moto do it, unless the token says that it is done.
fn carry_out(target: &str, call: &Call, tokens: &Mutex<Tokens>) -> String {
    let mut tokens = tokens.lock().unwrap();
    let Some(token) = call.params.get("ClientToken").filter(|_| call.action == "RunInstances") else {
        if call.action == "TerminateInstances" {
            tokens.terminated.extend(call.params.get("InstanceId.1").cloned());
        }
        drop(tokens);
        return forward(target, call);
    };
    if let Some((params, answer)) = tokens.orders.get(token) {
        let id = answer.split("<instanceId>").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_default();
        return match () {
            () if tokens.terminated.contains(id) => refusal(400, "IdempotentInstanceTerminated", None),
            () if *params != call.params => refusal(400, "IdempotentParameterMismatch", None),
            () => answer.clone(),
        };
    }
    let answer = forward(target, call);
    if answer.lines().next().is_some_and(|line| line.contains(" 200 ")) {
        tokens.orders.insert(token.clone(), (call.params.clone(), answer.clone()));
    }
    answer
}

fn forward(target: &str, call: &Call) -> String {
    let mut moto = TcpStream::connect(target).unwrap();
    let kept = call.head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("content-length"));
    let head: String = kept.map(|line| format!("{line}\r\n")).collect();
    let length = call.body.len();
    moto.write_all(format!("{head}content-length: {length}\r\nconnection: close\r\n\r\n").as_bytes()).unwrap();
    moto.write_all(&call.body).unwrap();
    let mut answer = String::new();
    moto.read_to_string(&mut answer).unwrap();
    answer
}

fn refusal(status: u16, code: &str, after: Option<u32>) -> String {
    let error = format!("<Error><Code>{code}</Code><Message>As a test wants it.</Message></Error>");
    let body = format!("<?xml version=\"1.0\"?><Response><Errors>{error}</Errors><RequestID>1</RequestID></Response>");
    let wait = after.map_or(String::new(), |seconds| format!("retry-after: {seconds}\r\n"));
    format!("HTTP/1.1 {status} No\r\ncontent-type: text/xml\r\n{wait}content-length: {}\r\n\r\n{body}", body.len())
}

fn with_body(answer: &str, edit: fn(String) -> String) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let body = edit(body.to_owned());
    let kept = head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("content-length"));
    let head: String = kept.map(|line| format!("{line}\r\n")).collect();
    format!("{head}content-length: {}\r\n\r\n{body}", body.len())
}

fn read_call(mut client: &TcpStream) -> Option<Call> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                |line: &str| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse::<usize>().ok();
            if body.len() >= head.lines().find_map(length).unwrap_or(0) {
                let params: BTreeMap<_, _> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
                let action = params.get("Action").cloned().unwrap_or_default();
                return Some(Call { action, params, head: head.to_owned(), body: body.as_bytes().to_vec() });
            }
        }
        match client.read(&mut buffer) {
            Ok(count @ 1..) => bytes.extend_from_slice(&buffer[..count]),
            _ => return None,
        }
    }
}
