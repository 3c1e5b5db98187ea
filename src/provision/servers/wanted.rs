//! What servers are wanted, by settings or by an operation of a batch.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::batch::{Payload, ServerConfig};
use crate::model::name::Name;
use crate::provision::operation::{BatchOperation, OperationError};
use crate::provision::plan::Wanted;
use crate::provision::provider::ServerSpec;
use crate::provision::secret;
use crate::provision::settings::{Settings, default_provider};
use crate::provision::value_path::ValuePath;

/// The servers that `settings` declare, as the work of `operation`.
#[must_use]
pub fn by_settings(settings: &Settings, operation: &str) -> Vec<Wanted> {
    let wanted = settings.servers.iter().map(|server| Wanted {
        provider: server.provider.clone(),
        spec: ServerSpec {
            infra: settings.name.clone(),
            name: server.name.clone(),
            plan: server.plan,
            zone: server.zone.clone(),
            operation: operation.to_owned(),
            labels: server.labels.clone(),
            extra: server.extra.clone(),
        },
    });
    wanted.collect()
}

/// The servers that `operation` makes in `infra`.
///
/// # Errors
/// [`OperationError`] for an operation of another type, or with labels that are none.
pub fn by_operation(infra: &Name, operation: &BatchOperation) -> Result<Vec<Wanted>, OperationError> {
    let Payload::ServerBatch { server_configs } = operation.payload() else {
        return Err(operation.not_a("server_batch"));
    };
    let provider = operation.operation.provider.clone().unwrap_or_else(default_provider);
    let identity = operation.identity();
    let wanted = server_configs.iter().map(|config| {
        let spec = spec(infra, config, &identity).map_err(|why| OperationError::Invalid {
            from: format!("the operation {}", operation.operation.id),
            why: format!("server {}: {why}", config.name),
        })?;
        Ok(Wanted { provider: provider.clone(), spec })
    });
    wanted.collect()
}

fn spec(infra: &Name, config: &ServerConfig, operation: &str) -> Result<ServerSpec, String> {
    let mut extra = config.extra.clone();
    for (key, value) in &extra {
        if let Some((path, why)) = secret::faults(value, &ValuePath::default().key(key)).pop() {
            return Err(format!("{path}: {why}"));
        }
    }
    let labels: BTreeMap<String, String> = match extra.remove("labels") {
        None | Some(Value::Null) => BTreeMap::new(),
        Some(labels) => serde_json::from_value(labels).map_err(|error| format!("labels: {error}"))?,
    };
    Ok(ServerSpec {
        infra: infra.clone(),
        name: config.name.clone(),
        plan: config.plan,
        zone: config.zone.clone(),
        operation: operation.to_owned(),
        labels,
        extra,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn operation(config: &Value) -> BatchOperation {
        let operation = json!({
            "batch_id": "b", "id": "o", "type": "server_batch", "provider": "local", "server_configs": [config],
            "timeout_seconds": 1, "on_failure": "fail",
            "retry": {"max_attempts": 1, "backoff": "linear", "initial_delay_seconds": 1, "max_delay_seconds": 1},
        });
        serde_json::from_value(operation).unwrap()
    }

    #[test]
    fn labels_of_an_operation_are_labels_and_the_rest_is_the_providers() {
        let config = json!({"name": "a", "plan": "1xCPU-1 GB", "zone": "z", "labels": {"x": "y"}, "ports": [1]});
        let wanted = by_operation(&Name::new("i").unwrap(), &operation(&config)).unwrap();
        let spec = &wanted[0].spec;
        assert_eq!((spec.operation.as_str(), spec.labels["x"].as_str()), ("b/o", "y"));
        assert_eq!(Value::Object(spec.extra.clone()), json!({"ports": [1]}));
    }

    #[test]
    fn labels_that_are_none_are_refused() {
        let config = json!({"name": "a", "plan": "1xCPU-1 GB", "zone": "z", "labels": ["x"]});
        let error = by_operation(&Name::new("i").unwrap(), &operation(&config)).unwrap_err().to_string();
        assert!(error.starts_with("the operation o holds no operation: server a: labels: "), "{error}");
    }
}
