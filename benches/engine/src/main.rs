//! `monitrace-bench-engine CASE N` runs one loop N times and prints its nanoseconds. `loops.py` runs it,
//! also under callgrind. It must only do what any host could do with the engine's public interface.
//!
//! The loops are functions of their own, by whose names (`measured_*`) callgrind is told where to
//! count. All states of an event go through the same one.

#![forbid(unsafe_code)]

use monitrace_core::{
    ByteOffset, Change, CodeId, CodeInfo, Event, EventSet, Firing, Host, LocalSlot, Monitor, MonitorError,
    Payload, Reply, Scope, SharedSlot, Slot, Tool, ToolId,
};
use std::cell::Cell;
use std::fmt;
use std::hint::black_box;
use std::marker::PhantomData;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

thread_local!(static MUTE: Cell<bool> = const { Cell::new(false) });

struct Quiet;

impl Drop for Quiet {
    fn drop(&mut self) {
        MUTE.set(false);
    }
}

/// Where a host keeps callbacks.
trait Kind: Send + Sync + Sized + 'static {
    type Slot<H: Host>: Slot<H>;
}

/// Its code runs in one thread.
struct Local;

impl Kind for Local {
    type Slot<H: Host> = LocalSlot<H>;
}

/// Its code runs in any.
struct Shared;

impl Kind for Shared {
    type Slot<H: Host> = SharedSlot<H>;
}

/// As little as a host can be.
struct Bare<K>(PhantomData<K>);

impl<K: Kind> Host for Bare<K> {
    type Code = CodeId;
    type Value = u64;
    type Error = MonitorError;
    type Quiet = Quiet;
    type Slot = K::Slot<Self>;

    fn quiet(&self) -> Option<Quiet> {
        (!MUTE.replace(true)).then_some(Quiet)
    }

    fn refresh(&self, _: &Monitor<Self>, _: Change) {}

    fn code_id(&self, code: &CodeId) -> CodeId {
        *code
    }

    fn describe(&self, _: &CodeId) -> CodeInfo {
        CodeInfo::default()
    }

    fn summarize(&self, value: &u64, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{value}")
    }

    fn thread(&self) -> u64 {
        0
    }
}

const CODE: CodeId = CodeId(0);
const TOOL: ToolId = ToolId::PROFILER;

static TOLD: AtomicU64 = AtomicU64::new(0);

/// Counts, and gives this answer.
fn tool<K: Kind>(reply: Reply) -> Tool<Bare<K>> {
    let count = move |_: &Firing<'_, Bare<K>>| {
        // There is one thread: an atomic addition would cost more than the event.
        TOLD.store(TOLD.load(Relaxed) + 1, Relaxed);
        Ok(reply)
    };
    Tool::new("count").on(Event::Line, Arc::new(count))
}

#[inline(never)]
fn measured_empty(n: u64) {
    for i in 0..n {
        black_box(i);
    }
}

fn fire<K: Kind>(monitor: &Monitor<Bare<K>>, scope: &Scope, i: u64) {
    let payload = Payload::Line(i as u32);
    let firing = Firing { event: Event::Line, offset: ByteOffset(0), code: &CODE, payload };
    monitor.fire(scope, 0, &firing).expect("the callback never raises");
}

/// An event in a loop of a virtual machine that entered the scope before.
#[inline(never)]
fn measured_events<K: Kind>(monitor: &Monitor<Bare<K>>, scope: &Scope, n: u64) {
    let state = scope.state(0);
    for i in 0..n {
        black_box(i);
        if !state.active().is_empty() {
            fire(monitor, scope, i);
        }
    }
}

/// The same where each event enters the scope.
#[inline(never)]
fn measured_entered<K: Kind>(monitor: &Monitor<Bare<K>>, scope: &Scope, n: u64) {
    let state = scope.state(0);
    for i in 0..n {
        black_box(i);
        monitor.enter(scope);
        if !state.active().is_empty() {
            fire(monitor, scope, i);
        }
    }
}

fn timed(run: impl FnOnce()) -> u128 {
    let start = Instant::now();
    run();
    start.elapsed().as_nanos()
}

/// The nanoseconds of `n` rounds, and how many events a callback must have been told of.
fn measure<K: Kind>(case: &str, n: u64) -> Option<(u128, u64)> {
    let monitor = Monitor::new(Bare::<K>(PhantomData));
    let scope = Scope::new(CODE, [Event::Line]);
    let attach = |reply| monitor.attach(TOOL, tool(reply)).expect("the id is free");
    match case {
        "empty" => return Some((timed(|| measured_empty(n)), 0)),
        "inactive" | "entered" => {
            attach(Reply::Continue);
            monitor.set_events(TOOL, EventSet::PY_START).expect("the tool is in use");
        }
        "callback" | "local" => attach(Reply::Continue),
        "disabled" => attach(Reply::Disable),
        _ => return None,
    }
    monitor.enter(&scope);
    // The first visit, which is the last one of what is disabled, is not measured.
    measured_events(&monitor, &scope, 1);
    let before = TOLD.load(Relaxed);
    let time = if case == "entered" {
        timed(|| measured_entered(&monitor, &scope, n))
    } else {
        timed(|| measured_events(&monitor, &scope, n))
    };
    let expected = if matches!(case, "callback" | "local") { before + n } else { before };
    Some((time, expected))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let measured = match arguments.as_slice() {
        [case, n] => n.parse().ok().and_then(|n| match case.as_str() {
            "local" => measure::<Local>(case, n),
            case => measure::<Shared>(case, n),
        }),
        _ => None,
    };
    let Some((time, expected)) = measured else {
        eprintln!("usage: monitrace-bench-engine empty|inactive|disabled|entered|callback|local N");
        return ExitCode::from(2);
    };
    // A time is believed only if events happened, or none did, as they should.
    if TOLD.load(Relaxed) != expected {
        eprintln!("{} events were told of, not {expected}", TOLD.load(Relaxed));
        return ExitCode::FAILURE;
    }
    println!("{time}");
    ExitCode::SUCCESS
}
