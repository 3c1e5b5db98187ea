//! WebSockets: who is let in, what goes over them, and how they end.
//!
//! A handler says what a connection is fed with ([`feed::Feed`]); here is what all of them have in common. A handshake is
//! never refused for its token: a browser learns nothing of a refused handshake but that it was, so that the refusal is a
//! frame and a close code. Where it comes from (`Origin`) says nothing either: there are no cookies, and a page that could
//! make somebody's browser open a connection has no token to send. A client certificate alone lets nobody in.

mod close;
mod converse;
pub(super) mod feed;
mod line;
mod visit;
mod welcome;

pub(super) use converse::{Conversation, converse};
pub(super) use visit::{Visit, no_token, upgrade_required};
