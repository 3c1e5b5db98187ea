//! From texts to policies that can decide, or to all that is wrong with them.

use std::collections::BTreeSet;

use cedar_policy::{Policy, PolicyId as CedarId, PolicySet, ValidationMode};

use super::depth::{too_deep, with_room};
use super::problem::{Problem, Problems};
use super::schema::VOCABULARY;
use super::slice::Slice;
use crate::api::actions::Action;
use crate::model::id::PolicyId;

/// The longest text.
pub const MAX_CONTENT_BYTES: usize = 64 * 1024;
/// The most that all enabled texts may come to.
pub const MAX_TOTAL_BYTES: usize = 1024 * 1024;
/// Cedar policies in all enabled texts.
pub const MAX_POLICIES: usize = 1000;

/// A policy as it was written; its content may hold several Cedar policies.
#[derive(Clone, Copy, Debug)]
pub struct PolicyText<'a> {
    /// Its id.
    pub id: PolicyId,
    /// Its name, which explanations give.
    pub name: &'a str,
    /// Cedar.
    pub content: &'a str,
    /// Whether it counts.
    pub enabled: bool,
}

/// The enabled policies, ready to decide.
#[derive(Clone, Debug)]
pub struct Policies {
    /// For each action the policies that may have to do with it: the others needn't be evaluated.
    pub(super) by_action: Vec<Slice>,
    /// The enabled texts: name and content.
    pub(super) texts: Vec<(String, String)>,
}

impl Policies {
    /// Compiles the enabled ones of the texts. The Cedar policies of a text are called `name`, `name#2`, `name#3` ….
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn compile<'a>(texts: impl IntoIterator<Item = PolicyText<'a>>) -> Result<Self, Problems> {
        let enabled: Vec<PolicyText<'_>> = texts.into_iter().filter(|text| text.enabled).collect();
        let (mut policies, mut problems) = (Vec::new(), Vec::new());
        let (mut names, mut total_bytes) = (BTreeSet::new(), 0);
        for text in &enabled {
            total_bytes += text.content.len();
            match with_room(|| parse(text)) {
                _ if total_bytes > MAX_TOTAL_BYTES => {
                    problems
                        .push(too_many(text, &format!("the enabled policies exceed {MAX_TOTAL_BYTES} bytes in all")));
                    break;
                }
                Ok(parsed) if policies.len() + parsed.len() > MAX_POLICIES => {
                    problems.push(too_many(text, &format!("there are more than {MAX_POLICIES} policies")));
                    break;
                }
                Ok(parsed) => {
                    let twice = parsed.iter().find(|policy| !names.insert(policy.id().to_string()));
                    problems.extend(
                        twice.map(|policy| Problem::at(text, 0, format!("there is another policy `{}`", policy.id()))),
                    );
                    policies.extend(parsed);
                }
                Err(Problems(found)) => problems.extend(found),
            }
        }
        if !problems.is_empty() {
            return Err(Problems(problems));
        }
        Ok(Self {
            by_action: Action::ALL.iter().map(|action| Slice::of(*action, &policies)).collect(),
            texts: enabled.iter().map(|text| (text.name.to_owned(), text.content.to_owned())).collect(),
        })
    }
}

/// Checks one text, enabled or not.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check(text: &PolicyText<'_>) -> Result<(), Problems> {
    with_room(|| parse(text)).map(|_| ())
}

fn too_many(text: &PolicyText<'_>, message: &str) -> Problem {
    Problem::at(text, 0, message).with_hint("disable those that nobody needs, or put several rules into one")
}

/// The Cedar policies of a text in their order, under their names.
fn parse(text: &PolicyText<'_>) -> Result<Vec<Policy>, Problems> {
    let refuse = |problem| Err(Problems(vec![problem]));
    if text.content.len() > MAX_CONTENT_BYTES {
        return refuse(Problem::at(text, 0, format!("a policy has at most {MAX_CONTENT_BYTES} bytes")));
    }
    if let Some(at) = too_deep(text.content) {
        return refuse(
            Problem::at(text, at, "it nests too deeply")
                .with_hint("group long conditions in brackets, or write several policies"),
        );
    }
    let parsed = text.content.parse::<PolicySet>();
    let parsed = parsed.map_err(|errors| Problems(errors.iter().map(|error| Problem::of(text, error)).collect()))?;
    if parsed.templates().next().is_some() {
        let problem = Problem::at(text, slot(text.content), "a template can't be used: nothing would fill its slots");
        return refuse(problem.with_hint("name the principal or resource, or leave it open"));
    }
    let mut policies: Vec<Policy> = parsed.policies().cloned().collect();
    // Cedar calls them policy0, policy1 … as they come.
    policies.sort_by_key(|policy| policy.id().to_string().trim_start_matches("policy").parse::<usize>().ok());
    if policies.is_empty() {
        return refuse(
            Problem::at(text, 0, "there is no policy in it").with_hint("permit (principal, action, resource);"),
        );
    }
    let names = (1..).map(|nth| if nth == 1 { text.name.to_owned() } else { format!("{}#{nth}", text.name) });
    let policies: Vec<Policy> = policies.iter().zip(names).map(|(it, name)| it.new_id(CedarId::new(name))).collect();
    validate(text, &policies)?;
    Ok(policies)
}

/// Against the schema, strictly: what Cedar only warns of makes a policy void or a reader err, and is refused too.
fn validate(text: &PolicyText<'_>, policies: &[Policy]) -> Result<(), Problems> {
    let set = PolicySet::from_policies(policies.iter().cloned()).expect("they are numbered");
    let found = VOCABULARY.validator.validate(&set, ValidationMode::Strict);
    let errors = found.validation_errors().map(|error| Problem::of(text, error));
    let mut problems: Vec<Problem> =
        errors.chain(found.validation_warnings().map(|warning| Problem::of(text, warning))).collect();
    problems.sort_by(|a, b| (a.line, a.column, &a.message).cmp(&(b.line, b.column, &b.message)));
    problems.dedup();
    if problems.is_empty() { Ok(()) } else { Err(Problems(problems)) }
}

/// Where the first slot of a template stands, comments left out.
fn slot(content: &str) -> usize {
    let mut start = 0;
    for line in content.split_inclusive('\n') {
        let code = line.split("//").next().unwrap_or_default();
        if let Some(at) = ["?principal", "?resource"].iter().filter_map(|slot| code.find(slot)).min() {
            return start + at;
        }
        start += line.len();
    }
    0
}
