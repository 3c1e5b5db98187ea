//! What of a list its caller may see, with the right totals and pages.
//!
//! Who may ask for a list at all is a question about the whole ([`Resource::System`]); each row in it
//! is a question of its own. Asking it of every row would make a page cost as much as the table, so:
//!
//! * As long as no enabled policy can tell one row of an infra from another, the answer depends on the infra alone, and is
//!   asked once for each that has rows. Whoever may see all of them gets the store's plain page. Whoever may see some gets
//!   the page of those, whose total the store counts for each infra.
//! * Otherwise, as when a policy looks at `submitted_by`, every row is read and judged. That is right and costs the table;
//!   whoever writes such a policy pays for it.

use std::collections::HashMap;

use uuid::Uuid;

use super::App;
use super::about::Row;
use super::authorise::Asker;
use super::context::Context;
use super::error::Error;
use super::infras::UNKNOWN;
use crate::api::actions::Action;
use crate::api::list::{Listed, Page};
use crate::model::name::Name;
use crate::policy::{Infra, Resource};
use crate::store::StoreError;

/// What a caller may see.
pub(super) enum Visible {
    /// Every infra that there is, namely these.
    All(Vec<Name>),
    /// These infras.
    Within(Vec<Name>),
    /// What the judge lets pass.
    Rows(Box<Judge>),
}

/// Asks the policies about each row.
pub(super) struct Judge {
    asker: Asker,
    action: Action,
    environments: HashMap<Name, String>,
}

impl App {
    /// What the caller may see of the rows of these infras; `any` is a row that stands for all of an infra.
    ///
    /// # Errors
    /// When nothing can be learnt of an infra.
    pub(super) async fn visible(
        &self,
        context: &Context,
        action: Action,
        infras: Vec<Name>,
        any: for<'a> fn(Infra<'a>) -> Resource<'a>,
    ) -> Result<Visible, Error> {
        let environments = self.infras.environments(infras).await?;
        let judge = Judge { asker: self.asker(context), action, environments };
        if judge.asker.looks_at_rows() {
            return Ok(Visible::Rows(Box::new(judge)));
        }
        let may =
            |name: &Name, environment: &str| judge.asker.may(action, any(Infra { name: name.as_str(), environment }));
        let (mut seen, mut hidden) = (Vec::new(), Vec::new());
        for (infra, environment) in &judge.environments {
            if may(infra, environment) { &mut seen } else { &mut hidden }.push(infra.clone());
        }
        Ok(if hidden.is_empty() { Visible::All(seen) } else { Visible::Within(seen) })
    }
}

impl Judge {
    fn may(&self, row: &impl Row, id: Uuid) -> bool {
        let environment = row.infra().and_then(|infra| self.environments.get(infra)).map_or(UNKNOWN, String::as_str);
        self.asker.may(self.action, row.resource(&id.to_string(), environment))
    }
}

impl Visible {
    /// A page of what may be seen: `plain` reads one of everything, `within` one of some infras.
    ///
    /// # Errors
    /// What the reads return.
    pub(super) fn page<T: Row>(
        &self,
        page: Page,
        plain: impl Fn(Page) -> Result<Listed<T>, StoreError>,
        within: impl Fn(&[Name]) -> Result<Listed<T>, StoreError>,
        id: impl Fn(&T) -> Uuid,
    ) -> Result<Listed<T>, StoreError> {
        match self {
            Self::All(infras) => {
                let listed = plain(page)?;
                // What came of another infra meanwhile was not asked about.
                let known = |row: &T| row.infra().is_some_and(|infra| infras.contains(infra));
                if listed.items.iter().all(known) { Ok(listed) } else { within(infras) }
            }
            Self::Within(infras) => within(infras),
            Self::Rows(judge) => walk(page, plain, |row| judge.may(row, id(row)), &id),
        }
    }
}

/// A page of the rows that pass, and how many of all do.
fn walk<T>(
    page: Page,
    read: impl Fn(Page) -> Result<Listed<T>, StoreError>,
    may: impl Fn(&T) -> bool,
    id: impl Fn(&T) -> Uuid,
) -> Result<Listed<T>, StoreError> {
    let (mut items, mut total, mut passed, mut more) = (Vec::new(), 0, 0, false);
    let mut part = Page { limit: Page::MAX_LIMIT, offset: 0, after: None };
    loop {
        let listed = read(part)?;
        for row in listed.items.into_iter().filter(&may) {
            total += 1;
            if page.after.is_some_and(|after| id(&row) >= after) {
                continue;
            }
            if passed < page.offset {
                passed += 1;
            } else if items.len() < page.limit {
                items.push(row);
            } else {
                more = true;
            }
        }
        part.after = listed.next_after;
        if part.after.is_none() {
            let next_after = if more { items.last().map(&id) } else { None };
            return Ok(Listed { items, total, next_after });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rows are numbers, the newest the largest.
    fn read(rows: &[u128], page: Page) -> Listed<u128> {
        let after = page.after.map_or(u128::MAX, |after| after.as_u128());
        let rest: Vec<u128> = rows.iter().rev().copied().filter(|row| *row < after).skip(page.offset).collect();
        let items: Vec<u128> = rest.iter().take(page.limit).copied().collect();
        let next_after = if rest.len() > items.len() { items.last().copied().map(Uuid::from_u128) } else { None };
        Listed { items, total: rows.len() as u64, next_after }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]
        #[test]
        fn a_judged_list_is_the_list_of_what_passes(
            count in 0u128..2500, step in 1u128..7, limit in 1usize..40, offset in 0usize..40,
            after in prop::option::of(0u128..2500),
        ) {
            let rows: Vec<u128> = (0..count).collect();
            let passing: Vec<u128> = rows.iter().copied().filter(|row| row % step == 0).collect();
            let page = Page { limit, offset, after: after.map(Uuid::from_u128) };
            let walked = walk(page, |part| Ok(read(&rows, part)), |row| row % step == 0, |row| Uuid::from_u128(*row));
            prop_assert_eq!(walked.unwrap(), read(&passing, page));
        }
    }
}
