//! What is left out of a decision for its speed would not have changed it.

use proptest::prelude::*;

use super::*;

const SCOPES: [&str; 8] = [
    "resource",
    "resource is Task",
    "resource == Infra::\"blue\"",
    "resource in Infra::\"blue\"",
    "resource in Infra::\"red\"",
    "resource is Task in Infra::\"blue\"",
    "resource == Task::\"0190\"",
    "resource in Role::\"Viewer\"",
];
const CONDITIONS: [&str; 3] = [
    "",
    "when { context.hour > 25 }",
    "when { context.hour + 9223372036854775807 > 0 && principal.mfa_enrolled == false }",
];

fn policy() -> impl Strategy<Value = String> {
    let effect = prop::sample::select(vec!["permit", "forbid"]);
    (effect, prop::sample::select(SCOPES.to_vec()), prop::sample::select(CONDITIONS.to_vec()))
        .prop_map(|(effect, scope, condition)| format!("{effect} (principal, action, {scope}) {condition};"))
}

fn resources() -> Vec<(Action, Resource<'static>)> {
    let [blue, red] = ["blue", "red"].map(|name| Infra { name, environment: "staging" });
    let somebody = Subject { username: "bob", ..subject(&[Role::Viewer]) };
    vec![
        (Action::TaskRead, task(blue)),
        (Action::TaskRead, task(red)),
        (Action::TaskRead, Resource::Infra(blue)),
        (Action::TaskRead, Resource::System),
        (Action::BatchRead, batch(blue)),
        (Action::WorkflowSubmit, Resource::Infra(red)),
        (Action::UserManage, Resource::User(somebody)),
    ]
}

#[test]
fn every_scope_and_condition_is_valid() {
    for content in
        SCOPES.iter().flat_map(|scope| CONDITIONS.map(|it| format!("permit (principal, action, {scope}) {it};")))
    {
        assert!(with([("p", content.as_str())]).is_ok(), "{content}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]
    #[test]
    fn a_slice_decides_as_all_policies_do(policies in prop::collection::vec(policy(), 0..7)) {
        let names: Vec<String> = (0..policies.len()).map(|n| format!("p{n}")).collect();
        let texts = names.iter().zip(&policies).map(|(name, content)| text(name, content));
        let policies = Policies::compile(texts).unwrap();
        for (action, resource) in resources() {
            let request = request(&[Role::Developer], action, resource);
            let whole = policies.decide_by(&request, |slice, _, _| slice.all());
            prop_assert_eq!(policies.decide(&request), whole, "{:?} {:?}", action, request.resource);
        }
    }
}
