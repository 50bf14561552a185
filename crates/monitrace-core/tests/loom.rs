//! A model of the engine that runs in every order of its threads' steps, weak memory included
//! (`nox -s model`): what is promised about an event and a change of the configuration that happen
//! at the same time. `tests/it` has the rules of one thread, and real threads.

#![cfg(loom)]
#![forbid(unsafe_code)]

use loom::sync::Mutex;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::thread;
use monitrace_core::{
    ByteOffset, Callback, Change, CodeId, CodeInfo, Event, EventSet, Firing, Host, Monitor, MonitorError,
    Payload, Reply, Restart, Scope, Slot, Tool, ToolId,
};
use std::fmt;
use std::sync::Arc;

const CODE: CodeId = CodeId(0);
const TOOL: ToolId = ToolId::PROFILER;
const OTHER: ToolId = ToolId::DEBUGGER;

struct ModelHost;

/// The model cannot look into `SharedSlot`, which is lock-free by another crate.
struct ModelSlot(Mutex<Option<Arc<dyn Callback<ModelHost>>>>);

impl Default for ModelSlot {
    fn default() -> Self {
        ModelSlot(Mutex::new(None))
    }
}

impl Slot<ModelHost> for ModelSlot {
    fn with<R>(&self, read: impl FnOnce(Option<&dyn Callback<ModelHost>>) -> R) -> R {
        let callback = self.0.lock().expect("no thread panics").clone();
        read(callback.as_deref())
    }

    fn replace(
        &self,
        callback: Option<Arc<dyn Callback<ModelHost>>>,
    ) -> Option<Arc<dyn Callback<ModelHost>>> {
        std::mem::replace(&mut *self.0.lock().expect("no thread panics"), callback)
    }
}

impl Host for ModelHost {
    type Code = CodeId;
    type Value = ();
    type Error = MonitorError;
    type Quiet = ();
    type Slot = ModelSlot;

    fn quiet(&self) -> Option<()> {
        Some(())
    }

    fn refresh(&self, _: &Monitor<Self>, _: Change) {}

    fn code_id(&self, code: &CodeId) -> CodeId {
        *code
    }

    fn describe(&self, _: &CodeId) -> CodeInfo {
        CodeInfo::default()
    }

    fn summarize(&self, (): &(), _: &mut dyn fmt::Write) -> fmt::Result {
        Ok(())
    }

    fn thread(&self) -> u64 {
        0
    }
}

/// A program whose only code object has one place, and the engine.
struct World {
    monitor: Monitor<ModelHost>,
    scope: Scope,
    /// How often each tool was told.
    told: [AtomicUsize; ToolId::COUNT],
    /// What a thread has done, for others to see.
    done: AtomicBool,
    /// Whether a callback saw `done`.
    seen: AtomicBool,
}

impl World {
    fn new() -> Arc<World> {
        Arc::new(World {
            monitor: Monitor::new(ModelHost),
            scope: Scope::new(CODE, [Event::Line]),
            told: std::array::from_fn(|_| AtomicUsize::new(0)),
            done: AtomicBool::new(false),
            seen: AtomicBool::new(false),
        })
    }

    /// A tool that listens to LINE and always gives this answer.
    fn attach(self: &Arc<World>, tool: ToolId, reply: Reply) {
        let world = Arc::downgrade(self);
        let callback = move |_: &Firing<'_, ModelHost>| {
            let world = world.upgrade().expect("the world outlives its events");
            world.told[tool.index()].fetch_add(1, Ordering::Relaxed);
            if world.done.load(Ordering::Acquire) {
                world.seen.store(true, Ordering::Relaxed);
            }
            Ok(reply)
        };
        self.monitor
            .attach(tool, Tool::new("model").on(Event::Line, Arc::new(callback)))
            .expect("it is free");
    }

    fn reach(&self) {
        self.monitor.enter(&self.scope);
        if !self.scope.state(0).active().is_empty() {
            let firing =
                Firing { event: Event::Line, offset: ByteOffset(0), code: &CODE, payload: Payload::Line(1) };
            self.monitor.fire(&self.scope, 0, &firing).expect("no callback raises");
        }
    }

    fn set(&self, tool: ToolId, events: EventSet) {
        self.monitor.set_events(tool, events).expect("the tool is in use");
    }

    fn told(&self, tool: ToolId) -> usize {
        self.told[tool.index()].load(Ordering::Relaxed)
    }

    /// What the program does once all threads are through: whether `tool` is told.
    fn tells(&self, tool: ToolId) -> bool {
        let before = self.told(tool);
        self.reach();
        self.told(tool) > before
    }
}

fn spawn(world: &Arc<World>, run: impl FnOnce(&World) + 'static) -> thread::JoinHandle<()> {
    let world = Arc::clone(world);
    thread::spawn(move || run(&world))
}

fn join(threads: impl IntoIterator<Item = thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().expect("no thread panics");
    }
}

/// Every order with up to three preemptions, as loom advises: without a bound there are too many.
fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.max_branches = 10_000;
    model.check(run);
}

#[test]
fn event_that_was_set_before_and_after_is_told_of() {
    model(|| {
        let world = World::new();
        world.attach(TOOL, Reply::Continue);
        world.monitor.use_tool_id(OTHER, "other").expect("it is free");
        world.monitor.set_events(OTHER, EventSet::PY_START).expect("it is in use");
        join([
            spawn(&world, World::reach),
            spawn(&world, World::reach),
            spawn(&world, |world| {
                world.set(TOOL, EventSet::LINE | EventSet::PY_START);
                world.monitor.restart(Restart { tool: Some(OTHER), ..Restart::default() });
            }),
        ]);
        assert_eq!(world.told(TOOL), 2);
    });
}

#[test]
fn tool_is_not_told_once_it_is_off_and_the_scope_entered() {
    model(|| {
        let world = World::new();
        world.attach(TOOL, Reply::Continue);
        world.reach();
        join([
            spawn(&world, |world| {
                world.set(TOOL, EventSet::empty());
                world.done.store(true, Ordering::Release);
            }),
            spawn(&world, |world| {
                let off = world.done.load(Ordering::Acquire);
                let told = world.tells(TOOL);
                assert!(!(off && told), "told after it was switched off");
            }),
        ]);
        assert!(!world.tells(TOOL));
    });
}

/// A restart that a callback saw came before its answer, which must not be lost then; one that came
/// after the event must bring it back. In between, either came first.
#[test]
fn disable_and_restart_come_one_after_the_other() {
    model(|| {
        let world = World::new();
        world.attach(TOOL, Reply::Disable);
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let restarted_after = Arc::new(AtomicBool::new(false));
        let is_after = Arc::clone(&restarted_after);
        join([
            spawn(&world, move |world| {
                world.reach();
                is_over.store(true, Ordering::Release);
            }),
            spawn(&world, move |world| {
                is_after.store(over.load(Ordering::Acquire), Ordering::Relaxed);
                world.monitor.restart_events();
                world.done.store(true, Ordering::Release);
            }),
        ]);
        assert_eq!(world.told(TOOL), 1);
        let seen = world.seen.load(Ordering::Relaxed);
        let told = world.tells(TOOL);
        assert!(!(seen && told), "a late restart undid a Disable");
        assert!(told || !restarted_after.load(Ordering::Relaxed), "a Disable undid a restart");
    });
}

/// The scope is brought up to date by one thread while others mark what they disable.
#[test]
fn disable_is_not_lost_when_no_restart_comes() {
    model(|| {
        let world = World::new();
        world.attach(TOOL, Reply::Disable);
        world.attach(OTHER, Reply::Disable);
        join([
            spawn(&world, World::reach),
            spawn(&world, |world| {
                world.set(TOOL, EventSet::LINE | EventSet::PY_START);
                world.reach();
            }),
        ]);
        assert!(world.told(TOOL) >= 1 && world.told(OTHER) >= 1);
        assert!(!world.tells(TOOL) && !world.tells(OTHER));
        assert!(world.scope.state(0).active().is_empty());
    });
}

/// What one tool enables again is not another's.
#[test]
fn restart_of_one_tool_keeps_what_another_disables() {
    model(|| {
        let world = World::new();
        world.attach(TOOL, Reply::Disable);
        world.attach(OTHER, Reply::Disable);
        world.reach();
        join([
            spawn(&world, |world| {
                world.monitor.restart(Restart { tool: Some(TOOL), code: Some(CODE), event: None });
            }),
            spawn(&world, World::reach),
        ]);
        world.reach();
        assert_eq!(world.told(TOOL), 2, "once before the restart and once after");
        assert_eq!(world.told(OTHER), 1);
    });
}
