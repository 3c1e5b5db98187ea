//! A command on a terminal, with somebody who reads what it shows and types what it asks for.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::User;

/// A command that runs on a terminal of its own.
pub(super) struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    screen: ChildStdout,
    shown: String,
    /// How much of what was shown has been looked at.
    seen: usize,
}

/// What runs a command on a terminal.
pub(super) fn on_one(user: &User, args: &[&str]) -> Command {
    script(user, &[&[env!("CARGO_BIN_EXE_prov")], args].concat().join(" "))
}

/// What runs a line of a shell on a terminal.
fn script(user: &User, words: &str) -> Command {
    let prov = user.command(&[]);
    let mut script = Command::new("script");
    script.args(["-qec", words, "/dev/null"]).current_dir(user.home.path()).env_clear().env("TERM", "xterm");
    script.envs(prov.get_envs().filter_map(|(name, value)| Some((name, value?))));
    script
}

impl Terminal {
    pub(super) fn of(user: &User, args: &[&str]) -> Self {
        Self::start(on_one(user, args))
    }

    /// On one that has a size.
    pub(super) fn sized(user: &User, args: &[&str], (rows, columns): (u16, u16)) -> Self {
        let prov = [&[env!("CARGO_BIN_EXE_prov")], args].concat().join(" ");
        Self::start(script(user, &format!("stty rows {rows} cols {columns}; {prov}")))
    }

    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (keyboard, screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, keyboard, screen, shown: String::new(), seen: 0 }
    }

    /// Waits until this is shown, and answers what was shown from the last time on.
    pub(super) fn shows(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.shown[self.seen..].find(text) {
                let end = self.seen + at + text.len();
                let shown = self.shown[self.seen..end].to_owned();
                self.seen = end;
                return shown;
            }
            assert!(self.read() > 0, "it ended without {text:?}: {}", self.shown);
        }
    }

    pub(super) fn types(&mut self, line: &str) {
        self.keyboard.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Waits for the end; the exit code, and what was shown from the last time on.
    pub(super) fn ends(mut self) -> (i32, String) {
        while self.read() > 0 {}
        let code = self.child.wait().unwrap().code().unwrap();
        (code, self.shown[self.seen..].to_owned())
    }

    fn read(&mut self) -> usize {
        let mut bytes = [0; 4096];
        // The terminal of a command that has ended reads as an error.
        let read = self.screen.read(&mut bytes).unwrap_or(0);
        self.shown.push_str(&String::from_utf8_lossy(&bytes[..read]).replace('\r', ""));
        read
    }
}
