//! The text that a script of a task service is run as: what every script has at hand ([`PRELUDE`]), then its own.

/// Functions for scripts: waiting, asking, and running a service, under systemd where that is the server's first process.
const PRELUDE: &str = include_str!("prelude.sh");

/// The whole script.
pub(super) fn whole(own: &str) -> String {
    format!("{PRELUDE}{own}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_is_known_by_when_it_began() {
        let script = whole(
            "sleep 60 & began=$(service_began $!)\n[[ $began =~ ^[0-9]+$ && $began == \"$(awk '{print $22}' /proc/$!/stat)\" ]]\nkill $!",
        );
        let status = Command::new("bash").args(["-eu", "-o", "pipefail", "-c", &script]).status().unwrap();
        assert!(status.success());
    }

    #[test]
    fn what_does_not_work_in_time_says_why() {
        let script = whole("why() { echo because; return 1; }\ntry --for 1 why");
        let output = Command::new("bash").args(["-eu", "-o", "pipefail", "-c", &script]).output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(1), &b"because\n"[..]));
    }
}
