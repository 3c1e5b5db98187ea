//! How much each component says, as it is now.
//!
//! A level is kept for a target: a module of the program, or a library. The longest target that a line's own begins with
//! counts, and the default where there is none.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{PoisonError, RwLock};

use tracing::Metadata;
use tracing::level_filters::LevelFilter;

use crate::api::logs::{COMPONENTS, LogLevel, LogLevels, LogLevelsChange};
use crate::model::nearest::unknown;

/// What the targets of this program begin with.
const OWN: &str = "prov";

/// The levels in force.
#[derive(Debug)]
pub struct Levels(RwLock<Chosen>);

/// Levels by target.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Chosen {
    default: LogLevel,
    by_target: BTreeMap<String, LogLevel>,
}

impl Default for Levels {
    fn default() -> Self {
        Self(RwLock::new(Chosen { default: LogLevel::Info, by_target: BTreeMap::new() }))
    }
}

/// `info`, `warn,scheduler=debug`, `prov::store::writer=trace,off`.
impl FromStr for Levels {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut chosen = Chosen { default: LogLevel::Info, by_target: BTreeMap::new() };
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                None => chosen.default = part.parse()?,
                Some((target, level)) => drop(chosen.by_target.insert(own(target.trim())?, level.trim().parse()?)),
            }
        }
        Ok(Self(RwLock::new(chosen)))
    }
}

/// The target that a word names: a component, or a path of modules.
fn own(word: &str) -> Result<String, String> {
    let is_target = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    match word {
        _ if COMPONENTS.contains(&word) => Ok(format!("{OWN}::{word}")),
        _ if word.contains("::") && word.chars().all(is_target) => Ok(word.to_owned()),
        _ => Err(unknown("component", word, COMPONENTS)),
    }
}

impl Levels {
    /// As people see them.
    #[must_use]
    pub fn view(&self) -> LogLevels {
        let chosen = self.chosen();
        let level = |name: &&str| ((*name).to_owned(), chosen.of(&format!("{OWN}::{name}")));
        LogLevels { default: chosen.default, components: COMPONENTS.iter().map(level).collect() }
    }

    /// Changes some, at once.
    pub fn change(&self, change: &LogLevelsChange) {
        {
            let mut chosen = self.0.write().unwrap_or_else(PoisonError::into_inner);
            chosen.default = change.default.unwrap_or(chosen.default);
            for (component, level) in &change.components {
                let target = format!("{OWN}::{}", component.0);
                let is_within = |other: &str| within(other, &target);
                // What was said of a part of it doesn't outlast what is said of the whole.
                chosen.by_target.retain(|other, _| !is_within(other));
                chosen.by_target.extend(level.map(|level| (target, level)));
            }
        }
        tracing::callsite::rebuild_interest_cache();
    }

    /// Whether a line, or any with these marks, is to be written.
    pub(super) fn let_through(&self, metadata: &Metadata<'_>) -> bool {
        filter(self.chosen().of(metadata.target())) >= *metadata.level()
    }

    /// The most that any component says.
    pub(super) fn most(&self) -> LevelFilter {
        let chosen = self.chosen();
        filter(chosen.by_target.values().copied().fold(chosen.default, LogLevel::max))
    }

    fn chosen(&self) -> std::sync::RwLockReadGuard<'_, Chosen> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Chosen {
    fn of(&self, target: &str) -> LogLevel {
        let found = self.by_target.iter().filter(|(prefix, _)| within(target, prefix));
        found.max_by_key(|(prefix, _)| prefix.len()).map_or(self.default, |(_, level)| *level)
    }
}

/// Whether a target is this one, or one of the modules in it.
fn within(target: &str, whole: &str) -> bool {
    target.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::logs::Component;

    fn of(levels: &Levels, target: &str) -> LogLevel {
        levels.chosen().of(target)
    }

    #[test]
    fn the_nearest_level_counts() {
        let levels: Levels = "warn, scheduler=debug,prov::scheduler::driver=trace,prov::store=off".parse().unwrap();
        assert_eq!(of(&levels, "prov::app"), LogLevel::Warn);
        assert_eq!(of(&levels, "prov::scheduler::recover"), LogLevel::Debug);
        assert_eq!(of(&levels, "prov::scheduler::driver"), LogLevel::Trace);
        assert_eq!(of(&levels, "prov::schedulers"), LogLevel::Warn, "a name that only begins alike");
        assert_eq!(levels.view().components["store"], LogLevel::Off);
        assert_eq!(levels.most(), LevelFilter::TRACE);
    }

    #[test]
    fn a_change_counts_at_once_and_can_be_taken_back() {
        let levels: Levels = "prov::store::writer=trace".parse().unwrap();
        let change =
            |level| levels.change(&LogLevelsChange { default: None, components: [(Component("store"), level)].into() });
        change(Some(LogLevel::Error));
        assert_eq!(of(&levels, "prov::store::writer"), LogLevel::Error);
        change(None);
        assert_eq!(of(&levels, "prov::store::writer"), LogLevel::Info);
        levels.change(&LogLevelsChange { default: Some(LogLevel::Off), ..LogLevelsChange::default() });
        assert_eq!((of(&levels, "elsewhere"), levels.most()), (LogLevel::Off, LevelFilter::OFF));
    }

    #[test]
    fn what_is_no_level_or_component_is_told() {
        assert!("inof".parse::<Levels>().unwrap_err().contains("did you mean `info`"));
        assert!("schedulr=debug".parse::<Levels>().unwrap_err().contains("did you mean `scheduler`"));
        assert!("scheduler=loud".parse::<Levels>().unwrap_err().contains("unknown level `loud`"));
    }
}
