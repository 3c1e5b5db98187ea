//! Texts that are refused: where, why, and what helps.

use super::*;
use crate::policy::{MAX_CONTENT_BYTES, MAX_POLICIES, Problem, check};

fn problems(content: &str) -> Vec<Problem> {
    let Problems(found) = check(&text("tried", content)).unwrap_err();
    assert!(!found.is_empty());
    found
}

/// Checks that the first problem is there and says this, in its message or its hint.
#[track_caller]
fn refused(content: &str, line: usize, column: usize, says: &str) {
    let first = &problems(content)[0];
    assert_eq!((first.line, first.column), (line, column), "{first:?}");
    assert!(first.to_string().contains(says), "{first}");
    assert!(!first.message.contains("policy `tried`"), "{first}");
}

#[test]
fn problems_stand_where_they_are() {
    refused("permit (principal, action, resource)", 1, 37, "unexpected end");
    refused("\n\npermit (principal, actoin, resource);", 3, 20, "actoin");
    refused("permit (principal, action, resource)\nwhen { context.mfaa };", 2, 8, "mfa");
    refused("// ñandú\npermit (principal in Role::\"Operater\", action, resource);", 2, 22, "Operater");
    refused("/* ñandú */ permit (principal, action, resource);", 1, 4, "invalid token");
    let far = "permit (principal, action, resource) when { \"ñandú\" < 5 };";
    refused(far, 1, 45, "Long");
}

#[test]
fn what_the_schema_does_not_know_is_refused() {
    for (content, says) in [
        (r#"permit (principal, action == Action::"task_reed", resource);"#, "task_read"),
        (r#"permit (principal, action == Action::"policy_read", resource is Task);"#, "policy"),
        ("permit (principal is Role, action, resource);", ""),
        ("permit (principal, action, resource is Tsak);", "Task"),
        (r#"permit (principal, action, resource) when { resource.environment == "x" };"#, "environment"),
        (r#"permit (principal, action, resource) when { context.operation == "x" };"#, "has"),
        (r#"permit (principal, action, resource) when { context.hour == "7" };"#, ""),
        (r#"permit (principal, action, resource) when { context.ip.isInRange(ip("10.0.0.0/99")) };"#, ""),
        ("permit (principal, action, resource) when { context.hour > 3 && false };", ""),
    ] {
        let found = problems(content);
        let all = found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(all.contains(says), "{content}\n{all}");
    }
}

#[test]
fn text_that_hides_what_it_says_is_refused() {
    problems("permit (principal == User::\"alice\u{202e}\", action, resource);");
    // The first letter is Cyrillic.
    problems("permit (principal == User::\"\u{430}lice\", action, resource);");
}

#[test]
fn all_problems_come_at_once_in_the_order_of_the_text() {
    let content = "permit (principal, action, resource) when { context.one };\n\
                   permit (principal, action, resource) when { context.two };";
    let lines: Vec<usize> = problems(content).iter().map(|problem| problem.line).collect();
    assert!(lines.is_sorted() && lines.contains(&1) && lines.contains(&2), "{lines:?}");
    let Problems(found) = Policies::compile([text("a", "permit"), text("b", "forbid")]).unwrap_err();
    let names: Vec<&str> = found.iter().map(|problem| &problem.name[..]).collect();
    assert!(names.contains(&"a") && names.contains(&"b"), "{names:?}");
}

#[test]
fn templates_and_empty_texts_are_refused() {
    refused("// ?principal\npermit (principal == ?principal, action, resource);", 2, 22, "template");
    refused("permit (principal, action, resource in\n?resource);", 2, 1, "template");
    refused("", 1, 1, "no policy");
    refused("// nothing yet", 1, 1, "no policy");
}

#[test]
fn names_are_unique() {
    let Problems(found) = Policies::compile([text("same", PERMIT_ALL), text("same", FORBID_ALL)]).unwrap_err();
    assert_eq!(found[0].message, "there is another policy `same`");
    let two = PERMIT_ALL.repeat(2);
    assert!(Policies::compile([text("x", &two), text("x#2", PERMIT_ALL)]).is_err());
}

#[test]
fn what_is_disabled_does_not_count_but_can_be_checked() {
    let broken = PolicyText { enabled: false, ..text("draft", "permit") };
    assert!(Policies::compile([broken]).is_ok());
    assert!(check(&broken).is_err());
}

#[test]
fn many_policies_of_a_text_keep_their_order() {
    let numbered = |n: usize| format!("permit (principal, action, resource) when {{ context.hour == {n} }};\n");
    let content: String = (0..24).map(numbered).collect();
    let policies = Policies::compile([text("hours", &content)]).unwrap();
    let decision = policies.decide(&request(&[], Action::TaskRead, Resource::System));
    assert_eq!(decision.policies, ["hours#11"], "it is 10 o'clock");
}

#[test]
fn there_are_limits() {
    let long = format!("{PERMIT_ALL}//{}", "x".repeat(MAX_CONTENT_BYTES));
    refused(&long, 1, 1, "at most 65536 bytes");
    let many = r#"permit(principal,action==Action::"audit_read",resource);"#.repeat(MAX_POLICIES / 2);
    let texts = [text("a", &many), text("b", &many)];
    assert!(Policies::compile(texts).is_ok());
    assert!(Policies::compile(texts.into_iter().chain([text("c", PERMIT_ALL)])).is_err());
}

/// On a thread with less stack than any of the daemon's.
fn within_little_stack(content: String) -> Result<(), Problems> {
    let compile = move || {
        let policies = Policies::compile([text("deep", &content)])?;
        // Evaluated, copied and forgotten here as well.
        let decision = policies.clone().decide(&request(&[], Action::TaskRead, Resource::System));
        assert_eq!((decision.allowed, decision.errors.len()), (true, 0), "{decision:?}");
        Ok(())
    };
    std::thread::Builder::new().stack_size(512 << 10).spawn(compile).unwrap().join().unwrap()
}

fn nested(depth: usize, [open, middle, close]: [&str; 3]) -> String {
    let condition = format!("{}{middle}{}", open.repeat(depth), close.repeat(depth));
    format!("permit (principal, action, resource) when {{ {condition} }};")
}

#[test]
fn deep_nesting_is_an_error_and_not_the_end() {
    let ways = [
        (["(", "true", ")"], 35),
        (["if true then (", "true", ") else false"], 15),
        (["if true then true else ", "true", ""], 35),
        (["", "true", " && true"], 60),
        (["", "false || true", " || false"], 60),
        (["", "1 == 1", " + 0"], 90),
        (["[true, ", "true", "].contains(true)"], 20),
        (["{a: ", "true", "}.a"], 35),
    ];
    for (way, depth) in ways {
        let Err(Problems(found)) = within_little_stack(nested(2000, way)) else { panic!("{way:?}") };
        assert_eq!((found.len(), &found[0].message[..]), (1, "it nests too deeply"), "{way:?}");
        assert_eq!(within_little_stack(nested(depth, way)), Ok(()), "{way:?}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]

    /// Whatever is typed is compiled, or refused at a place that exists.
    #[test]
    fn any_text_is_an_answer(words in proptest::collection::vec(proptest::sample::select(WORDS), 0..40)) {
        let content = words.concat();
        if let Err(Problems(found)) = check(&text("any", &content)) {
            for problem in found {
                let line = content.split('\n').nth(problem.line - 1).expect("the line exists");
                assert!((1..=line.chars().count() + 1).contains(&problem.column), "{problem}");
            }
        }
    }
}

const WORDS: &[&str] = &[
    "permit (principal, action, resource)",
    "forbid (principal, action, resource)",
    " when {",
    " unless {",
    "}",
    ";",
    "(",
    ")",
    "[",
    "]",
    "\n",
    "// ",
    "\"ñ",
    "\"",
    "context.",
    "mfa",
    "ip",
    "resource",
    " has ",
    " in ",
    " is ",
    "==",
    " && ",
    "!",
    "-",
    "1",
    "Role::\"Admin\"",
    "?principal",
    "@id(\"x\")",
    "ip(\"10.0.0.0/8\")",
    ", ",
    "\u{202e}",
    "if ",
    "\\",
];
