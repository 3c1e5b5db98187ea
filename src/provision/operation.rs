//! The operation of a batch that this process carries out, and whose work it is.
//!
//! The daemon hands an operation over as JSON on standard input; people can write one to a file. Knows the form only,
//! not what an operation does.

use std::io::{self, Read};

use serde::Deserialize;
use serde_json::{Value, json};

use super::settings::DEFAULT_PROVIDER;
use crate::model::batch::{DEFAULT_TIMEOUT_SECONDS, OnFailure, Operation, Payload, Retry};
use crate::model::name::Name;

/// The largest operation that is read: as large as the largest batch.
const MAX_BYTES: u64 = 16 << 20;

/// An operation and the batch that it is part of.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct BatchOperation {
    /// The batch's id; absent in one that a person wrote.
    #[serde(default)]
    pub batch_id: Option<String>,
    /// The servers at its provider that operations before it will have made.
    #[serde(default)]
    pub made_before: Vec<Name>,
    /// The operation.
    #[serde(flatten)]
    pub operation: Operation,
}

/// Why an operation can't be had.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// Its source.
    #[error("can't read the operation from {from}")]
    Read {
        /// Where it should come from.
        from: String,
        /// Why.
        source: io::Error,
    },
    /// It is no operation.
    #[error("{from} holds no operation: {why}")]
    Invalid {
        /// Where it came from.
        from: String,
        /// What is wrong.
        why: String,
    },
    /// It is of another type.
    #[error("the operation {id} is a {kind}, and this command carries out a {expected}")]
    Kind {
        /// The operation.
        id: String,
        /// What it is.
        kind: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// It is to be undone, and nothing tells its work from what was made by hand.
    #[error("the operation {0} can't be undone: nothing says which batch it is part of")]
    NoBatch(Name),
}

impl OperationError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoBatch(_) => Some("give its JSON a \"batch_id\"".to_owned()),
            Self::Read { .. } | Self::Invalid { .. } | Self::Kind { .. } => None,
        }
    }
}

impl BatchOperation {
    /// Reads one from the file `source`, or from standard input where that is `-`.
    ///
    /// # Errors
    /// [`OperationError`] says what is wrong with it.
    pub fn read(source: &str) -> Result<Self, OperationError> {
        let from = if source == "-" { "standard input" } else { source };
        let mut text = String::new();
        let read = if source == "-" {
            io::stdin().lock().take(MAX_BYTES + 1).read_to_string(&mut text)
        } else {
            std::fs::File::open(source).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text))
        };
        read.map_err(|source| OperationError::Read { from: from.to_owned(), source })?;
        if text.len() as u64 > MAX_BYTES {
            let source = io::Error::from(io::ErrorKind::FileTooLarge);
            return Err(OperationError::Read { from: from.to_owned(), source });
        }
        Self::parse(&text).map_err(|error| OperationError::Invalid { from: from.to_owned(), why: error.to_string() })
    }

    fn parse(text: &str) -> serde_json::Result<Self> {
        let mut value: Value = serde_json::from_str(text)?;
        // What the daemon always gives, a person may leave out.
        if let Some(fields) = value.as_object_mut() {
            fields.entry("timeout_seconds").or_insert(json!(DEFAULT_TIMEOUT_SECONDS));
            fields.entry("on_failure").or_insert(json!(OnFailure::default()));
            fields.entry("retry").or_insert(json!(Retry::default()));
        }
        serde_json::from_value(value)
    }

    /// Whose work this is: [`identity`], unless the operation itself says which batch it is part of.
    #[must_use]
    pub fn identity(&self) -> String {
        match &self.batch_id {
            Some(batch) => format!("{batch}/{}", self.operation.id),
            None => identity(),
        }
    }

    /// Whose work is to be undone: what this very operation of a batch did, never what was made by hand.
    ///
    /// # Errors
    /// [`OperationError::NoBatch`].
    pub fn identity_to_undo(&self) -> Result<String, OperationError> {
        let identity = self.identity();
        if identity.contains('/') { Ok(identity) } else { Err(OperationError::NoBatch(self.operation.id.clone())) }
    }

    /// The provider it names, or the default one.
    #[must_use]
    pub fn provider(&self) -> &str {
        self.operation.provider.as_ref().map_or(DEFAULT_PROVIDER, Name::as_str)
    }

    /// The error for an operation whose payload is not an `expected`.
    #[must_use]
    pub fn not_a(&self, expected: &'static str) -> OperationError {
        OperationError::Kind { id: self.operation.id.to_string(), kind: self.payload().kind(), expected }
    }

    /// What it does.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.operation.payload
    }
}

/// Whose work this process does, by its environment: `BATCH_ID/OPERATION_ID`, else a task's id, else empty: by hand.
#[must_use]
pub fn identity() -> String {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (variable("PROV_BATCH_ID"), variable("PROV_OPERATION_ID")) {
        (Some(batch), Some(operation)) => format!("{batch}/{operation}"),
        _ => variable("PROV_TASK_ID").unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVERS: &str = r#"{
        "batch_id": "0190", "id": "web", "type": "server_batch", "provider": "local",
        "server_configs": [{"name": "w1", "plan": "1xCPU-1 GB", "zone": "local", "ports": [80]}]
    }"#;

    #[test]
    fn an_operation_is_read_with_its_batch() {
        let read = BatchOperation::parse(SERVERS).unwrap();
        assert_eq!(read.identity(), "0190/web");
        let Payload::ServerBatch { server_configs } = read.payload() else { panic!("{read:?}") };
        assert_eq!(server_configs[0].extra["ports"], json!([80]));
        assert_eq!(read.operation.timeout_seconds, DEFAULT_TIMEOUT_SECONDS);
        assert_eq!(
            read.not_a("taskserv_batch").to_string(),
            "the operation web is a server_batch, and this command carries out a taskserv_batch"
        );
    }

    #[test]
    fn what_is_no_operation_is_refused() {
        for bad in [
            "",
            "[]",
            "{}",
            "{\"id\": \"../x\", \"type\": \"command\", \"command\": \"x\"}",
            "{\"id\": \"a\", \"type\": \"magic\"}",
        ] {
            assert!(BatchOperation::parse(bad).is_err(), "{bad}");
        }
        let error = BatchOperation::read("/nonexistent/operation.json").unwrap_err();
        assert_eq!(error.to_string(), "can't read the operation from /nonexistent/operation.json");
    }
}
