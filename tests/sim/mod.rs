//! The engine, driven through random graphs with random failures, cancels, crashes and restarts, in no time at all.
//!
//! Nothing here runs a process or touches a disk: the [`World`] keeps what was committed, forgets the engine at a crash,
//! and restores it from the committed events as the daemon does. Every step is followed by the invariants of the design.

mod world;

use proptest::prelude::*;

use world::{Plan, World};

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens, the batch ends, in an end state that is true, and no invariant is broken on the way.
    #[test]
    fn every_batch_ends_and_every_invariant_holds(plan in Plan::any()) {
        let mut world = World::new(&plan);
        world.run(&plan).map_err(TestCaseError::fail)?;
    }

    /// Without failures and cancels, everything is Completed exactly once, crashes or not.
    #[test]
    fn without_failures_everything_is_done_once(plan in Plan::without_failures()) {
        let mut world = World::new(&plan);
        world.run(&plan).map_err(TestCaseError::fail)?;
        prop_assert!(world.all_completed_once(), "{world:?}");
    }
}
