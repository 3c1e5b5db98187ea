//! Artifacts in a server: sent, unpacked and put in their places.

use std::time::{Duration, Instant};

use super::host::{Host, HostError};
use super::run::last_words;
use super::send;
use super::software::Software;
use crate::provision::artifact::{self, Artifact, ArtifactError, cache, underscored};
use crate::provision::transport::Exec;

/// Where they stand in the server until they are unpacked.
const ARRIVED: &str = "/var/cache/prov/artifacts";
/// Where it says which were put in their places.
const PLACED: &str = "/var/lib/prov/artifacts";

/// Whether the artifact `$2`, by the mark `$1`, is where it belongs (`$3`), or what it provides (`$4`) is there without it.
const IS_THERE: &str = r#"if [ -e "$1" ]; then [ "$(cat "$1")" = "$2" ] && [ -e "$3" ]; else [ -n "$4" ] && command -v "$4" >/dev/null; fi"#;

/// Puts a file in its place: `$1` the file, `$2` its place, `$3` the mark, `$4` what stands in the mark.
const PUT: &str = r#"set -e
mkdir -p "${2%/*}" "${3%/*}"
install -m 755 "$1" "$2.prov-part"
mv "$2.prov-part" "$2"
printf '%s\n' "$4" > "$3"
rm -f "$1""#;

/// Unpacks an archive: `$5` is how it is packed, `$6` the parts of paths that are left out. First all of it goes to a
/// directory of its own; paths that lead elsewhere end it before.
const UNPACK: &str = r#"set -e
if tar "$5" --list --file "$1" | grep -Eq '(^|/)\.\.(/|$)|^/'; then
  echo "it has members that lead out of it" >&2
  exit 1
fi
mkdir -p "$2" "${3%/*}"
rm -rf "$1.d"
mkdir "$1.d"
tar "$5" --extract --file "$1" --directory "$1.d" --strip-components "$6" --no-same-owner --no-same-permissions --delay-directory-restore
find "$1.d" -type l | while IFS= read -r link; do
  case $(realpath -m "$link") in
    "$(realpath "$1.d")"/*) ;;
    *) echo "it has a link that leads out of it" >&2; exit 1 ;;
  esac
done
cp -a --remove-destination "$1.d/." "$2/"
printf '%s\n' "$4" > "$3"
rm -rf "$1" "$1.d""#;

impl Host<'_> {
    /// Has the artifacts of a service where they belong.
    pub(super) fn place(&self, software: &Software, limit: Duration) -> Result<(), HostError> {
        if software.artifacts.is_empty() {
            return Ok(());
        }
        let deadline = Instant::now() + limit;
        let machine = self.run(&["uname", "-m"], b"")?;
        let arch = arch(String::from_utf8_lossy(&machine.stdout).trim()).to_owned();
        for asked in &software.artifacts {
            let definition = &asked.definition;
            let secret = |source| HostError::Secret {
                taskserv: definition.name.clone(),
                variable: format!("url_{}", underscored(&definition.name)),
                source,
            };
            let given = asked.given(self.workspace).map_err(secret)?;
            let mark = format!("{PLACED}/{}", definition.name);
            // Without a checksum there is no telling what is there; another one may have brought it.
            let artifact = definition.of(&given, &arch);
            let provides = definition.provides.as_deref().unwrap_or_default();
            let stands = artifact.as_ref().map_or("", |artifact| artifact.sha256.as_str());
            if self.run(&["sh", "-c", IS_THERE, "sh", &mark, stands, &definition.destination, provides], b"")?.status
                == 0
            {
                continue;
            }
            let artifact = artifact.map_err(HostError::Artifact)?;
            self.place_one(definition, &artifact, &mark, deadline)?;
        }
        Ok(())
    }

    fn place_one(
        &self,
        definition: &artifact::Definition,
        artifact: &Artifact,
        mark: &str,
        deadline: Instant,
    ) -> Result<(), HostError> {
        self.say(&artifact.name, &format!("fetching version {}", artifact.version));
        let file = cache::get(&self.cache.join("artifacts"), artifact, deadline).map_err(HostError::Artifact)?;
        let arrived = format!("{ARRIVED}/{}", artifact.sha256);
        send::file(self.transport, &file, &arrived, deadline)?;
        let strip = definition.strip.to_string();
        let mut argv = vec!["sh", "-c", if definition.unpack.is_some() { UNPACK } else { PUT }, "sh"];
        argv.extend([arrived.as_str(), &definition.destination, mark, &artifact.sha256]);
        argv.extend(definition.unpack.iter().flat_map(|packing| [packing.option(), strip.as_str()]));
        let argv = argv.into_iter().map(str::to_owned).collect();
        let result = self.transport.exec(&Exec { argv, deadline: Some(deadline), ..Exec::default() })?;
        if result.status == 0 && !result.timed_out {
            return Ok(());
        }
        let what = format!("it can't be unpacked in the server{}", last_words(&result));
        Err(HostError::Artifact(ArtifactError::Wrong { name: artifact.name.clone(), what }))
    }
}

/// The kind of a machine as releases are named after it.
pub(in crate::provision) fn arch(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "armv7l" => "arm",
        other => other,
    }
}
