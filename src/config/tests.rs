//! Which source of a value counts, and what is refused.

use super::*;

#[test]
fn the_nearer_source_wins_and_is_named() {
    let workspace = tempfile::tempdir().unwrap();
    std::fs::write(workspace.path().join("prov.toml"), "[daemon]\nmax_parallel = 3\ndrain_seconds = 1\n").unwrap();
    let values = [("max_parallel".to_owned(), "7".to_owned())].into();
    let flags = Layer { origin: "flags".to_owned(), values };
    let (config, origins) = daemon(workspace.path(), flags, None).unwrap();
    assert_eq!((config.max_parallel, config.drain_seconds, config.grace_seconds), (7, 1, 10));
    assert_eq!(find(&origins, "max_parallel").unwrap().origin, "flags");
    assert!(find(&origins, "drain_seconds").unwrap().origin.ends_with("prov.toml"));
    assert_eq!(find(&origins, "grace_seconds").unwrap().origin, "default");
}

#[test]
fn an_empty_variable_sets_nothing() {
    let get = |variable: &str| match variable {
        "PROV_REQUIRE_MFA" => Some(String::new()),
        "PROV_DRAIN_SECONDS" => Some("2".to_owned()),
        _ => None,
    };
    assert_eq!(environment(get).values, [("drain_seconds".to_owned(), "2".to_owned())].into());
}

#[test]
fn a_limit_of_nothing_is_refused() {
    let workspace = tempfile::tempdir().unwrap();
    for key in ["login_failures_per_minute", "requests_per_minute"] {
        let read = |number: u32| {
            let flags = Layer { values: [(key.to_owned(), number.to_string())].into(), ..Layer::default() };
            daemon(workspace.path(), flags, None)
        };
        assert!(read(1).is_ok());
        let error = read(0).unwrap_err().to_string();
        assert!(error.contains(key) && error.ends_with("must be 1 or more: 0 would let nobody in"), "{error}");
    }
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest() {
    for (text, told) in [
        ("[daemon]\nmax_paralel = 3\n", "unknown key `max_paralel`; did you mean `max_parallel`?"),
        ("[deamon]\nmax_parallel = 3\n", "unknown table `deamon`; did you mean `daemon`?"),
        ("[client]\n", "unknown table `client`; known: daemon"),
        ("max_parallel = 3\n", "`max_parallel` stands outside its table [daemon]"),
        ("max_paralel = 3\n", "unknown key `max_paralel`; did you mean `max_parallel`?"),
        ("daemon = 3\n", "`daemon` must be a table: [daemon]"),
        ("[daemon.listen]\nport = 1\n", "`listen` takes one value"),
    ] {
        let workspace = tempfile::tempdir().unwrap();
        let file = workspace.path().join("prov.toml");
        std::fs::write(&file, text).unwrap();
        for given in [None, Some(file.as_path())] {
            let error = daemon(workspace.path(), Layer::default(), given).unwrap_err().to_string();
            assert_eq!(error, format!("{}: {told}", file.display()));
        }
    }
}

#[test]
fn roles_are_a_list_or_a_text_and_an_unknown_one_is_refused() {
    let workspace = tempfile::tempdir().unwrap();
    let read = |text: &str| {
        std::fs::write(workspace.path().join("prov.toml"), format!("[daemon]\nrequire_mfa = {text}\n")).unwrap();
        daemon(workspace.path(), Layer::default(), None).map(|(config, _)| config.require_mfa.0)
    };
    let both = [Role::Admin, Role::Operator];
    assert_eq!(read(r#"["Operator", "Admin", "Admin"]"#).unwrap(), both);
    assert_eq!(read(r#""Admin, Operator""#).unwrap(), both);
    assert_eq!(read("[]").unwrap(), []);
    for (text, told) in
        [(r#"["Admn"]"#, "unknown role `Admn`; did you mean `Admin`?"), ("[1]", "`require_mfa` takes a list of texts")]
    {
        let error = read(text).unwrap_err().to_string();
        assert!(error.ends_with(told), "{error}");
    }
}
