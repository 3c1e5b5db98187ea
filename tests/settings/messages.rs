//! What is said about a wrong file: the place, the value, the reason, the line, and all of it at once.

use super::Sample;

/// What is said about `text` as the file `file` of the infra.
fn said(file: &str, text: &str) -> String {
    Sample::new().with(&format!("infra/a/{file}"), text).load(file).unwrap_err().to_string()
}

#[cfg(feature = "nickel")]
#[test]
fn the_three_formats_make_the_same_settings() {
    let sample = Sample::new()
        .with("infra/a/config.ncl", include_str!("fixtures/good.ncl"))
        .with("infra/a/config.yaml", include_str!("fixtures/good.yaml"))
        .with("infra/a/config.json", include_str!("fixtures/good.json"));
    let settings = sample.load("config.ncl").unwrap();
    assert_eq!(settings.servers.len(), 2);
    assert_eq!(settings.servers[1].labels["tier"], "cache");
    assert_eq!(settings, sample.load("config.yaml").unwrap());
    assert_eq!(settings, sample.load("config.json").unwrap());
}

#[test]
fn yaml_problems_are_all_named_with_their_lines() {
    let expected = r#"infra/a/config.yaml has 3 problems
  infra/a/config.yaml:5:11: servers[0].plan: "2GB" is no plan; write processors and memory as in `1xCPU-2 GB` or `2xCPU-512 MB`
    5 |     plan: 2GB
      |           ^
  infra/a/config.yaml:7:5: servers[1].zoen: unknown field `zoen`; did you mean `zone`?
    7 |     zoen: de-fra1
      |     ^
  infra/a/config.yaml:6:5: servers[1]: the field `plan` is missing (write plan = "1xCPU-2 GB" here or under `defaults`)
    6 |   - name: b
      |     ^"#;
    let text = "# the shop\nname: a\nservers:\n  - name: a\n    plan: 2GB\n  - name: b\n    zoen: de-fra1\n";
    let said = said("config.yaml", text);
    let mut lines: Vec<&str> = said.lines().collect();
    let mut wanted: Vec<&str> = expected.lines().collect();
    lines.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(lines, wanted, "{said}");
}

#[test]
fn json_problems_are_named_with_line_and_column() {
    let text = "{\n  \"servers\": [\n    {\"name\": \"a\", \"plan\": \"1xCPU-1 GB\"},\n    {\"name\": \"a\", \"plan\": \"1xCPU-1 GB\"}\n  ]\n}\n";
    let expected = "infra/a/config.json:4:14: servers[1].name: the name \"a\" is taken by servers[0]\n    4 |     {\"name\": \"a\", \"plan\": \"1xCPU-1 GB\"}\n      |              ^";
    assert_eq!(said("config.json", text), expected);
}

#[cfg(feature = "nickel")]
#[test]
fn nickel_problems_are_found_by_their_text() {
    let text = "{\n  servers = [\n    { name = \"a\", plan = \"1xCPU-1 GB\" },\n    { name = \"b;rm\", plan = \"1xCPU-1 GB\" },\n  ],\n}\n";
    let expected = "infra/a/config.ncl:4:14: servers[1].name: \"b;rm\" is no name: ';' is not allowed (letters, digits, `-`, `_`, `.`)\n    4 |     { name = \"b;rm\", plan = \"1xCPU-1 GB\" },\n      |              ^";
    assert_eq!(said("config.ncl", text), expected);
}

#[test]
fn syntax_errors_of_each_format_say_where() {
    #[cfg(feature = "nickel")]
    assert!(said("config.ncl", "{\n  name = \n}").starts_with("infra/a/config.ncl:3:1: unexpected token\n"));
    let yaml = said("config.yaml", "name: a\nservers: [\n");
    assert!(yaml.starts_with("infra/a/config.yaml:3:1: "), "{yaml}");
    let json = said("config.json", "{\n  \"name\": \"a\",\n}\n");
    assert!(json.starts_with("infra/a/config.json:3:1: trailing comma\n    3 | }\n      | ^"), "{json}");
}

#[cfg(feature = "nickel")]
#[test]
fn an_error_in_an_import_is_told_of_the_import() {
    let sample = Sample::new()
        .with("shared/sizes.ncl", "{ small = nothing }")
        .with("infra/a/config.ncl", "{ defaults.plan = (import \"../../shared/sizes.ncl\").small }");
    let said = sample.load("config.ncl").unwrap_err().to_string();
    assert!(said.contains("shared/sizes.ncl:1:11: unbound identifier `nothing`"), "{said}");
    assert!(!said.contains(sample.dir.path().to_str().unwrap()), "{said}");
}

#[test]
fn text_that_is_no_text_and_files_that_are_no_files() {
    let sample = Sample::new();
    std::fs::write(sample.dir.path().join("infra/a/config.json"), b"{\n \"a\": \"\xff\"}").unwrap();
    let error = sample.load("config.json").unwrap_err();
    assert_eq!(error.to_string(), "infra/a/config.json:2:8: the text is not UTF-8");
    std::fs::create_dir(sample.dir.path().join("infra/a/dir.yaml")).unwrap();
    assert!(sample.load("dir.yaml").unwrap_err().to_string().starts_with("can't read "));
    let error = sample.load("none.ncl").unwrap_err();
    assert!(error.is_not_found(), "{error}");
    let error = Sample::new().with("infra/a/config.txt", "").load("config.txt").unwrap_err();
    assert_eq!(error.hint().unwrap(), "end the name in .ncl, .yaml, .yml or .json");
}

#[test]
fn a_file_that_is_too_large_is_refused_unread() {
    let text = format!("# {}\n", "x".repeat(17 << 20));
    assert_eq!(said("config.yaml", &text), "infra/a/config.yaml is refused: it is larger than 16384 KiB");
}

#[test]
fn problems_that_others_found_are_shown_in_the_file() {
    let sample = Sample::new().with("b.yaml", "name: b\noperations:\n  - id: a\n    type: magic\n");
    let evaluator = super::evaluator(std::time::Duration::from_secs(30));
    let document = evaluator.file(&sample.dir.path().join("b.yaml")).unwrap();
    let error = document.invalid_at([("/operations/0/type", "no such type"), ("/infra", "is required")]);
    let expected = "b.yaml has 2 problems\n  b.yaml:4:11: operations[0].type: no such type\n    4 |     type: magic\n      |           ^\n  b.yaml: infra: is required";
    assert_eq!(error.to_string().replace(&format!("{}/", sample.dir.path().display()), ""), expected);
}

#[cfg(not(feature = "nickel"))]
#[test]
fn a_build_without_nickel_says_so() {
    let error = Sample::new().with("infra/a/config.ncl", "{}").load("config.ncl").unwrap_err();
    let expected = "infra/a/config.ncl is written in Nickel, and this prov was built without the feature `nickel`";
    assert_eq!(error.to_string(), expected);
    assert!(error.is_invalid_file() && error.hint().is_some());
}
