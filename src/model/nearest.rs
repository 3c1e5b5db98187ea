//! What somebody may have meant by a word that is unknown.

/// The known word nearest to `given`, when one is near.
#[must_use]
pub fn nearest<'k>(given: &str, known: &[&'k str]) -> Option<&'k str> {
    let scored = known.iter().map(|word| (strsim::jaro_winkler(given, word), *word));
    scored.filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, word)| word)
}

/// A sentence about an unknown word, with the nearest known one.
#[must_use]
pub fn unknown(what: &str, given: &str, known: &[&str]) -> String {
    match nearest(given, known) {
        Some(near) => format!("unknown {what} `{given}`; did you mean `{near}`?"),
        None => format!("unknown {what} `{given}`; known: {}", known.join(", ")),
    }
}
