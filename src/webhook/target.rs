//! A URL that messages may be sent to, as far as that can be told without looking its name up.

use std::net::IpAddr;

use reqwest::Url;

use super::address::Reachable;

/// The longest URL.
const LONGEST: usize = 2048;

/// A URL that messages may be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub(super) url: Url,
    pub(super) is_encrypted: bool,
}

/// Why nothing is sent there. Completes the sentence "the URL …", and doesn't repeat it: it may hold a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It is none.
    #[error("must be a URL such as https://example.com/hook, of 2048 characters at most")]
    Form,
    /// It has another scheme.
    #[error("must begin with https://")]
    Scheme,
    /// It isn't encrypted, and goes where it may be read on the way.
    #[error("must begin with https://: without encryption only networks are reached that `webhook_allow` names")]
    Plain,
    /// It has a user name or a password.
    #[error("must not have a user name or a password in it; deliveries are signed instead")]
    UserInfo,
    /// It has a fragment.
    #[error("must not have a fragment, which is never sent")]
    Fragment,
    /// Its address may not be reached.
    #[error("names {0}, which is reached only where `webhook_allow` names its network")]
    Refused(&'static str),
}

impl Target {
    /// Reads a URL.
    ///
    /// # Errors
    /// When nothing may be sent there, whatever its name stands for.
    pub fn parse(text: &str, reachable: &Reachable) -> Result<Self, TargetError> {
        let url = Url::parse(text).ok().filter(|_| text.len() <= LONGEST).ok_or(TargetError::Form)?;
        let is_encrypted = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(TargetError::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(TargetError::Fragment);
        }
        // Whatever spelling of an address there was, this is the address.
        let address = url.host_str().map(|host| host.trim_matches(['[', ']']).parse::<IpAddr>());
        match address.ok_or(TargetError::Form)? {
            Ok(address) => {
                if let Some(what) = reachable.refusal(address) {
                    return Err(TargetError::Refused(what));
                }
                if !is_encrypted && !reachable.is_allowed(address) {
                    return Err(TargetError::Plain);
                }
            }
            Err(_) if !is_encrypted && reachable.allowed.is_empty() => return Err(TargetError::Plain),
            Err(_) => {}
        }
        Ok(Self { url, is_encrypted })
    }

    /// Scheme, name and port: what may be logged, because a path may hold a secret.
    #[must_use]
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// The same of a URL that something was sent to before, whether that still may be or not.
    #[must_use]
    pub fn origin_of(text: &str) -> String {
        Url::parse(text).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, allowed: &[&str]) -> Result<String, TargetError> {
        let allowed = allowed.iter().map(|network| network.parse().unwrap()).collect();
        Target::parse(text, &Reachable { allowed }).map(|target| target.origin())
    }

    #[test]
    fn what_can_be_refused_by_its_looks_is() {
        for (text, error) in [
            ("", TargetError::Form),
            ("example.com/hook", TargetError::Form),
            ("https://", TargetError::Form),
            ("ftp://example.com", TargetError::Scheme),
            ("file:///etc/passwd", TargetError::Scheme),
            ("http://example.com", TargetError::Plain),
            ("http://1.1.1.1", TargetError::Plain),
            ("https://me@example.com", TargetError::UserInfo),
            ("https://:secret@example.com", TargetError::UserInfo),
            ("https://example.com/#a", TargetError::Fragment),
            ("https://127.0.0.1/", TargetError::Refused("a loopback address")),
            ("https://2130706433/", TargetError::Refused("a loopback address")),
            ("https://0x7f.1/", TargetError::Refused("a loopback address")),
            ("https://017700000001/", TargetError::Refused("a loopback address")),
            ("https://[::1]/", TargetError::Refused("a loopback address")),
            ("https://[::ffff:169.254.169.254]/", TargetError::Refused("a link-local address")),
            ("https://[64:ff9b::a00:1]/", TargetError::Refused("a private address")),
        ] {
            assert_eq!(parse(text, &[]), Err(error), "{text}");
        }
        assert_eq!(parse(&format!("https://example.com/{}", "x".repeat(LONGEST)), &[]), Err(TargetError::Form));
    }

    #[test]
    fn an_error_tells_nothing_of_the_url() {
        let error = parse("https://me:swordfish@example.com", &[]).unwrap_err();
        assert!(!error.to_string().contains("swordfish"));
    }

    #[test]
    fn names_are_taken_and_looked_up_later() {
        assert_eq!(parse("https://Example.com:8443/a?b=c", &[]), Ok("https://example.com:8443".to_owned()));
        assert_eq!(parse("https://localhost/", &[]), Ok("https://localhost".to_owned()));
        assert_eq!(parse("https://1.1.1.1/", &[]), Ok("https://1.1.1.1".to_owned()));
    }

    #[test]
    fn without_encryption_only_what_is_named_is_reached() {
        assert!(parse("http://127.0.0.1:80/", &["127.0.0.0/8"]).is_ok());
        assert!(parse("http://receiver.internal/", &["10.0.0.0/8"]).is_ok());
        assert_eq!(parse("http://10.0.0.1/", &["127.0.0.0/8"]), Err(TargetError::Refused("a private address")));
        assert_eq!(parse("http://1.1.1.1/", &["127.0.0.0/8"]), Err(TargetError::Plain));
    }
}
