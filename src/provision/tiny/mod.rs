//! Two small services that need no package, so that a first run works on a machine without any: an HTTP server and a
//! key-value store. They run inside servers as `prov internal tiny-http` and `prov internal tiny-kv`.
//!
//! Real services in the small: they speak their protocols correctly for what they offer, to many clients at once, and the
//! store keeps what it acknowledged. Threads and the standard library only.

mod http;
mod kv;

use std::ffi::OsString;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The HTTP server's word after `prov internal`: ADDRESSES TEXT; addresses with commas between.
pub const HTTP: &str = "tiny-http";
/// The store's word after `prov internal`: ADDRESSES FILE.
pub const KV: &str = "tiny-kv";
/// Clients at once; more are turned away.
const MOST_CLIENTS: usize = 256;
/// How long a client may be silent.
const SILENCE: Duration = Duration::from_mins(1);

/// Runs the service that `word` names until its process is ended.
#[must_use]
pub fn run(word: &str, args: &[OsString]) -> ExitCode {
    let [address, second] = args else {
        eprintln!("prov: {word} takes an address and one more argument");
        return ExitCode::from(2);
    };
    let (address, second) = (address.to_string_lossy(), second.to_string_lossy().into_owned());
    let ended = if word == HTTP {
        serve(&address, move |stream| http::answer(stream, &second))
    } else {
        kv::Store::open(second.as_ref()).and_then(|store| serve(&address, move |stream| store.converse(stream)))
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("prov: {word} on {address}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Accepts clients at all of the addresses for ever, a thread each.
fn serve(addresses: &str, client: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> io::Result<()> {
    let listeners: Vec<TcpListener> = addresses.split(',').map(TcpListener::bind).collect::<io::Result<_>>()?;
    let (client, clients) = (Arc::new(client), Arc::new(AtomicUsize::new(0)));
    std::thread::scope(|scope| {
        let all: Vec<_> = listeners.iter().map(|one| scope.spawn(|| accept(one, &client, &clients))).collect();
        all.into_iter().try_for_each(|one| one.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into())))
    })
}

fn accept<C: Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static>(
    listener: &TcpListener,
    client: &Arc<C>,
    clients: &Arc<AtomicUsize>,
) -> io::Result<()> {
    for stream in listener.incoming() {
        let stream = stream?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_write_timeout(Some(SILENCE))?;
        if clients.fetch_add(1, Ordering::Relaxed) >= MOST_CLIENTS {
            clients.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let (client, clients) = (Arc::clone(client), Arc::clone(clients));
        std::thread::spawn(move || {
            // A client that breaks off concerns nobody else.
            let _ = client(stream);
            clients.fetch_sub(1, Ordering::Relaxed);
        });
    }
    Ok(())
}
