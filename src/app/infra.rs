//! Infras: those of the workspace, their settings and servers, as the execution plane tells of them.

use super::App;
use super::authorise::Question;
use super::context::{Context, Permit};
use super::error::Error;
use super::plane::Answered;
use crate::api::actions::Action;
use crate::api::infra::{InfraServer, InfraSettings, InfraSummary};
use crate::model::name::Name;
use crate::policy::{Infra, Resource};

impl App {
    /// The infras that the caller may read.
    ///
    /// # Errors
    /// When the caller may read none, or the execution plane doesn't answer.
    pub async fn infra_list(&self, context: &Context) -> Result<Vec<InfraSummary>, Error> {
        let permit = self.authorise(context, "infra_list", &Question::about(Resource::System))?;
        let answered = self.guarded.open(&permit).ask_plane::<Vec<InfraSummary>>(&["infra", "list"]).await?;
        let Answered::Data(mut all) = answered else { return Ok(Vec::new()) };
        let environments = self.infras.environments(all.iter().map(|infra| infra.name.clone()).collect()).await?;
        let asker = self.asker(context);
        all.retain(|infra| {
            let environment = environments.get(&infra.name).map_or(super::infras::UNKNOWN, String::as_str);
            asker.may(Action::InfraRead, Resource::Infra(Infra { name: infra.name.as_str(), environment }))
        });
        Ok(all)
    }

    /// The settings of an infra as evaluated, with secrets covered.
    ///
    /// # Errors
    /// When there is no such infra, its settings are wrong, or the execution plane doesn't answer.
    pub async fn infra_get(&self, context: &Context, name: Name) -> Result<InfraSettings, Error> {
        let permit = self.may_read_infra(context, "infra_get", &name).await?;
        let answered = self.guarded.open(&permit).ask_plane(&["infra", "show", name.as_str()]).await?;
        found(answered, &name)
    }

    /// The servers of an infra as their providers report them.
    ///
    /// # Errors
    /// When there is no such infra, or the execution plane doesn't answer.
    pub async fn infra_servers(&self, context: &Context, name: Name) -> Result<Vec<InfraServer>, Error> {
        let permit = self.may_read_infra(context, "infra_servers", &name).await?;
        let words = ["servers", "list", "--infra", name.as_str()];
        found(self.guarded.open(&permit).ask_plane(&words).await?, &name)
    }

    /// Whoever may not read an infra is answered as if it weren't there.
    async fn may_read_infra(&self, context: &Context, operation: &'static str, name: &Name) -> Result<Permit, Error> {
        self.demand_factor(context, operation)?;
        let described = self.infras.get(name, None).await?;
        let infra = Infra { name: name.as_str(), environment: &described.environment };
        match self.authorise(context, operation, &Question::about(Resource::Infra(infra))) {
            Err(Error::Forbidden(_)) => Err(missing(name)),
            answer => answer,
        }
    }
}

fn found<T>(answered: Answered<T>, name: &Name) -> Result<T, Error> {
    match answered {
        Answered::Data(data) => Ok(data),
        Answered::NotFound => Err(missing(name)),
        Answered::Wrong(why) | Answered::Failed(why) => {
            Err(Error::Conflict(format!("the settings of infra {name} are wrong: {why}")))
        }
    }
}

fn missing(name: &Name) -> Error {
    Error::NotFound { kind: "infra", id: name.to_string() }
}
