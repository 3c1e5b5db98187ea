//! Packages on servers that reach mirrors themselves: a local server stands for one, with a repository of its own.

use std::time::Duration;

use prov::model::name::Name;
use prov::provision::provider::local::LocalProvider;
use prov::provision::provider::{Provider, ProviderError};
use prov::provision::taskserv::packages::{PackageError, Spec, Wanted, host, install};
use prov::provision::transport::{Exec, ExecResult, Mirrors, Transport};

use super::Sample;

/// The way to a local server, which says that it reaches mirrors.
struct Reaching<'a>(Box<dyn Transport + 'a>);

impl Transport for Reaching<'_> {
    fn exec(&self, exec: &Exec<'_>) -> Result<ExecResult, ProviderError> {
        self.0.exec(exec)
    }

    fn mirrors(&self) -> Mirrors {
        Mirrors::Reached
    }
}

fn wanted(spec: &str) -> Wanted {
    Wanted { needed: vec![Spec::parse(spec, "").unwrap()], optional: Vec::new() }
}

#[test]
fn a_server_that_reaches_mirrors_is_left_to_its_own_apt() {
    let Some(sample) = Sample::new(&["a"]) else { return };
    let cache = tempfile::tempdir().unwrap();
    let archives = match host::fetch(cache.path(), &wanted("tree")) {
        Ok(archives) if !archives.is_empty() => archives,
        other => return println!("skipped: the package tree can't be had here: {other:?}"),
    };
    let provider = LocalProvider::new(sample.path()).unwrap().with_program(env!("CARGO_BIN_EXE_prov").into());
    let (infra, name) = (Name::new("demo").unwrap(), Name::new("a").unwrap());
    let transport = Reaching(provider.transport(&infra, &name).unwrap());
    for archive in &archives {
        let to = format!("/srv/mirror/{}", archive.file_name().unwrap().to_str().unwrap());
        transport.write(&to, &std::fs::read(archive).unwrap()).unwrap();
    }
    sample.inside(
        "a",
        "cd /srv/mirror && chmod 755 . && chmod 644 *.deb && for d in *.deb; do dpkg-deb -f $d; \
         printf 'Filename: ./%s\\nSize: %s\\nSHA256: %s\\n\\n' $d $(stat -c %s $d) $(sha256sum $d | cut -d' ' -f1); done >Packages\n\
         rm -rf /etc/apt/sources.list* /var/lib/apt/lists /usr/sbin/policy-rc.d; mkdir /var/lib/apt/lists\n\
         echo 'deb [trusted=yes] file:/srv/mirror ./' >/etc/apt/sources.list",
    );
    let limit = Duration::from_mins(2);
    let error = install(&transport, cache.path(), &wanted("tree=0.1"), limit).unwrap_err();
    let PackageError::NoVersion { available, .. } = &error else { panic!("{error}") };
    assert_eq!(available.len(), 1, "{error}");
    install(&transport, cache.path(), &wanted(&format!("tree={}", available[0])), limit).unwrap();
    assert_eq!(sample.inside("a", "command -v tree; ls /usr/sbin/policy-rc.d 2>/dev/null"), "/usr/bin/tree\n");
    // What is there needs no mirror.
    sample.inside("a", "rm -rf /srv/mirror /var/lib/apt/lists; mkdir /var/lib/apt/lists");
    install(&transport, cache.path(), &wanted("tree"), limit).unwrap();
    let error = install(&transport, cache.path(), &wanted("no-such-package"), Duration::from_secs(3)).unwrap_err();
    assert!(matches!(error, PackageError::Install { .. } | PackageError::TimedOut { .. }), "{error}");

    sample.inside("a", "mv /usr/bin/apt-get /root/; echo 'PRETTY_NAME=\"Other Linux 1\"' >/etc/os-release");
    let error = install(&transport, cache.path(), &wanted("tree"), limit).unwrap_err().to_string();
    assert!(error.contains("the server runs Other Linux 1"), "{error}");
}
