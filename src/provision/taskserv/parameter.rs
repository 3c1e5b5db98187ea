//! A parameter on its way to a script: a text, or where a secret is. The secret itself is had when the script starts, and
//! stands in no record.

use serde::{Deserialize, Serialize};

use super::host::HostError;
use crate::model::name::Name;
use crate::provision::secret::{Redaction, Reference, keyed};
use crate::provision::workspace::Workspace;

/// What a variable of a script's environment holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Parameter {
    /// This text.
    Text(String),
    /// What is there when the script starts.
    Secret(Reference),
}

impl Parameter {
    /// The text, or where the secret is.
    fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Secret(reference) => reference.to_string(),
        }
    }
}

/// The variables of a script's environment.
pub(super) type Parameters = Vec<(String, Parameter)>;

/// The environment as the script gets it, and what covers its secrets in what the script says.
pub(super) fn resolved(
    taskserv: &Name,
    parameters: &[(String, Parameter)],
    workspace: &Workspace,
) -> Result<(Vec<(String, String)>, Redaction), HostError> {
    let (mut env, mut secrets) = (Vec::with_capacity(parameters.len()), Vec::new());
    for (name, parameter) in parameters {
        let text = match parameter {
            Parameter::Text(text) => text.clone(),
            Parameter::Secret(reference) => {
                let secret = reference.resolve(workspace).map_err(|source| failed(taskserv, name, source))?;
                let text = secret.expose().to_owned();
                secrets.push(secret);
                text
            }
        };
        env.push((name.clone(), text));
    }
    Ok((env, Redaction::of(&secrets)))
}

/// What tells whether a parameter is another one than before: of a secret the reference, and a digest that nobody can guess
/// it by.
pub(super) fn traces(
    taskserv: &Name,
    parameters: &[(String, Parameter)],
    workspace: &Workspace,
) -> Result<Vec<String>, HostError> {
    let trace = |name: &String, parameter: &Parameter| -> Result<String, HostError> {
        let Parameter::Secret(reference) = parameter else {
            return Ok(parameter.shown());
        };
        let secret = reference.resolve(workspace).map_err(|source| failed(taskserv, name, source))?;
        Ok(format!("{reference} {}", keyed::digest(workspace, &secret).map_err(HostError::Key)?))
    };
    let mut parts = Vec::new();
    for (name, parameter) in parameters {
        parts.extend([name.clone(), trace(name, parameter)?]);
    }
    Ok(parts)
}

/// Those that can be had, and the variables of those that can't: what is removed may be removed without its secrets.
pub(super) fn available(parameters: &[(String, Parameter)], workspace: &Workspace) -> (Parameters, Vec<String>) {
    let is_there = |(_, parameter): &&(String, Parameter)| match parameter {
        Parameter::Text(_) => true,
        Parameter::Secret(reference) => reference.resolve(workspace).is_ok(),
    };
    let (there, gone): (Vec<_>, Vec<_>) = parameters.iter().partition(is_there);
    (there.into_iter().cloned().collect(), gone.into_iter().map(|(name, _)| name.clone()).collect())
}

fn failed(taskserv: &Name, variable: &str, source: crate::provision::secret::SecretError) -> HostError {
    HostError::Secret { taskserv: taskserv.clone(), variable: variable.to_owned(), source }
}
