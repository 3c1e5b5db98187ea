//! Addresses of APIs as people write them: `http://host:port`, `https://host:port`.

use reqwest::Url;

/// The address that `text` is, without a slash at its end.
///
/// # Errors
/// Says how an address is written.
pub fn address(text: &str) -> Result<String, String> {
    let text = text.trim();
    let wrong = || "write http://host:port, or https://host:port where it encrypts".to_owned();
    let url = Url::parse(text).map_err(|_| wrong())?;
    let is_bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if !matches!(url.scheme(), "http" | "https")
        || url.host_str().is_none_or(str::is_empty)
        || !is_bare
        || url.fragment().is_some()
    {
        return Err(wrong());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Whether nobody can listen in to what goes to the address.
pub(super) fn is_encrypted(address: &str) -> bool {
    Url::parse(address).is_ok_and(|url| url.scheme() == "https")
}

/// Whether the address is one of this machine's own, which no proxy can reach.
#[must_use]
pub fn is_loopback(address: &str) -> bool {
    let Ok(url) = Url::parse(address) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_scheme_and_host_and_nothing_more() {
        assert_eq!(address("http://localhost:9090/"), Ok("http://localhost:9090".to_owned()));
        assert_eq!(address(" http://[::1]:9090 "), Ok("http://[::1]:9090".to_owned()));
        for wrong in
            ["", " ", "localhost:9090", "127.0.0.1:9090", "ftp://a", "http://", "http://u:p@a", "http://a?b", "a b"]
        {
            assert!(address(wrong).unwrap_err().contains("http://host:port"), "{wrong}");
        }
        assert_eq!(address("https://a:9090/"), Ok("https://a:9090".to_owned()));
    }

    #[test]
    fn encryption_goes_by_the_scheme() {
        assert!(is_encrypted("https://a") && is_encrypted("HTTPS://a"));
        assert!(!is_encrypted("http://https"));
    }

    #[test]
    fn loopback_is_told_from_the_rest() {
        for own in ["http://localhost:1", "http://127.0.0.2", "http://[::1]:9", "http://a.localhost"] {
            assert!(is_loopback(own), "{own}");
        }
        assert!(!is_loopback("http://10.0.0.1:9090") && !is_loopback("http://localhost.example"));
    }
}
