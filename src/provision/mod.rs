//! The execution plane: settings → plan → servers, task services, clusters.
//!
//! Runs in processes of its own (`prov servers create …`), started by the daemon or by hand, so that nothing that goes
//! wrong here takes the daemon down. Deliberately knows nothing of the daemon, its store or its API. State is what the
//! providers say; what a provider of this machine must remember stands below `WORKSPACE/.prov/`.

pub mod artifact;
pub mod bundle;
pub mod cluster;
pub mod credentials;
pub mod declared;
pub mod describe;
pub mod disk;
pub mod drift;
pub mod error;
pub mod identity;
pub mod lock;
pub mod operation;
pub mod plan;
pub mod provider;
pub mod report;
pub mod scaffold;
pub mod secret;
pub mod servers;
pub mod settings;
pub mod taskserv;
pub mod tiny;
pub mod transport;
pub mod value_path;
pub mod web;
pub mod workspace;
