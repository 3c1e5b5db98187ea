//! Arguments that take one of a few words.

use clap::builder::{PossibleValuesParser, TypedValueParser};

/// Takes one of the words for `all`, in whatever case; completion and the remark on a misspelt one come from the list.
pub(super) fn one_of<T: Copy + Send + Sync + 'static>(
    all: &'static [T],
    word: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(all.iter().map(move |one| word(*one))).map(move |given: String| {
        let meant = all.iter().find(|one| word(**one).eq_ignore_ascii_case(&given));
        *meant.expect("clap lets only these words through")
    })
}
