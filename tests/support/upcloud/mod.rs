//! An UpCloud of our own, for tests: its REST API 1.3 as far as it is documented and prov uses it, on a free port of this
//! machine.
//!
//! It is strict where UpCloud is: bodies with attributes that it doesn't know are refused, lists are wrapped, numbers are
//! texts, a server is in `maintenance` for a while, and is deleted only when it is stopped. What goes wrong on the way is
//! switched on by a test ([`Mishap`]).

mod catalogue;
mod order;
mod routes;
mod world;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use axum::Router;
use axum::extract::Request;
use serde_json::Value;

pub use self::world::World;

/// The token that it takes.
pub const TOKEN: &str = "ucat_01STUBTOKENOFATESTACCOUNT";
/// The user and password that it takes.
pub const USER: (&str, &str) = ("tester", "pass:word/of+a \"tester\"");

/// What happens to a call instead of what should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// It is done, and the connection is cut before anything is answered.
    LostReply,
    /// It is done, and answered with 500.
    FailedReply,
    /// Nothing is done, and 500 is answered.
    Failure,
    /// Nothing is done: too many calls, with this `Retry-After` in seconds.
    TooMany(u32),
    /// Nothing is done: 503 with this `Retry-After` in seconds.
    Unavailable(u32),
    /// Nothing is done: an error of this status and code, in the format of RFC 7807 or the old one.
    Refusal { status: u16, code: &'static str, is_detailed: bool },
    /// 401, and the answer quotes the request with all its headers.
    Unauthorised,
}

/// A call that came.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    /// `POST /server`.
    pub call: String,
    pub query: String,
    pub body: Value,
    pub status: u16,
}

/// It runs until the tests are over.
#[derive(Clone)]
pub struct UpCloud {
    pub url: String,
    shared: Arc<Mutex<Shared>>,
}

/// All that a call reads and changes.
pub struct Shared {
    pub world: World,
    mishaps: VecDeque<(String, Mishap)>,
    received: Vec<Received>,
}

impl UpCloud {
    pub fn start() -> Self {
        let shared = Shared { world: World::new(), mishaps: VecDeque::new(), received: Vec::new() };
        let shared = Arc::new(Mutex::new(shared));
        let listener = std::net::TcpListener::bind(super::ANY_PORT).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        listener.set_nonblocking(true).unwrap();
        let kept = Arc::clone(&shared);
        let handle = async move |request: Request| routes::answer(&kept, request).await;
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, Router::new().fallback(handle)).await.unwrap();
            });
        });
        Self { url, shared }
    }

    /// The environment that leads a process here, with the token.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        [("UPCLOUD_DEBUG_API_BASE_URL", self.url.clone()), ("UPCLOUD_TOKEN", TOKEN.to_owned())]
    }

    /// What is there; nothing is answered while it is held.
    pub fn world(&self) -> impl std::ops::DerefMut<Target = World> {
        Held(self.shared())
    }

    /// The next call of this kind (`POST /server`; `*` stands for an id) goes wrong so.
    pub fn next(&self, call: &str, mishap: Mishap) {
        self.shared().mishaps.push_back((call.to_owned(), mishap));
    }

    /// The calls that came, in order.
    pub fn received(&self) -> Vec<Received> {
        self.shared().received.clone()
    }

    /// How many calls of a kind came.
    pub fn count(&self, call: &str) -> usize {
        self.shared().received.iter().filter(|received| routes::is_kind(&received.call, call)).count()
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap()
    }
}

struct Held<'a>(MutexGuard<'a, Shared>);

impl std::ops::Deref for Held<'_> {
    type Target = World;
    fn deref(&self) -> &World {
        &self.0.world
    }
}

impl std::ops::DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.0.world
    }
}
