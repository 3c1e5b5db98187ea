//! What the members of one cluster are told of each other.

use std::collections::{BTreeMap, BTreeSet};

use super::host::Host;
use super::{TaskservError, Taskservs};
use crate::model::name::Name;
use crate::provision::provider::Server;

/// What the members of a cluster are told of each other.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) name: Name,
    /// Names and addresses of all members: `a=10.0.0.2 b=10.0.0.3`.
    pub(super) peers: String,
    /// Which services were installed to their end on which servers, before anything was done.
    settled: BTreeSet<(Name, Name)>,
}

impl Cluster {
    /// The members besides `server` on which `taskserv` was there before: what comes new joins them.
    pub(super) fn settled_beside(&self, server: &Name, taskserv: &Name) -> String {
        let others = self.settled.iter().filter(|(other, settled)| other != server && settled == taskserv);
        others.map(|(other, _)| other.as_str()).collect::<Vec<_>>().join(" ")
    }
}

impl Taskservs<'_> {
    /// What the servers of `work` are to be told of each other, if they are one cluster.
    pub(super) fn as_members<W: Sync>(
        &self,
        work: &BTreeMap<Name, (Server, Vec<W>)>,
    ) -> Result<Option<Cluster>, TaskservError> {
        let Some(name) = &self.cluster else { return Ok(None) };
        let settled = |host: &Host<'_>, _: &[W]| {
            let services = host.complete()?;
            Ok(services.into_iter().map(|service| (host.server.spec.name.clone(), service)).collect())
        };
        let peers: Vec<String> = work.values().map(|(server, _)| peer(server)).collect();
        let settled = self.each(work, None, &settled)?.into_iter().collect();
        Ok(Some(Cluster { name: name.clone(), peers: peers.join(" "), settled }))
    }
}

fn peer(server: &Server) -> String {
    format!("{}={}", server.spec.name, server.address.as_deref().unwrap_or("127.0.0.1"))
}
