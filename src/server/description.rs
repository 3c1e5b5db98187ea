//! What describes the APIs: the OpenAPI document, and a page that shows it and makes calls.
//!
//! The page is one file and needs no other: it brings its script and its style along, and its policy lets these two run, by
//! their digests, and nothing else. It reads the document of the server that it came from and calls only that.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::api::openapi::{document, title};
use crate::api::operations::Api;
use crate::model::digest::sha256;

const PAGE: &str = include_str!("docs/page.html");
const SCRIPT: &str = include_str!("docs/page.js");
const STYLE: &str = include_str!("docs/page.css");

static ORCHESTRATOR: LazyLock<Described> = LazyLock::new(|| Described::new(Api::Orchestrator));
static CONTROL_CENTER: LazyLock<Described> = LazyLock::new(|| Described::new(Api::ControlCenter));

/// What the page may do: run its own script, wear its own style, and call where it came from.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let digest = |text: &str| STANDARD.encode(sha256(text.as_bytes()));
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        digest(SCRIPT),
        digest(STYLE),
    )
});

/// An API, described.
struct Described {
    document: Bytes,
    page: Bytes,
}

impl Described {
    fn new(api: Api) -> Self {
        let page = PAGE.replace("{title}", title(api)).replace("{style}", STYLE).replace("{script}", SCRIPT);
        Self { document: document(api).to_string().into(), page: page.into() }
    }

    fn document(&self) -> Response {
        ([(header::CONTENT_TYPE, "application/json")], self.document.clone()).into_response()
    }

    fn page(&self) -> Response {
        let headers =
            [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, POLICY.as_str())];
        (headers, self.page.clone()).into_response()
    }
}

pub(super) async fn openapi() -> Response {
    ORCHESTRATOR.document()
}

pub(super) async fn docs() -> Response {
    ORCHESTRATOR.page()
}

pub(super) async fn control_openapi() -> Response {
    CONTROL_CENTER.document()
}

pub(super) async fn control_docs() -> Response {
    CONTROL_CENTER.page()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_whole_and_asks_nobody_else() {
        let page = String::from_utf8(ORCHESTRATOR.page.to_vec()).unwrap();
        for left in ["{title}", "{style}", "{script}", "http://", "https://", "innerHTML", "eval("] {
            assert!(!page.contains(left), "{left}");
        }
        assert!(
            page.contains(&format!("<script>{SCRIPT}</script>")),
            "what is digested is what stands between the tags"
        );
        assert!(page.contains(&format!("<style>{STYLE}</style>")));
        assert!(!SCRIPT.contains("</") && !STYLE.contains("</"));
    }
}
