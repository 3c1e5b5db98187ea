//! Fetching one artifact: mirrors in order, what was cut off gone on with, and nothing kept whose checksum is another one.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use reqwest::blocking::{Client, Response};
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{StatusCode, Url, redirect};

use super::cache::checksum;
use super::{Artifact, ArtifactError, shown};
use crate::provision::web;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a mirror may say nothing.
const SILENCE: Duration = Duration::from_secs(30);
/// How often a mirror is asked that breaks off without having given anything more.
const ATTEMPTS: u32 = 3;
/// How many redirects are followed.
const REDIRECTS: usize = 10;

/// What a mirror gave.
enum Given {
    /// All that it has.
    All,
    /// It broke off; why.
    Part(String),
    /// It can't give it; why.
    Nothing(String),
}

/// Fetches the artifact to `part`, which may hold the beginning of it already.
pub(super) fn fetch(artifact: &Artifact, part: &Path, deadline: Instant) -> Result<(), ArtifactError> {
    let client = client()?;
    let mut why = Vec::new();
    for url in &artifact.urls {
        match from_mirror(&client, url, artifact, part, deadline)? {
            None => return Ok(()),
            Some(reason) => why.push(format!("{}: {reason}", shown(url))),
        }
        if Instant::now() >= deadline {
            why.push("there is no time left".to_owned());
            break;
        }
    }
    Err(ArtifactError::Fetch { name: artifact.name.clone(), version: artifact.version.clone(), why })
}

/// Fetches it from one mirror; answers why not.
fn from_mirror(
    client: &Client,
    url: &Url,
    artifact: &Artifact,
    part: &Path,
    deadline: Instant,
) -> Result<Option<String>, ArtifactError> {
    let mut fruitless = 0;
    let mut resumed = size(part) > 0;
    loop {
        let before = size(part);
        let given = ask(client, url, artifact, part, deadline)?;
        match given {
            Given::All => {
                let actual = checksum(part)?;
                if actual == artifact.sha256 {
                    return Ok(None);
                }
                std::fs::remove_file(part)?;
                // The beginning may have been another mirror's, or of another day.
                if resumed {
                    resumed = false;
                    continue;
                }
                return Ok(Some(format!("its SHA-256 is {actual}, and {} was expected", artifact.sha256)));
            }
            Given::Nothing(why) => return Ok(Some(why)),
            Given::Part(why) => {
                fruitless = if size(part) > before { 0 } else { fruitless + 1 };
                resumed = size(part) > 0;
                if fruitless >= ATTEMPTS || Instant::now() >= deadline {
                    return Ok(Some(why));
                }
            }
        }
    }
}

/// Asks once, for what is lacking.
fn ask(
    client: &Client,
    url: &Url,
    artifact: &Artifact,
    part: &Path,
    deadline: Instant,
) -> Result<Given, ArtifactError> {
    let there = size(part);
    let mut request = client.get(url.clone());
    if there > 0 {
        request = request.header(RANGE, format!("bytes={there}-"));
    }
    let response = match request.send() {
        Ok(response) => response,
        Err(error) => {
            return Ok(if error.is_redirect() { Given::Nothing(cause(&error)) } else { Given::Part(cause(&error)) });
        }
    };
    let goes_on = response.status() == StatusCode::PARTIAL_CONTENT && begins_at(&response) == Some(there);
    match response.status() {
        // Nothing comes after what is there: it is whole, or wrong.
        StatusCode::RANGE_NOT_SATISFIABLE if there > 0 => return Ok(Given::All),
        StatusCode::PARTIAL_CONTENT if !goes_on => {
            std::fs::remove_file(part)?;
            return Ok(Given::Part("it answers with another range than was asked for".to_owned()));
        }
        status if status.is_success() => {}
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            return Ok(Given::Part(format!("it answers {}", status.as_u16())));
        }
        status => return Ok(Given::Nothing(format!("it answers {}", status.as_u16()))),
    }
    let mut file = OpenOptions::new().create(true).append(goes_on).write(true).truncate(!goes_on).open(part)?;
    let already = if goes_on { there } else { 0 };
    copy(response, &mut file, already, artifact, deadline)
}

fn copy(
    mut response: Response,
    file: &mut File,
    already: u64,
    artifact: &Artifact,
    deadline: Instant,
) -> Result<Given, ArtifactError> {
    let announced = response.content_length();
    let (mut total, mut piece) = (already, vec![0; 1 << 16]);
    loop {
        let count = match response.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) => return Ok(Given::Part(format!("it broke off after {total} bytes: {}", innermost(&error)))),
        };
        total += count as u64;
        if total > artifact.most_bytes {
            return Ok(Given::Nothing(format!("it has more than {} MiB", artifact.most_bytes >> 20)));
        }
        file.write_all(&piece[..count])?;
        if Instant::now() >= deadline {
            return Ok(Given::Part(format!("it took too long: {total} bytes came until then")));
        }
    }
    match announced {
        Some(announced) if total < already + announced => {
            Ok(Given::Part(format!("it broke off after {total} of {} bytes", already + announced)))
        }
        _ => Ok(Given::All),
    }
}

/// Where what an answer holds begins.
fn begins_at(response: &Response) -> Option<u64> {
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

fn size(path: &Path) -> u64 {
    path.metadata().map_or(0, |found| found.len())
}

fn client() -> Result<Client, ArtifactError> {
    let unable = |error: &dyn Error| ArtifactError::Client(error.to_string());
    let client = web::client()
        .map_err(|error| unable(&error))?
        .redirect(redirect::Policy::custom(follow))
        .connect_timeout(CONNECT_TIMEOUT)
        // Of each reading of a body: one that comes is not ended.
        .timeout(SILENCE)
        .build();
    client.map_err(|error| unable(&error))
}

/// Redirects lead to http or https, and never from https to http.
fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let was_safe = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    match attempt.url().scheme() {
        _ if attempt.previous().len() > REDIRECTS => attempt.error("there are too many redirects"),
        "https" => attempt.follow(),
        "http" if !was_safe => attempt.follow(),
        "http" => attempt.error("it redirects from https to http"),
        _ => attempt.error("it redirects to what is neither http nor https"),
    }
}

/// Why a call failed. Its address is left out: it may hold a password.
fn cause(error: &reqwest::Error) -> String {
    match error.source() {
        _ if error.is_timeout() => "it took too long".to_owned(),
        Some(source) => innermost(source),
        None => "the connection failed".to_owned(),
    }
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
