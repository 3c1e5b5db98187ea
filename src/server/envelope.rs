//! Answers in their envelope.

use std::fmt::Display;

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::api::envelope::Success;
use crate::api::list::{Listed, Page};
use crate::app::Answer;

/// `{"success": true, "data": …}`.
pub(super) fn data<T: Serialize>(data: T) -> Response {
    Json(Success { success: true, data, warnings: Vec::new() }).into_response()
}

/// The same with remarks.
pub(super) fn answer<T: Serialize>(answer: Answer<T>) -> Response {
    Json(Success { success: true, data: answer.data, warnings: answer.warnings }).into_response()
}

/// A part of a list, with the total and the way to the next part in the headers.
pub(super) fn list<T: Serialize>(listed: Listed<T>, page: Page, uri: &Uri) -> Response {
    let Listed { items, total, next_after } = listed;
    part(&items, total, next_after, page.limit, uri)
}

/// The same of a list whose items have ids of whatever kind.
pub(super) fn part<T: Serialize>(
    items: &[T],
    total: u64,
    next_after: Option<impl Display>,
    limit: usize,
    uri: &Uri,
) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert("x-total-count", HeaderValue::from(total));
    if let Some(after) = next_after {
        let kept = uri.query().unwrap_or("").split('&');
        let kept = kept.filter(|part| {
            !part.is_empty() && !["after=", "offset=", "limit="].iter().any(|own| part.starts_with(own))
        });
        let own = [format!("limit={limit}"), format!("after={after}")];
        let query = kept.map(str::to_owned).chain(own).collect::<Vec<_>>().join("&");
        if let Ok(link) = HeaderValue::from_str(&format!("<{}?{query}>; rel=\"next\"", uri.path())) {
            headers.insert("link", link);
        }
    }
    (headers, data(items)).into_response()
}
