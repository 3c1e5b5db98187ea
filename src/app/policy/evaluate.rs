//! Asking the policies without doing anything: is a text valid, and may somebody do something?

use std::net::{IpAddr, Ipv4Addr};

use super::{check, find, unknown};
use crate::api::actions::{Action, Kind};
use crate::api::policy::{Evaluate, Evaluated, ValidPolicy, Verdict};
use crate::api::read::{Problem, shown};
use crate::app::about::Row;
use crate::app::authorise::Question;
use crate::app::context::{Context, Permit};
use crate::app::error::Error;
use crate::app::{App, aside};
use crate::model::id::{BatchId, PolicyId, TaskId};
use crate::model::name::Name;
use crate::model::task::Task;
use crate::policy::{Circumstances, Infra, Request, Resource, Subject};
use crate::store::record::{BatchRecord, PolicyRecord, UserRecord};

/// What a question is about, with all that it takes to put it.
enum About {
    System,
    Infra(Name, String),
    Task(Box<Task>, String),
    Batch(Box<BatchRecord>, String),
    User(Box<UserRecord>),
    Policy(String),
}

impl App {
    /// Checks the text of a policy by itself.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub async fn policy_validate(&self, context: &Context, text: String) -> Result<ValidPolicy, Error> {
        self.authorise(context, "policy_validate", &Question::about(Resource::System))?;
        let now = self.clock.now();
        let name = Name::new("policy").map_err(|error| Error::Internal(Box::new(error)))?;
        let policy = PolicyRecord {
            id: PolicyId(uuid::Uuid::nil()),
            name,
            description: String::new(),
            content: text,
            enabled: true,
            shipped: false,
            version: 1,
            created_at: now,
            created_by: String::new(),
            updated_at: now,
            updated_by: String::new(),
        };
        aside(move || check(&policy)).await??;
        Ok(ValidPolicy { valid: true })
    }

    /// What the policies in force say to a question. Everybody may ask about themselves.
    ///
    /// # Errors
    /// When there is no such user or resource.
    pub async fn policy_evaluate(&self, context: &Context, ask: Evaluate) -> Result<Evaluated, Error> {
        let system = Question::about(Resource::System);
        // Whether there are users and policies of some name is no matter of one's own.
        let is_own = ask.resource.as_ref().is_none_or(|it| !it.starts_with("user/") && !it.starts_with("policy/"));
        let permit = if is_own && ask.principal == context.username() {
            self.authorise(context, "policy_evaluate", &system)?
        } else {
            self.authorise_action(context, "policy_evaluate", Action::PolicyRead, &system)?
        };
        let user = self.user_named(&permit, &ask.principal).await?;
        let about = self.about(context, &permit, ask.action, ask.resource.as_deref()).await?;
        let given = &ask.context;
        let is_caller = ask.principal == context.username();
        let here = if is_caller { context.caller.address } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
        let providers = given.providers.as_ref().map(|names| names.iter().map(String::as_str).collect::<Vec<_>>());
        let circumstances = Circumstances {
            mfa: given.mfa,
            ip: given.ip.unwrap_or(here),
            time: given.time.unwrap_or(self.clock.now()),
            check_mode: given.check_mode,
            operation: given.operation.as_deref(),
            providers: providers.as_deref(),
        };
        let id = about.id();
        let request = Request {
            subject: Subject::of(&user.user, user.has_mfa()),
            action: ask.action,
            resource: about.resource(&id, ask.action),
            circumstances,
        };
        let set = self.policies.get();
        let decision = set.policies.decide(&request);
        let why_not = (!decision.allowed).then(|| set.policies.why_not(&request).to_string());
        let verdict = if decision.allowed { Verdict::Allow } else { Verdict::Deny };
        Ok(Evaluated { decision: verdict, policies: decision.policies, errors: decision.errors, why_not })
    }

    async fn user_named(&self, permit: &Permit, username: &str) -> Result<UserRecord, Error> {
        let (store, wanted) = (&self.guarded.open(permit).store, username.to_owned());
        let user = store.read(move |reads| reads.user_by_name(&wanted)).await?;
        user.ok_or_else(|| Error::NotFound { kind: "user", id: shown(username).into_owned() })
    }

    async fn about(
        &self,
        context: &Context,
        permit: &Permit,
        action: Action,
        resource: Option<&str>,
    ) -> Result<About, Error> {
        let wrong = |message: String| Error::Invalid(vec![Problem { pointer: "/resource".to_owned(), message }]);
        let (kind, name) = match resource {
            None if action.kinds().contains(&Kind::System) => return Ok(About::System),
            None => return Err(wrong(format!("is required: {action} is done to {}", kinds(action)))),
            Some(text) => text.split_once('/').unwrap_or(("infra", text)),
        };
        let not_an_id = |_| wrong("must have the id of a task or a batch after the slash".to_owned());
        match kind {
            "infra" => {
                let name: Name =
                    name.parse().map_err(|error: crate::model::name::NameError| wrong(error.to_string()))?;
                let environment = self.infras.get(&name, None).await?.environment.clone();
                Ok(About::Infra(name, environment))
            }
            "task" => {
                let task = self.see_task(context, name.parse::<TaskId>().map_err(not_an_id)?).await?;
                let environment = task.infra().environment.to_owned();
                Ok(About::Task(Box::new(task.row), environment))
            }
            "batch" => {
                let batch = self.see_batch(context, name.parse::<BatchId>().map_err(not_an_id)?).await?;
                let environment = batch.infra().environment.to_owned();
                Ok(About::Batch(Box::new(batch.row), environment))
            }
            "user" => Ok(About::User(Box::new(self.user_named(permit, name).await?))),
            "policy" => {
                let (_, all) = self.guarded.open(permit).store.read(|reads| reads.policies()).await?;
                Ok(About::Policy(find(&all, name).ok_or_else(|| unknown(name))?.name.to_string()))
            }
            other => Err(wrong(crate::api::read::unknown(
                "kind of resource",
                other,
                &["infra", "task", "batch", "user", "policy"],
            ))),
        }
    }
}

fn kinds(action: Action) -> String {
    action.kinds().iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" or ")
}

impl About {
    fn id(&self) -> String {
        match self {
            Self::Task(task, _) => task.id.to_string(),
            Self::Batch(batch, _) => batch.id.to_string(),
            _ => String::new(),
        }
    }

    /// As policies see it. What is done to tasks or batches alone is asked of one of the infra that nobody in particular
    /// submitted.
    fn resource<'a>(&'a self, id: &'a str, action: Action) -> Resource<'a> {
        match self {
            Self::System => Resource::System,
            Self::Infra(name, environment) => {
                let infra = Infra { name: name.as_str(), environment };
                match action.kinds() {
                    kinds if kinds.contains(&Kind::Infra) => Resource::Infra(infra),
                    kinds if kinds.contains(&Kind::Task) => Resource::Task { id, name: "", infra, submitted_by: "" },
                    kinds if kinds.contains(&Kind::Batch) => Resource::Batch { id, name: "", infra, submitted_by: "" },
                    _ => Resource::Infra(infra),
                }
            }
            Self::Task(task, environment) => task.resource(id, environment),
            Self::Batch(batch, environment) => batch.resource(id, environment),
            Self::User(user) => Resource::User(Subject::of(&user.user, user.has_mfa())),
            Self::Policy(name) => Resource::Policy(name),
        }
    }
}
