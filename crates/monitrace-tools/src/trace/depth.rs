//! How deep in calls an event happens, reckoned from the events that are traced.
//!
//! Nothing else is asked for: each thread has a stack of the code objects that its events told of,
//! and an event in code below the top says that what lies above was left. So the depth puts itself
//! right when events are missing, because they are not traced or tracing began in the middle. Only
//! recursion needs the events by which frames are entered and left.

use monitrace_core::{CodeId, Event, EventSet};
use std::collections::HashMap;

/// Frames of one thread, and threads, that are remembered at once.
const FRAMES: usize = 100_000;
const THREADS: usize = 4096;

pub(super) struct Depths {
    stacks: HashMap<u64, Vec<CodeId>>,
    /// Whether every frame that is entered will be seen to be left.
    sees_leaving: bool,
}

impl Depths {
    pub(super) fn new(events: EventSet) -> Depths {
        const LEAVING: EventSet = EventSet::PY_RETURN.union(EventSet::PY_YIELD).union(EventSet::PY_UNWIND);
        Depths { stacks: HashMap::new(), sees_leaving: events.contains(LEAVING) }
    }

    /// Takes note of an event and answers its depth: 0 for the outermost code traced.
    pub(super) fn of(&mut self, thread: u64, code: CodeId, event: Event) -> usize {
        if self.stacks.len() >= THREADS && !self.stacks.contains_key(&thread) {
            self.stacks.clear();
        }
        let stack = self.stacks.entry(thread).or_default();
        let enters = matches!(event, Event::PyStart | Event::PyResume | Event::PyThrow);
        let leaves = matches!(event, Event::PyReturn | Event::PyYield | Event::PyUnwind);
        match stack.iter().rposition(|&known| known == code) {
            Some(frame) if !(enters && self.sees_leaving) => stack.truncate(frame + 1),
            _ if stack.len() < FRAMES => stack.push(code),
            _ => {}
        }
        let depth = stack.len() - 1;
        if leaves {
            stack.pop();
        }
        if stack.is_empty() {
            self.stacks.remove(&thread);
        }
        depth
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Event::{Line, PyReturn, PyStart, PyUnwind};

    fn depths(events: EventSet, happened: &[(usize, Event)]) -> Vec<usize> {
        let mut depths = Depths::new(events);
        happened.iter().map(|(code, event)| depths.of(1, CodeId(*code), *event)).collect()
    }

    #[test]
    fn frames_count_when_their_ends_are_seen() {
        let happened = [
            (1, PyStart),
            (1, Line),
            (2, PyStart),
            (2, PyStart),
            (2, PyReturn),
            (2, Line),
            (2, PyUnwind),
            (1, PyReturn),
            (1, PyStart),
        ];
        assert_eq!(depths(EventSet::all(), &happened), [0, 0, 1, 2, 2, 1, 1, 0, 0]);
    }

    #[test]
    fn code_that_goes_on_ends_what_lies_above_it() {
        let happened = [(1, Line), (2, Line), (3, Line), (1, Line), (3, Line)];
        assert_eq!(depths(EventSet::LINE, &happened), [0, 1, 2, 0, 1]);
    }

    #[test]
    fn starts_alone_do_not_pile_up() {
        let happened = [(1, PyStart), (2, PyStart), (2, PyStart), (2, PyStart)];
        assert_eq!(depths(EventSet::PY_START, &happened), [0, 1, 1, 1]);
    }
}
