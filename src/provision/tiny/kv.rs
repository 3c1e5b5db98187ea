//! A key-value store that speaks a part of the Redis protocol (RESP2, and inline commands): PING, SET, GET, DEL. What it
//! acknowledged stands in an append-only file, which is read at start.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The longest key or value, in bytes.
const MOST_BYTES: usize = 1024 * 1024;
/// The most words of a command.
const MOST_WORDS: usize = 1024;

type Words = Vec<Vec<u8>>;

/// The values and their file.
pub(super) struct Store(Mutex<(Values, File)>);

type Values = HashMap<Vec<u8>, Vec<u8>>;

impl Store {
    /// The store that the file holds. A command cut short at its end was never acknowledged, and is cut off.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut values = HashMap::new();
        let mut reader = BufReader::new(file);
        let mut whole = 0;
        while let Ok(Some(words)) = command(&mut reader) {
            whole += encode(&words).len() as u64;
            apply(&mut values, &words);
        }
        let file = reader.into_inner();
        file.set_len(whole)?;
        Ok(Self(Mutex::new((values, file))))
    }

    /// Answers a client until it has no more commands.
    pub(super) fn converse(&self, stream: TcpStream) -> io::Result<()> {
        let mut writer = stream.try_clone()?;
        let mut reader = BufReader::new(stream);
        loop {
            match command(&mut reader) {
                Ok(Some(words)) => writer.write_all(&self.carry_out(&words))?,
                Ok(None) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return writer.write_all(format!("-ERR Protocol error: {error}\r\n").as_bytes());
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn carry_out(&self, words: &Words) -> Vec<u8> {
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (values, file) = &mut *inside;
        let name = words.first().map(|word| word.to_ascii_uppercase()).unwrap_or_default();
        match (name.as_slice(), &words[1..]) {
            (b"PING", []) => b"+PONG\r\n".to_vec(),
            (b"PING", [text]) => bulk(text),
            (b"GET", [key]) => values.get(key).map_or_else(|| b"$-1\r\n".to_vec(), |value| bulk(value)),
            (b"SET", [_, _]) => match file.write_all(&encode(words)) {
                Ok(()) => {
                    apply(values, words);
                    b"+OK\r\n".to_vec()
                }
                Err(error) => format!("-ERR can't write: {error}\r\n").into_bytes(),
            },
            (b"DEL", keys) if !keys.is_empty() => match file.write_all(&encode(words)) {
                Ok(()) => format!(":{}\r\n", apply(values, words)).into_bytes(),
                Err(error) => format!("-ERR can't write: {error}\r\n").into_bytes(),
            },
            (b"PING" | b"GET" | b"SET" | b"DEL", _) => b"-ERR wrong number of arguments\r\n".to_vec(),
            _ => b"-ERR unknown command; this store knows PING, SET, GET and DEL\r\n".to_vec(),
        }
    }
}

/// Changes the values; answers how many keys were there.
fn apply(values: &mut Values, words: &Words) -> usize {
    match words.as_slice() {
        [name, key, value] if name.eq_ignore_ascii_case(b"SET") => {
            usize::from(values.insert(key.clone(), value.clone()).is_some())
        }
        [name, keys @ ..] if name.eq_ignore_ascii_case(b"DEL") => {
            keys.iter().filter(|key| values.remove(*key).is_some()).count()
        }
        _ => 0,
    }
}

fn bulk(text: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", text.len()).as_bytes(), text, b"\r\n"].concat()
}

fn encode(words: &Words) -> Vec<u8> {
    let head = format!("*{}\r\n", words.len()).into_bytes();
    words.iter().fold(head, |mut bytes, word| {
        bytes.extend(bulk(word));
        bytes
    })
}

/// The next command; `None` at the end.
fn command(reader: &mut impl BufRead) -> io::Result<Option<Words>> {
    loop {
        let Some(line) = line(reader)? else { return Ok(None) };
        if let Some(count) = line.strip_prefix('*') {
            let count = number(count, MOST_WORDS)?;
            return (0..count).map(|_| word(reader)).collect::<io::Result<Words>>().map(Some);
        }
        let words: Words = line.split_ascii_whitespace().map(|word| word.as_bytes().to_vec()).collect();
        if !words.is_empty() {
            return Ok(Some(words));
        }
    }
}

fn word(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let line = line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let length = number(line.strip_prefix('$').ok_or_else(|| invalid("expected '$'"))?, MOST_BYTES)?;
    let mut word = vec![0; length + 2];
    reader.read_exact(&mut word)?;
    if !word.ends_with(b"\r\n") {
        return Err(invalid("a word is not ended by CR LF"));
    }
    word.truncate(length);
    Ok(word)
}

fn line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    reader.take(64 * 1024).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()))
}

fn number(text: &str, most: usize) -> io::Result<usize> {
    text.parse().ok().filter(|number| *number <= most).ok_or_else(|| invalid("a length is wrong"))
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Words {
        text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn what_was_set_is_there_after_a_restart_and_a_torn_end_is_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let store = Store::open(&path).unwrap();
        assert_eq!(store.carry_out(&words("SET a 1")), b"+OK\r\n");
        assert_eq!(store.carry_out(&words("set b 2")), b"+OK\r\n");
        assert_eq!(store.carry_out(&words("DEL a x")), b":1\r\n");
        drop(store);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"*3\r\n$3\r\nSET\r\n$1\r\nc").unwrap();
        let store = Store::open(&path).unwrap();
        assert_eq!(store.carry_out(&words("GET b")), b"$1\r\n2\r\n");
        assert_eq!(store.carry_out(&words("GET a")), b"$-1\r\n");
        assert_eq!(store.carry_out(&words("SET d 4")), b"+OK\r\n");
        let again = Store::open(&path).unwrap();
        assert_eq!(again.carry_out(&words("GET d")), b"$1\r\n4\r\n");
    }

    #[test]
    fn what_is_no_command_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("log")).unwrap();
        assert!(store.carry_out(&words("FLUSHALL")).starts_with(b"-ERR unknown command"));
        assert!(store.carry_out(&words("GET")).starts_with(b"-ERR wrong number"));
        assert!(command(&mut &b"*99999\r\n"[..]).is_err());
        assert!(command(&mut &b"*1\r\n$99999999\r\n"[..]).is_err());
        assert_eq!(command(&mut &b"\r\nPING\r\n"[..]).unwrap(), Some(words("PING")));
    }
}
