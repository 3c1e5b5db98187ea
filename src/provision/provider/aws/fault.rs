//! What EC2 says when it doesn't do something, and how far such a call is.
//!
//! Source: Amazon EC2 API Reference, "Error codes for the Amazon EC2 API", and "Ensuring idempotency".

use std::time::Duration;

use super::answers::Failure;
use crate::provision::provider::cloud::CallError;

/// How much of a message is shown, in characters.
const SHOWN_CHARS: usize = 400;

/// A call that failed.
#[derive(Clone, Debug)]
pub struct Fault {
    /// EC2's code for it; empty where it said none.
    code: String,
    error: CallError,
}

impl From<CallError> for Fault {
    fn from(error: CallError) -> Self {
        Self { code: String::new(), error }
    }
}

impl Fault {
    /// Whether it is this one.
    #[must_use]
    pub fn is(&self, code: &str) -> bool {
        self.code == code
    }

    /// What it means to a caller that expects nothing in particular.
    #[must_use]
    pub fn into_error(self) -> CallError {
        self.error
    }

    /// The same as something that comes right after a while: what was just made isn't known everywhere yet.
    #[must_use]
    pub fn into_later(self) -> CallError {
        CallError::Later { what: self.error.to_string(), after: None, throttled: false }
    }

    /// What an answer that is no success says. Calls that were too many are given to `throttled`.
    pub fn of(action: &str, status: u16, body: &[u8], throttled: impl FnOnce(&str) -> CallError) -> Self {
        let text = String::from_utf8_lossy(body);
        let first = quick_xml::de::from_str::<Failure>(&text)
            .ok()
            .and_then(|failure| failure.errors.all.into_iter().next().or(failure.error));
        let Some(said) = first.filter(|said| !said.code.is_empty()) else {
            let what = format!("{action}: the answer is the status {status} without a reason");
            let error = if status >= 500 { CallError::Unknown(what) } else { CallError::Refused { what, hint: None } };
            return Self::from(error);
        };
        let what = format!("{action}: {} ({})", shown(&said.message), said.code);
        let error = match kind(&said.code, status) {
            Kind::Throttled => throttled(&what),
            Kind::Later(after) => CallError::Later { what, after, throttled: false },
            Kind::Unknown => CallError::Unknown(what),
            Kind::Refused(hint) => CallError::Refused { what, hint: hint.map(str::to_owned) },
        };
        Self { code: said.code, error }
    }
}

/// A message without what only administrators of an account can decode.
fn shown(message: &str) -> String {
    let message = message.split("Encoded authorization failure message").next().unwrap_or_default().trim();
    message.chars().take(SHOWN_CHARS).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Throttled,
    Later(Option<Duration>),
    Unknown,
    Refused(Option<&'static str>),
}

fn kind(code: &str, status: u16) -> Kind {
    match code {
        "RequestLimitExceeded"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "SlowDown" => Kind::Throttled,
        _ if code.starts_with("Throttl") => Kind::Throttled,
        "IncorrectState" | "IncorrectInstanceState" | "ConcurrentTagAccess" => Kind::Later(None),
        "InternalError" | "InternalFailure" | "Unavailable" | "ServiceUnavailable" | "RequestTimeout" => Kind::Unknown,
        _ if status >= 500 && hint(code).is_none() => Kind::Unknown,
        _ => Kind::Refused(hint(code)),
    }
}

/// What to do about what is refused.
fn hint(code: &str) -> Option<&'static str> {
    Some(match code {
        "InsufficientInstanceCapacity" | "InsufficientCapacity" => {
            "the zone has no room for this type now: name another zone or only the region, or another plan or `instance_type`"
        }
        "Unsupported" | "InvalidInstanceType" | "InvalidInstanceType.NotFound" => {
            "not every zone has every type: name another zone or only the region, or another plan or `instance_type`"
        }
        "InstanceLimitExceeded"
        | "VcpuLimitExceeded"
        | "VolumeLimitExceeded"
        | "AddressLimitExceeded"
        | "SecurityGroupLimitExceeded"
        | "MaxIOPSLimitExceeded" => {
            "a quota of the account is used up: raise it under Service Quotas, or delete what isn't needed"
        }
        "AuthFailure"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken" => {
            "check the access key and its secret, that the account uses this region, and this machine's clock"
        }
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => {
            "the credentials have expired, or this machine's clock is wrong: get new credentials"
        }
        "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" => {
            "these credentials may not do that: permit the action in an IAM policy of theirs"
        }
        "OptInRequired" | "Blocked" | "PendingVerification" => {
            "the account can't be used for this yet: see its AWS console"
        }
        "OperationNotPermitted" => "the machine is protected: switch its termination protection off",
        "IdempotentParameterMismatch" => {
            "a machine was ordered by this token already, with other fields: look for it in the account"
        }
        "IdempotentInstanceTerminated" => "the machine of this order was made and has been terminated: order anew",
        "InvalidKeyPair.NotFound" => "import the key pair in the server's region, or leave `key_name` out",
        "InvalidAMIID.NotFound" | "InvalidAMIID.Malformed" | "InvalidAMIID.Unavailable" => {
            "ids of images differ from region to region: name it by its name and `image_owner`"
        }
        "InvalidGroup.NotFound" | "InvalidGroupId.Malformed" | "InvalidGroupId.NotFound" => {
            "check `security_groups`: they must be in the server's region and network"
        }
        "InvalidSubnetID.NotFound" => "check `subnet`: it must be in the server's region",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(code: &str) -> Vec<u8> {
        let error = format!(
            "<Error><Code>{code}</Code><Message>It is so. Encoded authorization failure message: x</Message></Error>"
        );
        format!("<?xml version=\"1.0\"?><Response><Errors>{error}</Errors><RequestID>1</RequestID></Response>")
            .into_bytes()
    }

    fn error(code: &str, status: u16) -> CallError {
        let throttled = |what: &str| CallError::Later { what: what.to_owned(), after: None, throttled: true };
        Fault::of("RunInstances", status, &body(code), throttled).into_error()
    }

    #[test]
    fn how_far_a_call_is_follows_from_the_code() {
        for (code, status) in [("RequestLimitExceeded", 503), ("Throttling", 400), ("ThrottlingException", 400)] {
            assert!(matches!(error(code, status), CallError::Later { throttled: true, .. }), "{code}");
        }
        for code in ["IncorrectInstanceState", "IncorrectState"] {
            assert!(matches!(error(code, 400), CallError::Later { throttled: false, .. }), "{code}");
        }
        for (code, status) in [("InternalError", 500), ("Unavailable", 503), ("ServiceUnavailable", 503), ("New", 502)]
        {
            assert!(matches!(error(code, status), CallError::Unknown(_)), "{code}");
        }
        for (code, status) in
            [("InsufficientInstanceCapacity", 500), ("AuthFailure", 401), ("UnauthorizedOperation", 403)]
        {
            assert!(matches!(error(code, status), CallError::Refused { hint: Some(_), .. }), "{code}");
        }
        assert!(matches!(error("InvalidParameterValue", 400), CallError::Refused { hint: None, .. }));
    }

    #[test]
    fn the_message_is_readable() {
        assert_eq!(error("InvalidParameterValue", 400).to_string(), "RunInstances: It is so. (InvalidParameterValue)");
    }

    #[test]
    fn an_answer_without_a_code_counts_by_its_status() {
        let of = |status| Fault::of("X", status, b"<html>no</html>", |_| unreachable!()).into_error();
        assert!(matches!(of(502), CallError::Unknown(_)) && matches!(of(404), CallError::Refused { .. }));
    }
}
