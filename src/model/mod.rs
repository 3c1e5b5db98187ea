//! The nouns of prov as plain data.
//!
//! Owns the vocabulary: every other module speaks of tasks, workflows, batches, operations, infras, servers, plans,
//! taskservs, clusters and users in the types of this module. Deliberately knows nothing of disks, sockets, processes
//! or the wire: what the API sends is in [`crate::api`], what the store writes is in [`crate::store`].
//!
//! | term | meaning |
//! | --- | --- |
//! | task | one command run by the orchestrator, with its attempts, output and error |
//! | workflow | one submitted piece of work that is a single task |
//! | batch | a named graph of operations with a parallel limit and rollback |
//! | operation | a node of a batch |
//! | infra | a named infrastructure of a workspace, described by a settings file |
//! | plan, zone | the size of a server and its place |
//! | taskserv | software that scripts install on servers |
//! | cluster | servers and taskservs that work as one |
//! | compensation | the command that undoes an operation |
//! | checkpoint | a named position in the log of completed operations |
//! | rehearsal | the same work against a twin of each provider |
//! | rollback | what undoes completed work because somebody asks for it |

pub mod api_token;
pub mod batch;
pub mod digest;
pub mod id;
pub mod lockout;
pub mod mfa;
pub mod name;
pub mod nearest;
pub mod network;
pub mod plan;
pub mod plugin;
pub mod rehearsal;
pub mod rollback;
pub(crate) mod schema;
pub mod status;
pub mod task;
pub mod time;
pub mod user;
pub mod webhook;
