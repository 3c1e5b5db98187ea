//! What stands on command lines at the other end, which is always the same, and what goes there by standard input instead.
//!
//! The login shell starts a shell of root's that reads a header, so many lines of shell text, and does what they say. So
//! nothing of a command stands on a command line but its own, and any shell will do that knows POSIX.

use std::time::Duration;

use crate::provision::error::ProviderError;
use crate::provision::transport::Exec;

/// What runs the command; see there.
const RUN: &str = include_str!("run.sh");
/// A limit that is none.
const FOR_EVER_SECONDS: u64 = 999_999_999;
/// Variables that some shells keep for themselves.
const RESERVED: &[&str] = &["UID", "EUID", "PPID", "BASHOPTS", "SHELLOPTS"];

/// The start of the remote command: becomes root with a clean environment. `sudo` says in English what it can't do.
const AS_ROOT: &str = "exec sh -c 'clean=\"env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root USER=root LANG=C.UTF-8 sh -c\"; if [ \"$(id -u)\" = 0 ]; then exec $clean \"$1\"; fi; ";
const BY_SUDO: &str = "exec env LC_ALL=C sudo -n $clean \"$1\"";
const NOT_ROOT: &str = "echo prov: not root >&2; exit 1";
/// Reads the header and does what it says. Holds no single quote, line or exclamation mark: login shells differ in those.
const READ: &str = "LC_ALL=C; IFS= read -r n || exit 99; h=; s=$(printf \"\\nx\"); s=${s%x}; while [ \"$n\" -gt 0 ]; do IFS= read -r l || exit 99; h=$h$l$s; n=$((n-1)); done; unset n l s; eval \"$h\"";

/// What a login shell is told that has no root's rights and shall not ask for them.
pub(in crate::provision) const SAYS_NOT_ROOT: &str = "prov: not root";

/// The remote command, by way of `sudo` where the login isn't root's and that is wanted.
pub(in crate::provision) fn remote(sudo: bool) -> String {
    let otherwise = if sudo { BY_SUDO } else { NOT_ROOT };
    format!("{AS_ROOT}{otherwise}' prov '{READ}'")
}

/// Marks what is said of a command in its own streams. Commands can't know it.
#[derive(Clone, Debug)]
pub(in crate::provision) struct Mark(String);

impl Mark {
    pub(in crate::provision) fn new() -> Self {
        // A byte that output rarely holds makes it quickly found.
        Self(format!("\x1e{}", uuid::Uuid::now_v7().simple()))
    }

    pub(in crate::provision) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// The header for a command; its standard input follows.
///
/// # Errors
/// [`ProviderError::Invalid`] for what no process can have as argument or variable.
pub(in crate::provision) fn header(
    exec: &Exec<'_>,
    mark: &Mark,
    limit: Option<Duration>,
) -> Result<Vec<u8>, ProviderError> {
    let invalid = |what: String| ProviderError::Invalid { what, hint: None };
    match exec.argv.first() {
        Some(program) if !program.is_empty() && !program.starts_with('-') => {}
        first => return Err(invalid(format!("{:?} is no program to run", first.map_or("", String::as_str)))),
    }
    if exec.argv.iter().chain(exec.env.iter().map(|(_, value)| value)).any(|text| text.contains('\0')) {
        return Err(invalid("an argument or variable of a command can't hold a NUL character".to_owned()));
    }
    if let Some((name, _)) = exec.env.iter().find(|(name, _)| !is_variable(name)) {
        return Err(invalid(format!("{name:?} is no name that a variable can have")));
    }
    let seconds = limit.map_or(FOR_EVER_SECONDS, |limit| limit.as_secs() + u64::from(limit.subsec_nanos() > 0));
    let mut text = format!("__i={}\n", uuid::Uuid::now_v7().simple());
    text.push_str(&format!("__t={}\n__s={seconds}\n__b={}\n", quoted(&mark.0), exec.stdin.len()));
    text.push_str("__environment() {\n:\n");
    for (name, value) in &exec.env {
        text.push_str(&format!("export {name}={}\n", quoted(value)));
    }
    text.push_str("}\nset --");
    for word in &exec.argv {
        text.push(' ');
        text.push_str(&quoted(word));
    }
    text.push('\n');
    text.push_str(RUN);
    let lines = text.bytes().filter(|byte| *byte == b'\n').count();
    Ok(format!("{lines}\n{text}").into_bytes())
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !RESERVED.contains(&name)
}

/// `text` as one word of a shell, whatever it holds.
pub(in crate::provision) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_remote_command_is_one_that_every_login_shell_reads_the_same() {
        for sudo in [true, false] {
            let remote = remote(sudo);
            assert!(!remote.contains(['\n', '!', '`']) && remote.matches('\'').count() == 4, "{remote}");
            assert!(!remote.contains("\\'") && !remote.contains("\\\\"), "{remote}");
        }
        assert!(RUN.ends_with('\n'));
    }

    #[test]
    fn what_no_process_can_have_is_refused() {
        let refused = |argv: &[&str], env: &[(&str, &str)]| {
            let argv = argv.iter().map(|word| (*word).to_owned()).collect();
            let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            header(&Exec { argv, env, ..Exec::default() }, &Mark::new(), None).unwrap_err().to_string()
        };
        assert_eq!(refused(&[], &[]), "\"\" is no program to run");
        assert_eq!(refused(&["-x"], &[]), "\"-x\" is no program to run");
        assert!(refused(&["a", "b\0"], &[]).contains("NUL"));
        for name in ["a b", "", "1a", "a=b", "a;id", "UID"] {
            assert_eq!(refused(&["a"], &[(name, "x")]), format!("{name:?} is no name that a variable can have"));
        }
    }

    /// What the command gets, read by a shell of this machine as sshd would start it.
    fn through_a_shell(exec: &Exec<'_>) -> Vec<u8> {
        let mark = Mark::new();
        let input = header(exec, &mark, None).unwrap();
        let mut shell = Command::new("sh");
        let child = shell.args(["-c", READ]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = child.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&input).unwrap();
        stdin.write_all(exec.stdin).unwrap();
        let out = std::thread::scope(|scope| {
            // Held open as a connection would be, until the command has ended.
            let out = scope.spawn(|| {
                let mut out = Vec::new();
                std::io::Read::read_to_end(&mut child.stdout.take().unwrap(), &mut out).unwrap();
                out
            });
            out.join().unwrap()
        });
        drop(stdin);
        child.wait().unwrap();
        let end = [mark.as_bytes(), b"\n"].concat();
        out.strip_suffix(end.as_slice()).unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&out))).to_vec()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
        #[test]
        fn any_words_variables_and_input_arrive_as_they_are(
            words in proptest::collection::vec("[^\0]{0,12}", 0..4),
            value in "[^\0]{0,20}",
            body in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut argv = ["sh", "-c", r#"printf '%s\0' "$VALUE" "$@"; cat"#, "sh"].map(str::to_owned).to_vec();
            argv.extend(words.iter().cloned());
            let env = vec![("VALUE".to_owned(), value.clone())];
            let mut expected = Vec::new();
            for text in std::iter::once(&value).chain(&words) {
                expected.extend(text.bytes().chain([0]));
            }
            // Without an argument the format is used once more.
            expected.extend(&body);
            prop_assert_eq!(through_a_shell(&Exec { argv, env, stdin: &body, deadline: None }), expected);
        }
    }
}
