//! The configuration stays whole when threads change it at once, and while others fire.

use crate::toy::ToyHost;
use monitrace_core::{
    ByteOffset, Callback, CodeId, Event, EventSet, Firing, Monitor, Payload, Reply, Restart, Scope, ToolId,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;

const TOOL: ToolId = ToolId::PROFILER;
const CODE: CodeId = CodeId(0);

fn callback(told: &Arc<AtomicU64>) -> Arc<dyn Callback<ToyHost>> {
    let told = Arc::clone(told);
    Arc::new(move |_: &Firing<'_, ToyHost>| {
        told.fetch_add(1, SeqCst);
        Ok(Reply::Continue)
    })
}

fn reach(monitor: &Monitor<ToyHost>, scope: &Scope) {
    monitor.enter(scope);
    if scope.state(0).active().is_empty() {
        return;
    }
    let firing = Firing { event: Event::Line, offset: ByteOffset(0), code: &CODE, payload: Payload::Line(1) };
    monitor.fire(scope, 0, &firing).expect("the callback never raises");
}

/// Were the callback and the note that there is one changed one after the other, a callback could
/// be left that is never told.
#[test]
fn callback_that_is_registered_last_is_told() {
    let monitor = Monitor::new(ToyHost::default());
    monitor.use_tool_id(TOOL, "threads").expect("the id is free");
    monitor.set_events(TOOL, EventSet::LINE).expect("the tool is in use");
    let told = Arc::new(AtomicU64::new(0));
    for _ in 0..500 {
        thread::scope(|threads| {
            threads.spawn(|| monitor.register_callback(TOOL, Event::Line, Some(callback(&told))));
            threads.spawn(|| monitor.register_callback(TOOL, Event::Line, None));
        });
        let wanted = monitor.wanted().contains(EventSet::LINE);
        let left = monitor.register_callback(TOOL, Event::Line, None);
        assert_eq!(wanted, left.is_some());
    }
}

/// An id that was given back has no events, whoever set some meanwhile.
#[test]
fn freed_tool_has_no_events() {
    let monitor = Monitor::new(ToyHost::default());
    for _ in 0..500 {
        monitor.use_tool_id(TOOL, "threads").expect("the id is free");
        thread::scope(|threads| {
            threads.spawn(|| monitor.free_tool_id(TOOL));
            // Refused or taken back, as the threads happen to run.
            threads.spawn(|| monitor.set_events(TOOL, EventSet::LINE));
            threads.spawn(|| monitor.set_local_events(TOOL, CODE, EventSet::LINE));
        });
        assert_eq!(monitor.tool(TOOL), None);
        assert_eq!(monitor.events(TOOL), EventSet::empty());
        assert!(monitor.wanted_anywhere().is_empty());
    }
}

#[test]
fn event_that_is_off_is_not_told_of() {
    let monitor = Monitor::new(ToyHost::default());
    let scope = Scope::new(CODE, [Event::Line]);
    let told = Arc::new(AtomicU64::new(0));
    monitor.use_tool_id(TOOL, "threads").expect("the id is free");
    monitor.register_callback(TOOL, Event::Line, Some(callback(&told)));
    let over = AtomicBool::new(false);
    thread::scope(|threads| {
        threads.spawn(|| {
            while !over.load(SeqCst) {
                reach(&monitor, &scope);
            }
        });
        for _ in 0..200 {
            let before = told.load(SeqCst);
            monitor.set_events(TOOL, EventSet::LINE).expect("the tool is in use");
            while told.load(SeqCst) == before {
                thread::yield_now();
            }
            monitor.set_events(TOOL, EventSet::empty()).expect("the tool is in use");
        }
        over.store(true, SeqCst);
    });
    let before = told.load(SeqCst);
    reach(&monitor, &scope);
    assert_eq!(told.load(SeqCst), before);
}

/// What other tools and other events are set to, and what is enabled again, is nothing to a tool that
/// wants the event before and after: it is told of each, on every thread, once.
#[test]
fn no_event_is_lost_while_others_are_reconfigured() {
    const OTHER: ToolId = ToolId::OPTIMIZER;
    let monitor = Monitor::new(ToyHost::default());
    // Shared by the threads, as a code object is.
    let scope = Scope::new(CODE, [Event::Line]);
    let (told, other_told) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    monitor.use_tool_id(TOOL, "threads").expect("the id is free");
    monitor.register_callback(TOOL, Event::Line, Some(callback(&told)));
    monitor.set_events(TOOL, EventSet::LINE).expect("the tool is in use");
    let disabling: Arc<dyn Callback<ToyHost>> = {
        let told = Arc::clone(&other_told);
        Arc::new(move |_: &Firing<'_, ToyHost>| {
            told.fetch_add(1, SeqCst);
            Ok(Reply::Disable)
        })
    };
    let reached = AtomicU64::new(0);
    let over = AtomicBool::new(false);
    thread::scope(|threads| {
        for _ in 0..3 {
            threads.spawn(|| {
                while !over.load(SeqCst) {
                    reach(&monitor, &scope);
                    reached.fetch_add(1, SeqCst);
                }
            });
        }
        threads.spawn(|| {
            for round in 0.. {
                if over.load(SeqCst) {
                    break;
                }
                let besides = if round % 2 == 0 { EventSet::PY_RETURN } else { EventSet::empty() };
                monitor.set_events(TOOL, EventSet::LINE | besides).expect("the tool is in use");
                monitor.set_local_events(TOOL, CODE, EventSet::LINE | besides).expect("the tool is in use");
                monitor.restart(match round % 3 {
                    0 => Restart::default(),
                    1 => Restart { tool: Some(OTHER), ..Restart::default() },
                    _ => Restart { code: Some(CODE), event: Some(Event::Line), tool: None },
                });
            }
        });
        for round in 0..200 {
            let before = other_told.load(SeqCst);
            monitor.use_tool_id(OTHER, "other").expect("the id is free");
            monitor.register_callback(OTHER, Event::Line, Some(Arc::clone(&disabling)));
            monitor.set_events(OTHER, EventSet::LINE).expect("the tool is in use");
            // What it disabled comes back with the restarts of the other thread.
            while round % 2 == 0 && other_told.load(SeqCst) == before {
                thread::yield_now();
            }
            monitor.free_tool_id(OTHER);
        }
        over.store(true, SeqCst);
    });
    assert_eq!(told.load(SeqCst), reached.load(SeqCst));
    assert!(other_told.load(SeqCst) >= 100);
}
