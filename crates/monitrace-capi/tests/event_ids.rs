//! The ids that producers in Rust are built with, against those that the package goes by.

use monitrace_core::Event;
use monitrace_cpython::event_ids;

#[test]
fn producers_and_the_package_mean_the_same_events() {
    let producers: Vec<_> = monitrace::event::ALL.to_vec();
    let package: Vec<_> = Event::ALL
        .iter()
        // No function fires it, in any version.
        .filter(|&&event| event != Event::Instruction)
        .map(|&event| (event.name(), event_ids::id(event)))
        .collect();
    assert_eq!(producers, package);
}
