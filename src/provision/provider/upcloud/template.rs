//! Public templates by title: every word of what is wanted is a word of the title, and of several the newest is taken.

use super::wire::Template;
use crate::provision::provider::cloud::CallError;

/// Titles that a hint names.
const NAMED: usize = 6;

/// The template that `wanted` means.
///
/// # Errors
/// [`CallError::Refused`] names those that come nearest.
pub(super) fn choose<'t>(templates: &'t [Template], wanted: &str) -> Result<&'t Template, CallError> {
    let public: Vec<&Template> = templates.iter().filter(|template| template.is_public()).collect();
    let exactly = public.iter().find(|template| template.title.eq_ignore_ascii_case(wanted.trim()));
    if let Some(template) = exactly {
        return Ok(template);
    }
    let words = words(wanted);
    let means = |template: &&&Template| {
        !words.is_empty() && words.iter().all(|word| self::words(&template.title).contains(word))
    };
    let newest = public.iter().filter(means).max_by_key(|template| age(template));
    newest.copied().ok_or_else(|| {
        let mut nearest = public.clone();
        nearest.sort_by_key(|template| std::cmp::Reverse(shared(&words, &template.title)));
        let titles: Vec<&str> = nearest.iter().take(NAMED).map(|template| template.title.as_str()).collect();
        let hint = (!titles.is_empty()).then(|| format!("there are: {}", titles.join(", ")));
        CallError::Refused { what: format!("UpCloud has no public template {wanted:?}"), hint }
    })
}

/// Small words of a title; a version such as 24.04 is one.
fn words(text: &str) -> Vec<String> {
    let is_part = |c: char| !c.is_alphanumeric() && c != '.';
    text.split(is_part).filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

fn shared(words: &[String], title: &str) -> usize {
    let title = self::words(title);
    words.iter().filter(|word| title.contains(word)).count()
}

/// Newer is greater: by the numbers in the title, then by the UUID, which UpCloud counts up.
fn age(template: &Template) -> (Vec<u64>, String) {
    let numbers = template.title.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok());
    (numbers.collect(), template.uuid.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn templates() -> Vec<Template> {
        let one = |uuid: &str, title: &str, access: &str| {
            let one = json!({"uuid": uuid, "title": title, "access": access, "type": "template"});
            serde_json::from_value(one).unwrap()
        };
        vec![
            one("01-1", "Debian GNU/Linux 12 (Bookworm)", "public"),
            one("01-2", "Debian GNU/Linux 12 (Bookworm)", "public"),
            one("01-9", "Debian GNU/Linux 9 (Stretch)", "public"),
            one("02-1", "Ubuntu Server 22.04 LTS (Jammy Jellyfish)", "public"),
            one("02-2", "Ubuntu Server 24.04 LTS (Noble Numbat)", "public"),
            one("09-1", "Debian 12 of our own", "private"),
        ]
    }

    #[test]
    fn words_mean_the_newest_public_template_that_has_them() {
        let templates = templates();
        for (wanted, uuid) in [
            ("Debian 12", "01-2"),
            ("debian", "01-2"),
            ("Debian GNU/Linux 9 (Stretch)", "01-9"),
            ("Ubuntu Server", "02-2"),
            ("ubuntu 22.04", "02-1"),
        ] {
            assert_eq!(choose(&templates, wanted).unwrap().uuid, uuid, "{wanted}");
        }
        let error = choose(&templates, "Ubuntu 23.10").unwrap_err();
        let CallError::Refused { what, hint: Some(hint) } = error else { panic!("{error:?}") };
        assert_eq!(what, "UpCloud has no public template \"Ubuntu 23.10\"");
        assert!(hint.starts_with("there are: Ubuntu Server 22.04"), "{hint}");
        assert!(choose(&templates, "12 of our own").is_err() && choose(&templates, "()").is_err());
    }
}
