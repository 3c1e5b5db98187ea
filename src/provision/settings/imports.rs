//! Where the imports of a Nickel file lead, found without evaluating it: what would be waited for in vain is refused
//! beforehand, and, on kernels without Landlock, what leads out.
//!
//! It knows no grammar: wherever the word `import` stands before a text, in a comment too, that text is taken for a path.
//! So it may refuse a harmless comment, and never misses an import.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::jail::{self, Reach};
use super::problem::{Problem, excerpt};

/// Files that one evaluation may import.
const MAX_FILES: usize = 1_000;

/// The imports of `file`, and of the files it imports, that can't be followed: those of no regular files, and those that
/// lead out of `root` where nothing else keeps the evaluation inside (`reach`).
#[must_use]
pub fn refused(root: &Path, file: &Path, reach: Reach) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut waiting = vec![root.join(file)];
    let mut seen = BTreeSet::new();
    while let Some(path) = waiting.pop() {
        // Neither a missing file nor one that is no text is an import that leads anywhere; evaluation will say so.
        let (Ok(real), Ok(text)) = (path.canonicalize(), std::fs::read_to_string(&path)) else { continue };
        if !seen.insert(real) || seen.len() > MAX_FILES {
            continue;
        }
        for import in imports(&text) {
            match target(root, &path, file, &import) {
                Ok(Some(next)) if !next.is_file() => {
                    let message = format!("the import {:?} is no regular file", import.path.unwrap_or_default());
                    problems.push(problem(root, &path, &text, import.offset, message));
                }
                Ok(next) => waiting.extend(next),
                Err(message) if reach == Reach::Anything => {
                    problems.push(problem(root, &path, &text, import.offset, message));
                }
                // The kernel keeps it inside, and the evaluation says where it failed.
                Err(_) => {}
            }
        }
    }
    problems
}

/// A text after the word `import`.
#[derive(Debug, PartialEq, Eq)]
struct Import<'t> {
    offset: usize,
    /// The path; `None` where the text is written in a way that only evaluation can read.
    path: Option<&'t str>,
}

fn imports(text: &str) -> Vec<Import<'_>> {
    const WORD: &str = "import";
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '\'');
    let mut found = Vec::new();
    for (offset, _) in text.match_indices(WORD) {
        let rest = &text[offset + WORD.len()..];
        if text[..offset].chars().next_back().is_some_and(is_word) || rest.chars().next().is_some_and(is_word) {
            continue;
        }
        let rest = skip_blank(rest);
        if let Some(quoted) = rest.strip_prefix('"') {
            let path = quoted.split_once('"').map(|(path, _)| path).filter(|path| !path.contains(['\\', '%']));
            found.push(Import { offset, path });
        } else if rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '-' || c == '_').starts_with('%') {
            found.push(Import { offset, path: None });
        }
    }
    found
}

/// `text` from the first character that is neither white space nor part of a comment.
fn skip_blank(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        let Some(comment) = text.strip_prefix('#') else { return text };
        text = comment.split_once(['\n', '\r']).map_or("", |(_, rest)| rest);
    }
}

/// The file that `import` of `importer` leads to, `None` where there is none, or why it is refused.
fn target(root: &Path, importer: &Path, file: &Path, import: &Import<'_>) -> Result<Option<PathBuf>, String> {
    let Some(path) = import.path else { return Err("the path of an import must be a plain text".to_owned()) };
    let joined = importer.parent().unwrap_or(root).join(path);
    let is_open = |real: &Path| real.strip_prefix(root).is_ok_and(|relative| !jail::is_private(relative, file));
    match joined.canonicalize() {
        Ok(real) if is_open(&real) => Ok(Some(real)),
        Err(_) if !Path::new(path).is_absolute() => Ok(None),
        Ok(_) | Err(_) => Err(super::outside(path)),
    }
}

fn problem(root: &Path, file: &Path, text: &str, offset: usize, message: String) -> Problem {
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let position = (before.matches('\n').count() + 1, text[line_start..offset].chars().count() + 1);
    Problem {
        file: file.strip_prefix(root).unwrap_or(file).display().to_string(),
        position: Some(position),
        message,
        excerpt: excerpt(text, position),
        ..Problem::default()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_way_to_write_an_import_is_seen() {
        let paths = |text| imports(text).iter().map(|import| import.path.map(str::to_owned)).collect::<Vec<_>>();
        assert_eq!(paths("(import\"a\").x + import # c\n # d\n \"b\" as 'Text"), [Some("a".into()), Some("b".into())]);
        assert_eq!(paths("import m%\"/etc/passwd\"%"), [None]);
        assert_eq!(paths("import \"a%{b}\" import \"\\u{2f}\""), [None, None]);
        assert_eq!(paths("important \"x\" my_import \"y\" { import = 1 } import foo"), []);
        assert_eq!(paths("# import \"old\""), [Some("old".into())]);
    }

    #[test]
    fn what_would_be_waited_for_in_vain_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        let fifo = root.join("fifo.ncl");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        fs::write(root.join("config.ncl"), "{ a = import \"fifo.ncl\", b = import \"/etc/none\" }").unwrap();
        let problems = refused(&root, Path::new("config.ncl"), Reach::Workspace);
        let [problem] = problems.as_slice() else { panic!("{problems:?}") };
        assert!(
            problem.to_string().starts_with("config.ncl:1:7: the import \"fifo.ncl\" is no regular file"),
            "{problem}"
        );
    }

    #[test]
    fn what_leads_out_is_found_through_files_links_and_dots() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap().join("ws");
        fs::create_dir_all(root.join("infra/a")).unwrap();
        fs::write(root.parent().unwrap().join("x.ncl"), "{}").unwrap();
        fs::write(root.join(".netrc"), "").unwrap();
        fs::write(root.join("common.ncl"), "import \"../x.ncl\"").unwrap();
        symlink("/etc/passwd", root.join("infra/a/link")).unwrap();
        let file = Path::new("infra/a/config.ncl");
        fs::write(root.join(file), "{\n  a = import \"../../common.ncl\",\n  b = import \"link\" as 'Text,\n  c = import \"/etc/none\",\n  d = import \"config.ncl\",\n  e = import \"../../.netrc\",\n}").unwrap();
        let mut places: Vec<String> = refused(&root, file, Reach::Anything).iter().map(ToString::to_string).collect();
        places.sort();
        let first = "common.ncl:1:1: the import \"../x.ncl\" leads out of the workspace";
        assert!(places[0].starts_with(first), "{places:?}");
        assert!(places[1].starts_with("infra/a/config.ncl:3:7: the import \"link\" leads out"), "{places:?}");
        assert!(places[2].starts_with("infra/a/config.ncl:4:7: the import \"/etc/none\" leads out"), "{places:?}");
        assert!(places[3].starts_with("infra/a/config.ncl:6:7: the import \"../../.netrc\" leads out"), "{places:?}");
        assert_eq!(places.len(), 4);
    }
}
