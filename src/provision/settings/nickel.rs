//! Nickel → a value, by the language's stable interface.
//!
//! Runs only inside [`super::jail`]: the language has no limits of its own. Owns how its diagnostics become problems;
//! the interface gives positions only in the text it prints for people, so they are read from there.

use std::path::Path;

use nickel_lang::{Context, Error, ErrorFormat};
use serde_json::Value;

use super::parse;
use super::problem::Problem;

/// What newcomers to Nickel run into first.
const RECURSION_HINT: &str =
    "the fields of a record see each other: `x = x` means itself, so give the outer `x` another name";

/// Evaluates `text`, the file `name` of the workspace at `root`, deeply.
///
/// # Errors
/// What the language says is wrong, each with its place.
pub fn evaluate(root: &Path, name: &str, text: &str) -> Result<Value, Vec<Problem>> {
    let mut context = Context::new().with_source_name(name.to_owned());
    let json = context.eval_deep_for_export(text).and_then(|expression| context.expr_to_json(&expression));
    let json = json.map_err(|error| problems(root, name, &error))?;
    parse::json(&json).map_err(|error| {
        // The position is one in the JSON text, which nobody wrote.
        vec![Problem { file: name.to_owned(), message: error.message, ..Problem::default() }]
    })
}

fn problems(root: &Path, name: &str, error: &Error) -> Vec<Problem> {
    let mut bytes = Vec::new();
    let rendered = match error.format(&mut bytes, ErrorFormat::Text) {
        Ok(()) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => format!("error: {error:?}"),
    };
    let rendered = rendered.replace(&format!("{}/", root.display()), "");
    let mut problems: Vec<Problem> = diagnostics(&rendered).into_iter().map(|text| problem(name, &text)).collect();
    if problems.is_empty() {
        problems.push(Problem { file: name.to_owned(), message: rendered.trim().to_owned(), ..Problem::default() });
    }
    problems
}

/// The diagnostics of a rendered error: each begins at the margin with its severity.
fn diagnostics(rendered: &str) -> Vec<String> {
    const SEVERITIES: &[&str] = &["error: ", "warning: ", "note: ", "bug: "];
    let mut found: Vec<String> = Vec::new();
    for line in rendered.lines() {
        if let Some(message) = SEVERITIES.iter().find_map(|severity| line.strip_prefix(severity)) {
            found.push(message.to_owned());
        } else if let Some(diagnostic) = found.last_mut() {
            diagnostic.push('\n');
            diagnostic.push_str(line);
        }
    }
    found
}

/// A rendered diagnostic as a problem: message, then `┌─ FILE:LINE:COLUMN` of its primary place, then the source.
fn problem(name: &str, diagnostic: &str) -> Problem {
    const PLACE: &str = "┌─ ";
    let is_place = |line: &&str| line.trim_start().starts_with(PLACE);
    let message: Vec<&str> = diagnostic.lines().take_while(|line| !is_place(line) && !is_source(line)).collect();
    let place = diagnostic.lines().find(is_place).and_then(|line| parse_place(line.trim_start().strip_prefix(PLACE)?));
    let (file, position) = place.map_or((name.to_owned(), None), |(file, position)| (file, Some(position)));
    let excerpt: Vec<&str> = diagnostic.lines().skip(message.len()).filter(|line| !line.trim().is_empty()).collect();
    let message = message.join(" ").trim().to_owned();
    let message = leaving_import(Path::new(&file), &message).unwrap_or(message);
    let hint = message.starts_with("infinite recursion").then(|| RECURSION_HINT.to_owned());
    Problem { file, position, message, excerpt: excerpt.join("\n"), hint, ..Problem::default() }
}

fn is_source(line: &str) -> bool {
    line.trim_start().starts_with(['│', '=', '·'])
}

/// `FILE:LINE:COLUMN`.
fn parse_place(text: &str) -> Option<(String, (usize, usize))> {
    let (rest, column) = text.trim_end().rsplit_once(':')?;
    let (file, line) = rest.rsplit_once(':')?;
    Some((file.to_owned(), (line.parse().ok()?, column.parse().ok()?)))
}

/// What to say where an import failed because the jail holds, which the language takes for a missing file.
fn leaving_import(importer: &Path, message: &str) -> Option<String> {
    let path = message.strip_prefix("import of ")?.split_once(" failed: could not find import")?.0;
    let joined = importer.parent().unwrap_or(Path::new("")).join(path);
    // The jail forbids opening, not looking: what is there and can't be opened is outside.
    let is_there = joined.symlink_metadata().is_ok();
    let is_outside = Path::new(path).is_absolute() || is_there || climbs_out(&joined);
    is_outside.then(|| super::outside(path))
}

/// Whether `path`, relative to the workspace, climbs above it by `..`.
fn climbs_out(path: &Path) -> bool {
    let mut depth = 0_usize;
    for part in path.components() {
        match part {
            std::path::Component::ParentDir if depth == 0 => return true,
            std::path::Component::ParentDir => depth -= 1,
            std::path::Component::Normal(_) => depth += 1,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str) -> Vec<String> {
        let problems = evaluate(Path::new("/workspace"), "infra/a/config.ncl", text).unwrap_err();
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_is_evaluated_deeply_and_exported() {
        let text = "let sized = fun cpus => \"%{std.to_string cpus}xCPU-1 GB\" in
            { name = \"a\", servers = std.array.generate (fun i => { plan = sized (i + 1) }) 2, hidden | not_exported = 1 }";
        let value = evaluate(Path::new("/workspace"), "a.ncl", text).unwrap();
        assert_eq!(
            value,
            serde_json::json!({"name": "a", "servers": [{"plan": "1xCPU-1 GB"}, {"plan": "2xCPU-1 GB"}]})
        );
    }

    #[test]
    fn a_syntax_error_says_where() {
        let problems = rendered("{\n  a = 1,\n  b = [\n}");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("infra/a/config.ncl:4:1: unexpected token\n"), "{}", problems[0]);
        assert!(problems[0].contains("4 │ }"), "{}", problems[0]);
    }

    #[test]
    fn a_broken_contract_and_an_unbound_name_say_where() {
        let problems = rendered("{ plan | Number = \"big\" }");
        assert!(
            problems[0].starts_with("infra/a/config.ncl:1:19: contract broken by the value of `plan`"),
            "{problems:?}"
        );
        let problems = rendered("{ a = b.c }");
        assert!(problems[0].starts_with("infra/a/config.ncl:1:7: unbound identifier `b`"), "{problems:?}");
    }

    #[test]
    fn a_field_that_means_itself_is_explained() {
        let problems = rendered("let x = 1 in { x = x }");
        assert!(problems[0].contains("infinite recursion (the fields of a record see each other"), "{problems:?}");
    }

    #[test]
    fn what_json_cannot_say_is_refused() {
        assert!(evaluate(Path::new("/workspace"), "a.ncl", "{ a = fun x => x }").is_err());
        assert!(evaluate(Path::new("/workspace"), "a.ncl", "{ a = 'Tag 1 }").is_err());
    }
}
