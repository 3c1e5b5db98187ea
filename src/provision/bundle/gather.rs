//! What the services of a workspace's settings are made of, fetched into its cache.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::BundleError;
use crate::model::batch::TaskservRef;
use crate::model::name::Name;
use crate::provision::artifact::cache;
use crate::provision::cluster::definition::Wish;
use crate::provision::report::Reporter;
use crate::provision::servers;
use crate::provision::settings::Settings;
use crate::provision::taskserv::library::Library;
use crate::provision::taskserv::packages::host;
use crate::provision::taskserv::{arch, made_of};
use crate::provision::workspace::Workspace;

/// How long one artifact may take.
const PATIENCE: Duration = Duration::from_hours(1);

/// Fetches packages and artifacts of what the infras' settings declare; answers the files, each with its place below the
/// cache.
pub(super) fn fetch(
    workspace: &Workspace,
    infras: &[Name],
    reporter: &Reporter,
) -> Result<Vec<(PathBuf, String)>, BundleError> {
    let cache = workspace.state_dir().join("cache");
    let mut files = Vec::new();
    for infra in infras {
        let settings = match servers::load(workspace, infra, None) {
            Err(error) if error.is_not_found() => continue,
            other => {
                other.map_err(|source| BundleError::Settings { infra: infra.clone(), source: Box::new(source) })?
            }
        };
        let library = Library::of(workspace, infra);
        for wanted in declared(&library, &settings)? {
            for made in made_of(std::slice::from_ref(&wanted), &library)? {
                let taskserv = made.taskserv;
                if !(made.packages.needed.is_empty() && made.packages.optional.is_empty()) {
                    reporter.step(&format!("{infra}: fetching the packages of {taskserv}"));
                    let directory = host::directory(&cache.join("bundle"), &made.packages);
                    let failed =
                        |source| BundleError::Packages { taskserv: taskserv.clone(), source: Box::new(source) };
                    let archives = host::fetch_whole(&directory, &made.packages).map_err(failed)?;
                    let name = file_name(&directory);
                    let place = |archive: PathBuf| {
                        let place = format!("apt/{name}/{}", file_name(&archive));
                        (archive, place)
                    };
                    files.extend(archives.into_iter().map(place));
                    let mark = directory.join(host::BUNDLED);
                    std::fs::write(&mark, "").map_err(BundleError::file("write", &mark))?;
                    files.push((mark, format!("apt/{name}/{}", host::BUNDLED)));
                }
                for asked in &made.artifacts {
                    let failed =
                        |source| BundleError::Artifact { taskserv: taskserv.clone(), source: Box::new(source) };
                    let given = asked.given(workspace)?;
                    let artifact = asked.definition.of(&given, arch(std::env::consts::ARCH)).map_err(failed)?;
                    reporter.step(&format!("{infra}: fetching {} {} for {taskserv}", artifact.name, artifact.version));
                    let file =
                        cache::get(&cache.join("artifacts"), &artifact, Instant::now() + PATIENCE).map_err(failed)?;
                    files.push((file, format!("artifacts/{}", artifact.sha256)));
                }
            }
        }
    }
    files.sort_by(|(_, one), (_, other)| one.cmp(other));
    files.dedup_by(|(_, one), (_, other)| one == other);
    Ok(files)
}

/// The services that settings declare: of servers, and of clusters.
fn declared(library: &Library, settings: &Settings) -> Result<Vec<TaskservRef>, BundleError> {
    let mut declared = settings.placed_taskservs();
    for cluster in &settings.clusters {
        declared.extend(Wish::of(library, cluster)?.placed()?);
    }
    Ok(declared)
}

fn file_name(path: &std::path::Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
