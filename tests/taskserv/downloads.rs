//! Artifacts from mirrors that fail in every way that mirrors do.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use prov::model::digest::{hexadecimal, sha256};
use prov::provision::artifact::{Artifact, ArtifactError, Definition, Given, cache};

use super::mirror::{Manner, Mirror, dead};

/// Something whose pieces differ.
fn content() -> Vec<u8> {
    (0..300_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn artifact(urls: &[String], content: &[u8]) -> Artifact {
    let urls: Vec<String> = urls.iter().map(|url| format!("{url:?}")).collect();
    let text = format!("name = \"thing\"\nurls = [{}]\ndestination = \"/x\"\nmost_mib = 4\n", urls.join(", "));
    let definition: Definition = toml::from_str(&text).unwrap();
    let given = Given { version: "1".to_owned(), url: String::new(), sha256: hexadecimal(&sha256(content)) };
    definition.of(&given, "amd64").unwrap()
}

fn get(directory: &tempfile::TempDir, artifact: &Artifact) -> Result<PathBuf, ArtifactError> {
    cache::get(directory.path(), artifact, Instant::now() + Duration::from_mins(1))
}

#[test]
fn what_is_cut_off_is_gone_on_with_and_a_dead_mirror_passed_over() {
    let (directory, mirror, content) = (tempfile::tempdir().unwrap(), Mirror::new(), content());
    mirror.put("/a", &content, Manner::CutOnce(500_000));
    let artifact = artifact(&[dead(), mirror.url("/absent"), mirror.url("/a")], &content);
    let file = get(&directory, &artifact).unwrap();
    assert_eq!(fs::read(&file).unwrap(), content);
    let asked = mirror.asked();
    assert_eq!(&asked[..2], ["/absent", "/a"]);
    let from: usize = asked[2].strip_prefix("/a ").unwrap().parse().unwrap();
    assert!((1..=500_000).contains(&from), "{asked:?}");
    // From now on it is in the cache, unless somebody damages it there.
    get(&directory, &artifact).unwrap();
    assert_eq!(mirror.asked().len(), 3);
    fs::write(&file, "damaged").unwrap();
    assert_eq!(fs::read(get(&directory, &artifact).unwrap()).unwrap(), content);
    assert_eq!(mirror.asked().len(), 5, "{:?}", mirror.asked());
}

#[test]
fn where_there_are_no_ranges_it_is_begun_again() {
    let (directory, mirror, content) = (tempfile::tempdir().unwrap(), Mirror::new(), content());
    mirror.put("/a", &content, Manner::CutOnceWithoutRanges(500_000));
    let file = get(&directory, &artifact(&[mirror.url("/a")], &content)).unwrap();
    assert_eq!(fs::read(file).unwrap(), content);
}

#[test]
fn the_beginning_of_something_else_is_no_beginning() {
    let (directory, mirror, content) = (tempfile::tempdir().unwrap(), Mirror::new(), content());
    mirror.put("/a", &content, Manner::Whole);
    let artifact = artifact(&[mirror.url("/a")], &content);
    for beginning in [vec![7; 1000], vec![7; content.len() + 1]] {
        fs::write(directory.path().join(format!("{}.part", artifact.sha256)), beginning).unwrap();
        let file = get(&directory, &artifact).unwrap();
        assert_eq!(fs::read(&file).unwrap(), content);
        fs::remove_file(file).unwrap();
    }
}

#[test]
fn a_wrong_checksum_is_refused_with_both_sums_the_mirror_and_no_password() {
    let (directory, mirror) = (tempfile::tempdir().unwrap(), Mirror::new());
    mirror.put("/a", b"evil", Manner::Whole);
    let url = format!("http://me:s3cret@127.0.0.1:{}/a?token=s3cret", mirror.port);
    let error = get(&directory, &artifact(&[url], b"good")).unwrap_err().to_string();
    for part in [hexadecimal(&sha256(b"evil")), hexadecimal(&sha256(b"good")), mirror.url("/a")] {
        assert!(error.contains(&part), "{part}: {error}");
    }
    assert!(!error.contains("s3cret"), "{error}");
    let left: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| name.to_string_lossy().ends_with(".lock")), "{left:?}");
}

#[test]
fn lies_refusals_and_redirects_elsewhere_are_named() {
    let (directory, mirror, content) = (tempfile::tempdir().unwrap(), Mirror::new(), content());
    mirror.put("/lies", &content, Manner::Lies);
    mirror.put("/no", &content, Manner::Status(403));
    mirror.put("/down", &content, Manner::Status(503));
    mirror.put("/file", &content, Manner::Redirect("file:///etc/passwd".to_owned()));
    mirror.put("/loop", &content, Manner::Redirect(mirror.url("/loop")));
    mirror.put("/large", &vec![0; 5 << 20], Manner::Whole);
    for (path, expected) in [
        ("/lies", "broke off"),
        ("/no", "it answers 403"),
        ("/down", "it answers 503"),
        ("/file", "it answers 302"),
        ("/loop", "too many redirects"),
        ("/large", "it has more than 4 MiB"),
    ] {
        let error = get(&directory, &artifact(&[mirror.url(path)], &content[..9])).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("url_thing"), "{path}: {error}");
    }
    mirror.put("/moved", b"", Manner::Redirect(mirror.url("/a")));
    mirror.put("/a", &content, Manner::Whole);
    get(&directory, &artifact(&[mirror.url("/moved")], &content)).unwrap();
}
