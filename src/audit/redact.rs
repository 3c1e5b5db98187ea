//! Hides secrets by the names they go by and by their looks.
//!
//! A last line of defence: whoever makes an event leaves secrets out. It hides rather too much than too little, and
//! can't know a secret that has neither a telling name nor a telling form. Booleans and nulls stay: they tell that there
//! is a secret, not which.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::text::plain;

/// What stands in a secret's place.
pub const HIDDEN: &str = "[redacted]";

/// A name that has one of these in it, without regard to case and separators, is a secret's.
const PARTS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "signingkey",
    "encryptionkey",
    "authorization",
    "cookie",
    "credential",
    "mfacode",
    "totp",
    "backupcode",
    "recoverycode",
    "connectionstring",
    "jwt",
    "bearer",
];
/// A name that has one of these as a word is a secret's; inside of other words they mean nothing.
const WORDS: &[&str] = &["pass", "pwd", "otp", "pin", "auth"];

/// Levels below which nothing is kept.
const DEPTH: usize = 16;
/// Characters of one text.
const TEXT: usize = 2048;
/// Bytes of all details.
const SIZE: usize = 16 * 1024;

/// The details as they may be written: without secrets and control characters; when they are large, only how large.
#[must_use]
pub fn details(details: Map<String, Value>) -> Map<String, Value> {
    let details = object(details, DEPTH);
    let size = serde_json::to_string(&details).map_or(usize::MAX, |text| text.len());
    if size <= SIZE { details } else { Map::from_iter([("omitted_bytes".to_owned(), size.into())]) }
}

/// The value without its secrets, at any depth.
#[must_use]
pub fn value(value: Value) -> Value {
    below(value, DEPTH)
}

/// The text without the secrets in it: one that has a token or a private key is hidden as a whole; of `password=…`,
/// `Cookie: …` and the password of a URL, the value.
#[must_use]
pub fn text(text: &str) -> Cow<'_, str> {
    if has_private_key(text) || has_token(text) || has_authorization(text) {
        return Cow::Borrowed(HIDDEN);
    }
    if !text.contains(['=', ':']) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(hide_assigned(&hide_in_urls(text)))
}

/// Whether a value by this name is a secret.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let letters: String = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    PARTS.iter().any(|part| letters.contains(part)) || words(name).any(|word| WORDS.contains(&word.as_str()))
}

/// The words of a name in snake, kebab or camel case.
fn words(name: &str) -> impl Iterator<Item = String> {
    let mut spaced = String::with_capacity(name.len());
    let mut after_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (after_lower && c.is_uppercase()) {
            spaced.push(' ');
        }
        spaced.extend(c.to_lowercase().filter(|c| c.is_alphanumeric()));
        after_lower = c.is_lowercase();
    }
    spaced.split_whitespace().map(str::to_owned).collect::<Vec<_>>().into_iter()
}

fn below(value: Value, depth: usize) -> Value {
    match value {
        Value::String(string) => plain(&text(&string), TEXT).into(),
        Value::Array(_) | Value::Object(_) if depth == 0 => "[nested too deeply]".into(),
        Value::Array(items) => array(items, depth),
        Value::Object(fields) => object(fields, depth).into(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

fn hidden(value: Value) -> Value {
    if matches!(value, Value::Null | Value::Bool(_)) { value } else { HIDDEN.into() }
}

fn object(fields: Map<String, Value>, depth: usize) -> Map<String, Value> {
    // `{"name": "PGPASSWORD", "value": "…"}`, as environments and headers are often written.
    let telling = ["name", "key"].iter().filter_map(|name| fields.get(*name)?.as_str()).any(is_secret);
    let fields = fields.into_iter().map(|(name, value)| {
        let secret = is_secret(&name) || (telling && name == "value");
        let value = if secret { hidden(value) } else { below(value, depth.saturating_sub(1)) };
        (plain(&text(&name), TEXT), value)
    });
    fields.collect()
}

fn array(items: Vec<Value>, depth: usize) -> Value {
    // `["--password", "…"]`, as arguments are given.
    let mut option = false;
    let items = items.into_iter().map(|item| {
        let secret = option;
        option = item.as_str().is_some_and(|text| text.starts_with('-') && !text.contains('=') && is_secret(text));
        if secret && !option { hidden(item) } else { below(item, depth - 1) }
    });
    items.collect()
}

fn has_private_key(text: &str) -> bool {
    text.contains("-----BEGIN ") && text.contains("PRIVATE KEY")
}

/// Whether a JWT is in the text, signed (three parts) or encrypted (five): its first part is JSON, which makes it begin
/// so.
fn has_token(text: &str) -> bool {
    let pieces = text.split(|c: char| !c.is_ascii_alphanumeric() && !"_-.".contains(c));
    pieces.filter_map(|piece| piece.find("eyJ").map(|at| &piece[at..])).any(|piece| piece.split('.').count() >= 3)
}

/// Whether the text has what an `Authorization` header has: `Bearer` and something, or `Basic` and a name with password.
fn has_authorization(text: &str) -> bool {
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || "\"':=,".contains(c)).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    words.windows(2).any(|pair| {
        let basic = || STANDARD.decode(pair[1].trim_end_matches('=').to_owned() + padding(pair[1]));
        pair[0].eq_ignore_ascii_case("bearer")
            || (pair[0].eq_ignore_ascii_case("basic") && basic().is_ok_and(|decoded| decoded.contains(&b':')))
    })
}

fn padding(base64: &str) -> &'static str {
    ["", "===", "==", "="][base64.trim_end_matches('=').len() % 4]
}

/// Hides the password in `scheme://user:password@host`.
fn hide_in_urls(text: &str) -> String {
    let mut parts = text.split("://");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("://");
        let end = part.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(part.len());
        // Up to the last `@`: a password with a slash or an `@` that nobody encoded is hidden as well.
        match part[..end].rsplit_once('@').and_then(|(user, _)| Some((user.split_once(':')?.0, user.len()))) {
            Some((user, at)) => out.push_str(&format!("{user}:{HIDDEN}{}", &part[at..])),
            None => out.push_str(part),
        }
    }
    out
}

/// Hides the value of `name=value` up to the next separator, and of `Name: value` up to the end of the line.
fn hide_assigned(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(['=', ':']) {
        let (before, after) = rest.split_at(at + 1);
        out.push_str(before);
        let name = before[..at].trim_end_matches(['"', '\'', ' ']);
        let name = name.rsplit(|c: char| !c.is_alphanumeric() && !"_-.".contains(c)).next().unwrap_or_default();
        if !is_secret(name) {
            rest = after;
            continue;
        }
        let value = after.trim_start_matches([' ', '=']);
        out.push_str(&after[..after.len() - value.len()]);
        let end = end_of(value, before.ends_with(':'));
        out.push_str(if end == 0 { "" } else { HIDDEN });
        rest = &value[end..];
    }
    out + rest
}

/// Where a value ends: with its quotes, or with the line of a header, or with the word.
fn end_of(value: &str, header: bool) -> usize {
    let end = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value[1..].find(quote).map(|end| end + 2),
        _ if header => value.find(['\r', '\n']),
        _ => value.find(|c: char| c.is_whitespace() || "&;,".contains(c)),
    };
    end.unwrap_or(value.len())
}
