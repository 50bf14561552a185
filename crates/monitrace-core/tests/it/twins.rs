//! The engine and its naive twin do the same.

use crate::naive::Naive;
use crate::program::{CODES, Outcome, PLACES, step};
use crate::toy::Toy;
use monitrace_core::{CodeId, Reply, ToolId};
use proptest::prelude::*;

proptest! {
    // A case that failed becomes a named test in rules.rs: a seed means nothing once steps change.
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn engine_does_as_its_naive_twin(steps in proptest::collection::vec(step(), 1..60)) {
        let (engine, mut naive) = (Toy::new(), Naive::default());
        for step in &steps {
            let (outcome, expected) = (engine.take(step), naive.take(step));
            // A callback may take away its own reason: the engine may notice one event later.
            let late = naive.callback_acted
                && (&outcome, &expected)
                    == (&Outcome::Reached(Ok(Reply::Continue)), &Outcome::Reached(Ok(Reply::Disable)));
            prop_assert!(late || outcome == expected, "{:?}: {:?}, not {:?}", step, outcome, expected);
            prop_assert_eq!(engine.told(), naive.told.clone());
            for code in (0..CODES).map(CodeId) {
                prop_assert_eq!(engine.monitor.wanted_in(code), naive.wanted_in(code));
                for tool in ToolId::all() {
                    prop_assert_eq!(engine.monitor.events(tool), naive.events(tool));
                    prop_assert_eq!(engine.monitor.local_events(tool, code), naive.local_events(tool, code));
                }
            }
        }
        for code in (0..CODES).map(CodeId) {
            for place in 0..PLACES.len() {
                prop_assert_eq!(engine.is_told(code, place), naive.is_told(code, place));
            }
        }
    }
}
