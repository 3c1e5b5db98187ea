//! Whether everything was done, and undone, in its order.

use super::super::ledger::Direction;
use super::{Evidence, Found, Promise};

/// Dependencies in the ledger's order.
pub(super) fn check(evidence: &Evidence, found: &mut Found) {
    let (plan, ledger) = (&evidence.plan, &evidence.ledger);
    for later in &plan.operations {
        for earlier in later.dependencies {
            let Some((begun, _)) = ledger.span(Direction::Do, later.id) else { continue };
            let is_over = ledger.span(Direction::Do, earlier).is_some_and(|(_, last)| last < begun);
            let has_ended = ledger.attempts(Direction::Do, earlier).values().any(|trace| !trace.ends.is_empty());
            if !is_over || !has_ended {
                found.add(Promise::Disordered, format!("{} began before {earlier} was done", later.id));
            }
        }
        for earlier in plan.operations.iter().filter(|earlier| plan.depends(later.id, earlier.id)) {
            let undone = (ledger.span(Direction::Undo, later.id), ledger.span(Direction::Undo, earlier.id));
            if let (Some((_, later_over)), Some((earlier_begun, _))) = undone
                && earlier_begun < later_over
            {
                let what = format!("{} was undone before {}, which depends on it", earlier.id, later.id);
                found.add(Promise::Disordered, what);
            }
        }
    }
    let spans = |direction| plan.operations.iter().filter_map(move |one| ledger.span(direction, one.id));
    let (last_done, first_undone) =
        (spans(Direction::Do).map(|(_, last)| last).max(), spans(Direction::Undo).map(|(first, _)| first).min());
    if let (Some(done), Some(undone)) = (last_done, first_undone)
        && undone < done
    {
        found.add(Promise::Disordered, "the rollback began before everything had come to rest".to_owned());
    }
}
