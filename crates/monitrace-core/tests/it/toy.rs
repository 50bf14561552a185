//! A virtual machine that does nothing but reach places.

use crate::program::{Answer, CODES, Outcome, PLACES, Script, Step, Told, ToyError};
use monitrace_core::{
    ByteOffset, Callback, Change, CodeId, CodeInfo, Event, Firing, Host, Monitor, Payload, Reply, Scope,
    SharedSlot, ToolId,
};
use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, Mutex, Weak};

thread_local!(static MUTE: Cell<bool> = const { Cell::new(false) });

/// The host of a program that is nothing but its places.
#[derive(Default)]
pub(crate) struct ToyHost {
    /// What it was told to refresh.
    pub(crate) changes: Mutex<Vec<Change>>,
}

/// Speaks again when it is dropped.
pub(crate) struct Quiet;

impl Drop for Quiet {
    fn drop(&mut self) {
        MUTE.set(false);
    }
}

impl Host for ToyHost {
    type Code = CodeId;
    type Value = u32;
    type Error = ToyError;
    type Quiet = Quiet;
    type Slot = SharedSlot<Self>;

    fn quiet(&self) -> Option<Quiet> {
        (!MUTE.replace(true)).then_some(Quiet)
    }

    fn refresh(&self, monitor: &Monitor<Self>, change: Change) {
        self.changes.lock().expect("nothing panics").push(change);
        // The promise that no lock is held: this would wait for ever.
        monitor.wanted();
    }

    fn code_id(&self, code: &CodeId) -> CodeId {
        *code
    }

    fn describe(&self, code: &CodeId) -> CodeInfo {
        CodeInfo { qualified_name: format!("code{}", code.0), file: "toy".into(), first_line: 1 }
    }

    fn summarize(&self, value: &u32, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{value}")
    }

    fn thread(&self) -> u64 {
        0
    }
}

/// The engine with a program: the same steps as its naive twin.
pub(crate) struct Toy {
    pub(crate) monitor: Monitor<ToyHost>,
    scopes: Mutex<[Arc<Scope>; CODES]>,
    told: Mutex<Vec<Told>>,
    /// Callbacks take steps too.
    this: Weak<Toy>,
}

struct Scripted {
    toy: Weak<Toy>,
    tool: ToolId,
    script: Script,
}

impl Callback<ToyHost> for Scripted {
    fn call(&self, firing: &Firing<'_, ToyHost>) -> Result<Reply, ToyError> {
        let toy = self.toy.upgrade().expect("the toy outlives its program");
        toy.told.lock().expect("no callback panics").push(Told {
            tool: self.tool,
            label: self.script.label,
            event: firing.event,
            code: *firing.code,
            place: firing.offset.0 as usize,
        });
        if let Some(step) = &self.script.step {
            toy.take(step);
        }
        match self.script.answer {
            Answer::Continue => Ok(Reply::Continue),
            Answer::Disable => Ok(Reply::Disable),
            Answer::Raise => Err(ToyError::Raised(self.script.label)),
        }
    }
}

/// The event of a place.
pub(crate) fn at(code: &CodeId, place: usize) -> Firing<'_, ToyHost> {
    Firing { event: PLACES[place], offset: ByteOffset(place as u32), code, payload: Payload::None }
}

fn fresh_scope(code: CodeId) -> Arc<Scope> {
    Arc::new(Scope::new(code, PLACES))
}

impl Toy {
    pub(crate) fn new() -> Arc<Toy> {
        Arc::new_cyclic(|this| Toy {
            monitor: Monitor::new(ToyHost::default()),
            scopes: Mutex::new(std::array::from_fn(|code| fresh_scope(CodeId(code)))),
            told: Mutex::default(),
            this: Weak::clone(this),
        })
    }

    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().expect("no callback panics").clone()
    }

    pub(crate) fn take(&self, step: &Step) -> Outcome {
        let monitor = &self.monitor;
        Outcome::Done(match step {
            Step::UseToolId(tool) => monitor.use_tool_id(*tool, "toy"),
            Step::ClearToolId(tool) => {
                monitor.clear_tool_id(*tool);
                Ok(())
            }
            Step::FreeToolId(tool) => {
                monitor.free_tool_id(*tool);
                Ok(())
            }
            Step::SetEvents(tool, events) => monitor.set_events(*tool, *events),
            Step::SetLocalEvents(tool, code, events) => monitor.set_local_events(*tool, *code, *events),
            Step::RestartEvents => {
                monitor.restart_events();
                Ok(())
            }
            Step::Restart(what) => {
                monitor.restart(*what);
                Ok(())
            }
            Step::Replace(code) => {
                monitor.forget(*code);
                self.scopes.lock().expect("nothing panics")[code.0] = fresh_scope(*code);
                Ok(())
            }
            Step::Register(tool, event, script) => {
                return Outcome::Before(self.register(*tool, *event, script.clone()));
            }
            Step::Reach(code, place) => return Outcome::Reached(self.reach(*code, *place)),
        })
    }

    fn register(&self, tool: ToolId, event: Event, script: Option<Script>) -> Option<u8> {
        let callback = script.map(|script| -> Arc<dyn Callback<ToyHost>> {
            Arc::new(Scripted { toy: Weak::clone(&self.this), tool, script })
        });
        let before: Arc<dyn Any> = self.monitor.register_callback(tool, event, callback)?;
        Some(before.downcast_ref::<Scripted>().expect("all callbacks are scripted").script.label)
    }

    pub(crate) fn reach(&self, code: CodeId, place: usize) -> Result<Reply, ToyError> {
        let scope = Arc::clone(&self.scopes.lock().expect("nothing panics")[code.0]);
        self.monitor.enter(&scope);
        let firing = at(&code, place);
        self.monitor.fire(&scope, place, &firing)
    }

    /// Whether any tool would be told.
    pub(crate) fn is_told(&self, code: CodeId, place: usize) -> bool {
        let scope = Arc::clone(&self.scopes.lock().expect("nothing panics")[code.0]);
        self.monitor.enter(&scope);
        !scope.state(place).active().is_empty()
    }
}
