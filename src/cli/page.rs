//! The options of every list: which part of it is wanted.

use crate::api::list::Page;

/// Which part of a list.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct PageArgs {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Pass over so many of the first
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(super) offset: usize,
}

impl PageArgs {
    /// Items at most.
    pub(super) fn limit(self) -> usize {
        usize::from(self.limit)
    }

    /// What the API is asked for.
    pub(super) fn page(self) -> Page {
        Page { limit: self.limit(), offset: self.offset, after: None }
    }
}
