//! What the twins are made to do, and what there is to see of it: the language that the engine and
//! its naive twin both understand.

use monitrace_core::{CodeId, Event, EventSet, MonitorError, Reply, Restart, ToolId};
use proptest::prelude::*;

/// How many code objects the toy program has.
pub(crate) const CODES: usize = 2;

/// The places of every code object. An event may occur at many, and not all kinds may be disabled.
pub(crate) const PLACES: [Event; 7] =
    [Event::PyStart, Event::Line, Event::Line, Event::Call, Event::CReturn, Event::Raise, Event::PyReturn];

/// One step. Within a callback it is done by the callback.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    UseToolId(ToolId),
    ClearToolId(ToolId),
    FreeToolId(ToolId),
    SetEvents(ToolId, EventSet),
    SetLocalEvents(ToolId, CodeId, EventSet),
    Register(ToolId, Event, Option<Script>),
    RestartEvents,
    Restart(Restart),
    /// The code object dies, and another one takes its key.
    Replace(CodeId),
    /// The program reaches a place.
    Reach(CodeId, usize),
}

/// What a callback does when it is told of an event.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    /// Tells callbacks apart.
    pub(crate) label: u8,
    pub(crate) step: Option<Box<Step>>,
    pub(crate) answer: Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Continue,
    Disable,
    Raise,
}

/// What comes out of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ToyError {
    /// What a callback with this label raised.
    Raised(u8),
    Engine(MonitorError),
}

impl From<MonitorError> for ToyError {
    fn from(error: MonitorError) -> ToyError {
        ToyError::Engine(error)
    }
}

/// What a step gives back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done(Result<(), MonitorError>),
    /// The label of the callback that was registered before.
    Before(Option<u8>),
    Reached(Result<Reply, ToyError>),
}

/// A callback was told of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) tool: ToolId,
    pub(crate) label: u8,
    pub(crate) event: Event,
    pub(crate) code: CodeId,
    pub(crate) place: usize,
}

pub(crate) fn tool() -> impl Strategy<Value = ToolId> {
    // Few, so that they meet; the highest, so that order shows.
    prop_oneof![Just(0), Just(2), Just(5)].prop_map(|id| ToolId::new(id).expect("it is a tool id"))
}

fn code() -> impl Strategy<Value = CodeId> {
    (0..CODES).prop_map(CodeId)
}

fn event() -> impl Strategy<Value = Event> {
    proptest::sample::select(PLACES.as_slice())
}

fn events() -> impl Strategy<Value = EventSet> {
    const CALLS: EventSet = EventSet::CALL.union(EventSet::C_RETURN).union(EventSet::C_RAISE);
    let some = proptest::collection::vec(event(), 0..3).prop_map(EventSet::from_iter);
    (some, proptest::bool::weighted(0.2)).prop_map(|(some, calls)| if calls { some | CALLS } else { some })
}

fn restart() -> impl Strategy<Value = Restart> {
    use proptest::option::of;
    (of(tool()), of(code()), of(event())).prop_map(|(tool, code, event)| Restart { tool, code, event })
}

fn script(step: impl Strategy<Value = Step>) -> impl Strategy<Value = Script> {
    let answer = prop_oneof![
        3 => Just(Answer::Continue),
        3 => Just(Answer::Disable),
        1 => Just(Answer::Raise),
    ];
    let step = proptest::option::weighted(0.3, step.prop_map(Box::new));
    (any::<u8>(), step, answer).prop_map(|(label, step, answer)| Script { label, step, answer })
}

/// What a program does, or a callback within it.
fn inner_step() -> impl Strategy<Value = Step> {
    let plain = prop_oneof![
        2 => tool().prop_map(Step::UseToolId),
        1 => tool().prop_map(Step::ClearToolId),
        1 => tool().prop_map(Step::FreeToolId),
        4 => (tool(), events()).prop_map(|(tool, events)| Step::SetEvents(tool, events)),
        4 => (tool(), code(), events())
            .prop_map(|(tool, code, events)| Step::SetLocalEvents(tool, code, events)),
        1 => Just(Step::RestartEvents),
        3 => restart().prop_map(Step::Restart),
        12 => (code(), 0..PLACES.len()).prop_map(|(code, place)| Step::Reach(code, place)),
    ];
    plain.prop_recursive(2, 4, 1, |inner| {
        let register = (tool(), event(), proptest::option::weighted(0.9, script(inner.clone())))
            .prop_map(|(tool, event, script)| Step::Register(tool, event, script));
        prop_oneof![3 => inner, 1 => register]
    })
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    // Not within callbacks: the code object whose event they are told of is running, and cannot die.
    prop_oneof![20 => inner_step(), 1 => code().prop_map(Step::Replace)]
}
