//! What can go wrong between client and daemon.

use std::error::Error;
use std::io;

use reqwest::Url;

use super::recognise::Untrusted;
use super::trust::FileError;
use crate::api::envelope::{Code, Failure};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The daemon answered with a failure.
    #[error("{}", .0.error)]
    Answered(Box<Failure>),
    /// There is no session.
    #[error("you are not logged in")]
    NotLoggedIn,
    /// The session can't be read or kept.
    #[error("can't {attempt} the session")]
    Session {
        /// What was attempted.
        attempt: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file of certificates or with a key can't be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The daemon's certificate is not trusted; nothing was sent.
    #[error("can't trust {url}")]
    Untrusted {
        /// Where.
        url: String,
        /// What is known of its certificate.
        #[source]
        certificate: Untrusted,
    },
    /// One certificate is trusted, and where nothing is encrypted there is none.
    #[error("{url} is not encrypted, and a certificate can't be recognised there")]
    Unencrypted {
        /// Where.
        url: String,
    },
    /// The daemon let go of a stream, as when it ends.
    #[error("the daemon ended the stream")]
    Ended,
    /// No answer came, or not a whole one.
    #[error("can't {attempt} at {url}")]
    Transport {
        /// What was attempted.
        attempt: &'static str,
        /// Where.
        url: String,
        /// What kind of trouble.
        trouble: Trouble,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
}

/// How a call got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nobody listens there.
    Unreachable,
    /// Somebody took the connection and said nothing in time.
    Hanging,
    /// The connection broke.
    Broken,
    /// It wants a certificate of the client, or another one.
    Unwelcome,
    /// It doesn't encrypt.
    Plain,
    /// The answer can't be understood, or the call can't be made.
    Garbled,
}

impl Trouble {
    fn of(error: &reqwest::Error) -> Self {
        let refused = encryption(error).and_then(Self::of_encryption);
        if let Some(trouble) = refused {
            trouble
        } else if error.is_timeout() {
            Self::Hanging
        } else if error.is_connect() {
            Self::Unreachable
        } else if error.is_builder() || error.is_redirect() || (error.is_decode() && !broke_off(error)) {
            Self::Garbled
        } else {
            Self::Broken
        }
    }
}

impl Trouble {
    fn of_encryption(error: &rustls::Error) -> Option<Self> {
        use rustls::AlertDescription as Alert;
        match error {
            rustls::Error::AlertReceived(
                Alert::CertificateRequired
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::DecryptError
                | Alert::AccessDenied,
            ) => Some(Self::Unwelcome),
            rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => Some(Self::Plain),
            _ => None,
        }
    }
}

/// Whether the answer broke off. An answer that can't be decoded because it isn't whole is reported as any other that can't.
fn broke_off(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_body) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// What went wrong with encryption, among the causes of an error.
fn encryption(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // What io::Error carries is none of its causes.
        let carried = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = carried.map(|carried| carried as _).or_else(|| error.source());
    }
    None
}

fn untrusted(error: &reqwest::Error) -> Option<Untrusted> {
    match encryption(error)? {
        rustls::Error::Other(other) => other.0.downcast_ref::<Untrusted>().cloned(),
        _ => None,
    }
}

impl ClientError {
    pub(super) fn transport(attempt: &'static str, url: &str, source: reqwest::Error) -> Self {
        if let Some(certificate) = untrusted(&source) {
            // Which of its paths was wanted says nothing about a daemon.
            let url = Url::parse(url).map_or_else(|_| url.to_owned(), |url| url.origin().ascii_serialization());
            return Self::Untrusted { url, certificate };
        }
        Self::Transport { attempt, url: url.to_owned(), trouble: Trouble::of(&source), source: source.without_url() }
    }

    /// Whether the daemon is away rather than of another opinion.
    #[must_use]
    pub fn is_away(&self) -> bool {
        use Trouble::{Broken, Hanging, Unreachable};
        match self {
            Self::Transport { trouble, .. } => matches!(trouble, Unreachable | Hanging | Broken),
            Self::Answered(failure) => failure.code == Code::Unavailable,
            Self::Ended => true,
            Self::NotLoggedIn
            | Self::Session { .. }
            | Self::File(_)
            | Self::Untrusted { .. }
            | Self::Unencrypted { .. } => false,
        }
    }
}
