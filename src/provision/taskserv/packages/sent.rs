//! Packages that are sent to a server: they become a repository there, from which its apt installs without a network.

use super::{Apt, PackageError, Wanted, host};
use crate::provision::taskserv::run::last_words;
use crate::provision::taskserv::send;

/// Where the server keeps what it was sent.
const ARCHIVES: &str = "/var/cache/prov/archives";

/// Makes a repository of the archives in `$1`.
const INDEX: &str = r#"set -e
mkdir -p "$1/lists/partial" && cd "$1"
for deb in *.deb; do
  [ -e "$deb" ] || continue
  dpkg-deb -f "$deb"
  printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$deb")" "$(sha256sum "$deb" | cut -d' ' -f1)"
done > Packages.part
mv Packages.part Packages
printf 'deb [trusted=yes] file:%s ./\n' "$1" > sources.list"#;

/// apt knows nothing but that repository.
const OPTIONS: [&str; 6] = [
    "-o",
    "Dir::Etc::sourcelist=/var/cache/prov/archives/sources.list",
    "-o",
    "Dir::Etc::sourceparts=/dev/null",
    "-o",
    "Dir::State::lists=/var/cache/prov/archives/lists",
];

impl Apt<'_> {
    pub(super) fn by_the_host(&self, wanted: &Wanted) -> Result<(), PackageError> {
        let archives = host::fetch(&host::directory(self.cache, wanted), wanted)?;
        for archive in archives {
            let name = archive.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            send::file(self.transport, &archive, &format!("{ARCHIVES}/{name}"), self.deadline)?;
        }
        self.must(["sh", "-c", INDEX, "sh", ARCHIVES].map(str::to_owned).to_vec())?;
        let mut update = vec!["apt-get", "update", "-o", "APT::Sandbox::User=root"];
        update.extend(OPTIONS);
        self.must(update.into_iter().map(str::to_owned).collect())?;
        let resolved = self.resolved(wanted, &OPTIONS)?;
        let result = self.apt_get(&OPTIONS, &resolved)?;
        match result.status {
            0 => Ok(()),
            status => Err(PackageError::Install { status, last_words: last_words(&result) }),
        }
    }

    fn must(&self, argv: Vec<String>) -> Result<(), PackageError> {
        let result = self.run(argv)?;
        match result.status {
            0 => Ok(()),
            status => Err(PackageError::Install { status, last_words: last_words(&result) }),
        }
    }
}
