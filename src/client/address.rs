//! Addresses of APIs as people write them: `http://host:port`.

use reqwest::Url;

/// The address that `text` is, without a slash at its end.
///
/// # Errors
/// Says how an address is written.
pub fn address(text: &str) -> Result<String, String> {
    let text = text.trim();
    let wrong = || "write http://host:port".to_owned();
    let url = Url::parse(text).map_err(|_| wrong())?;
    if url.scheme() == "https" {
        return Err("prov itself doesn't encrypt: write http://host:port, the near end of a tunnel or proxy".to_owned());
    }
    let is_bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if url.scheme() != "http" || url.host_str().is_none_or(str::is_empty) || !is_bare || url.fragment().is_some() {
        return Err(wrong());
    }
    Ok(text.trim_end_matches('/').to_owned())
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
        assert!(address("https://a").unwrap_err().contains("encrypt"));
    }

    #[test]
    fn loopback_is_told_from_the_rest() {
        for own in ["http://localhost:1", "http://127.0.0.2", "http://[::1]:9", "http://a.localhost"] {
            assert!(is_loopback(own), "{own}");
        }
        assert!(!is_loopback("http://10.0.0.1:9090") && !is_loopback("http://localhost.example"));
    }
}
