//! Whether a client takes what an operation answers (RFC 9110 section 12.5.1).

use axum::http::{HeaderMap, header};

use crate::api::operations::Media;

/// What every call can answer, failures among it.
const JSON: [(&str, &str); 2] = [("application", "json"), ("application", "vnd.provisioning.v1+json")];
const TEXT: (&str, &str) = ("text", "plain");
const HTML: (&str, &str) = ("text", "html");
const EVENTS: (&str, &str) = ("text", "event-stream");

/// One media range of an `Accept` header: `application/*;version=1;q=0.5`.
struct Range {
    kind: String,
    subtype: String,
    /// Whether it names no version but ours.
    is_ours: bool,
    /// Whether `q` is above 0.
    is_wanted: bool,
}

/// Whether the client takes an answer of this kind. No `Accept` takes anything.
pub(super) fn accepts(headers: &HeaderMap, media: Media) -> bool {
    let texts: Vec<&str> = headers.get_all(header::ACCEPT).iter().map(|value| value.to_str().unwrap_or("")).collect();
    if media == Media::Any || texts.iter().all(|text| text.trim().is_empty()) {
        return true;
    }
    let ranges: Vec<Range> = texts.iter().flat_map(|text| text.split(',')).filter_map(range).collect();
    // The version's own name is taken when it is asked for by name; what a wildcard gets is plain JSON.
    let versioned = ranges.iter().any(|range| range.names(JSON[1]) && range.is_ours && range.is_wanted);
    let other = match media {
        Media::Text => Some(TEXT),
        Media::Html => Some(HTML),
        Media::Events => Some(EVENTS),
        Media::Json | Media::Any => None,
    };
    versioned || takes(&ranges, JSON[0]) || other.is_some_and(|other| takes(&ranges, other))
}

/// Whether the most specific range that includes the media type wants it.
fn takes(ranges: &[Range], offer: (&str, &str)) -> bool {
    let specificity = |range: &&Range| match (range.kind.as_str(), range.subtype.as_str()) {
        ("*", _) => 0,
        (_, "*") => 1,
        _ => 2,
    };
    let including = ranges.iter().filter(|range| range.is_ours && range.includes(offer));
    including.max_by_key(specificity).is_some_and(|range| range.is_wanted)
}

impl Range {
    fn names(&self, (kind, subtype): (&str, &str)) -> bool {
        self.kind == kind && self.subtype == subtype
    }

    fn includes(&self, (kind, subtype): (&str, &str)) -> bool {
        match (self.kind.as_str(), self.subtype.as_str()) {
            ("*", "*") => true,
            (mine, "*") => mine == kind,
            _ => self.names((kind, subtype)),
        }
    }
}

fn range(text: &str) -> Option<Range> {
    let mut parts = text.split(';').map(|part| part.trim().to_ascii_lowercase());
    let (kind, subtype) = parts.next()?.split_once('/').map(|(kind, subtype)| (kind.to_owned(), subtype.to_owned()))?;
    let mut range = Range { kind, subtype, is_ours: true, is_wanted: true };
    for (name, value) in parts.filter_map(|part| part.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned()))) {
        match name.trim() {
            "q" => range.is_wanted = value.trim().parse::<f32>().is_ok_and(|q| q > 0.0),
            // Of plain text, which Prometheus asks for in its version, it says nothing of ours.
            "version" if range.kind != "text" => range.is_ours = matches!(value.trim().trim_matches('"'), "1" | "v1"),
            _ => {}
        }
    }
    Some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(accept: &str) -> (bool, bool) {
        let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]);
        (accepts(&headers, Media::Json), accepts(&headers, Media::Text))
    }

    #[test]
    fn a_client_gets_what_it_takes() {
        assert!(accepts(&HeaderMap::new(), Media::Json));
        for both in [
            "",
            "*/*",
            "application/*",
            "Application/JSON",
            "application/json;charset=utf-8",
            "application/json; version=1",
            "application/vnd.provisioning.v1+json",
            "text/html, */*;q=0.1",
            "application/json;q=0.001",
            "application/json;q=0, application/vnd.provisioning.v1+json",
        ] {
            assert_eq!(answers(both), (true, true), "{both}");
        }
        for text_only in [
            "text/plain",
            "text/plain;version=0.0.4",
            "text/*",
            "text/csv, text/plain;q=0.5",
            "application/json;q=0, */*",
        ] {
            assert_eq!(answers(text_only), (false, true), "{text_only}");
        }
        for neither in [
            "text/html",
            "text/csv",
            "application/json;q=0",
            "application/json;version=2",
            "application/vnd.provisioning.v2+json",
            "*/*;q=0",
            "nonsense",
        ] {
            assert_eq!(answers(neither), (false, false), "{neither}");
        }
    }
}
