//! Rules of `sys.monitoring` that are worth reading one by one.

use crate::program::{Answer, Outcome, PLACES, Script, Step, ToyError};
use crate::toy::{Toy, ToyHost, at};
use monitrace_core::{
    ByteOffset, Callback, Change, CodeId, Event, EventKind, EventSet, Firing, Host, Location, Monitor,
    MonitorError, Reply, Restart, Scope, Tool, ToolId, ToolSet, dispatch,
};
use std::sync::Arc;

const CODE: CodeId = CodeId(0);
const OTHER: CodeId = CodeId(1);
const LOW: ToolId = ToolId::DEBUGGER;
const HIGH: ToolId = ToolId::OPTIMIZER;

fn place_of(event: Event) -> usize {
    PLACES.iter().position(|at| *at == event).expect("the toy has a place for it")
}

/// A toy in which `tool` listens to `event` with this answer, and no events are set.
fn listening(toy: &Toy, tool: ToolId, event: Event, answer: Answer) {
    toy.monitor.use_tool_id(tool, "rules").expect("the id is free");
    let script = Script { label: tool.index() as u8, step: None, answer };
    assert_eq!(toy.take(&Step::Register(tool, event, Some(script))), Outcome::Before(None));
}

fn labels(toy: &Toy) -> Vec<u8> {
    toy.told().iter().map(|told| told.label).collect()
}

#[test]
fn highest_tool_id_is_told_first() {
    let toy = Toy::new();
    for tool in ToolId::all() {
        listening(&toy, tool, Event::Line, Answer::Continue);
        toy.monitor.set_events(tool, EventSet::LINE).expect("the tool is in use");
    }
    assert_eq!(toy.reach(CODE, place_of(Event::Line)), Ok(Reply::Continue));
    assert_eq!(labels(&toy), [5, 4, 3, 2, 1, 0]);
}

#[test]
fn error_of_a_callback_stops_lower_tools() {
    let toy = Toy::new();
    listening(&toy, LOW, Event::Line, Answer::Continue);
    listening(&toy, HIGH, Event::Line, Answer::Raise);
    for tool in [LOW, HIGH] {
        toy.monitor.set_events(tool, EventSet::LINE).expect("the tool is in use");
    }
    assert_eq!(toy.reach(CODE, place_of(Event::Line)), Err(ToyError::Raised(5)));
    assert_eq!(labels(&toy), [5]);
}

#[test]
fn disable_is_for_one_tool_at_one_place_until_the_restart() {
    let toy = Toy::new();
    listening(&toy, LOW, Event::Line, Answer::Continue);
    listening(&toy, HIGH, Event::Line, Answer::Disable);
    for tool in [LOW, HIGH] {
        toy.monitor.set_events(tool, EventSet::LINE).expect("the tool is in use");
    }
    let (first, second) = (place_of(Event::Line), place_of(Event::Line) + 1);
    for place in [first, first, second] {
        assert_eq!(toy.reach(CODE, place), Ok(Reply::Continue));
    }
    assert_eq!(toy.reach(OTHER, first), Ok(Reply::Continue));
    assert_eq!(labels(&toy), [5, 0, 0, 5, 0, 5, 0]);
    toy.monitor.restart_events();
    assert_eq!(toy.reach(CODE, first), Ok(Reply::Continue));
    assert_eq!(labels(&toy)[7..], [5, 0]);
}

#[test]
fn last_tool_to_disable_a_place_disables_the_place() {
    let toy = Toy::new();
    listening(&toy, LOW, Event::Line, Answer::Disable);
    toy.monitor.set_events(LOW, EventSet::LINE).expect("the tool is in use");
    assert_eq!(toy.reach(CODE, place_of(Event::Line)), Ok(Reply::Disable));
}

/// As CPython 3.14 does it (recorded: `14_disable` of the conformance corpus).
#[test]
fn what_was_disabled_stays_so_for_the_next_owner_of_the_id() {
    let toy = Toy::new();
    listening(&toy, LOW, Event::Line, Answer::Disable);
    toy.monitor.set_events(LOW, EventSet::LINE).expect("the tool is in use");
    assert_eq!(toy.reach(CODE, place_of(Event::Line)), Ok(Reply::Disable));
    toy.monitor.free_tool_id(LOW);
    listening(&toy, LOW, Event::Line, Answer::Continue);
    toy.monitor.set_events(LOW, EventSet::LINE).expect("the tool is in use");
    assert_eq!(toy.reach(CODE, place_of(Event::Line)), Ok(Reply::Disable));
    toy.monitor.restart_events();
    assert_eq!(toy.reach(CODE, place_of(Event::Line)), Ok(Reply::Continue));
    assert_eq!(labels(&toy), [0, 0]);
}

/// In both code objects and for two tools everything is disabled. Who is told after the restart?
fn told_after(what: Restart) -> Vec<(ToolId, CodeId, Event)> {
    let toy = Toy::new();
    let events = [Event::PyStart, Event::Line];
    for tool in [LOW, HIGH] {
        for event in events {
            let script = Script { label: 0, step: None, answer: Answer::Disable };
            toy.take(&Step::Register(tool, event, Some(script)));
        }
        toy.monitor.use_tool_id(tool, "rules").expect("the id is free");
        toy.monitor.set_events(tool, events.into_iter().collect()).expect("the tool is in use");
    }
    let run = || {
        for (code, event) in [(CODE, events[0]), (CODE, events[1]), (OTHER, events[0]), (OTHER, events[1])] {
            assert_eq!(toy.reach(code, place_of(event)), Ok(Reply::Disable));
        }
    };
    run();
    let before = toy.told().len();
    assert_eq!(before, 8);
    toy.monitor.restart(what);
    run();
    toy.told()[before..].iter().map(|told| (told.tool, told.code, told.event)).collect()
}

#[test]
fn restart_enables_what_it_names_and_no_more() {
    let (start, line) = (Event::PyStart, Event::Line);
    let any = Restart::default();
    let everything =
        [CODE, OTHER].map(|code| [start, line].map(|event| [HIGH, LOW].map(|tool| (tool, code, event))));
    assert_eq!(told_after(any), everything.as_flattened().as_flattened());
    assert_eq!(
        told_after(Restart { tool: Some(LOW), ..any }),
        [(LOW, CODE, start), (LOW, CODE, line), (LOW, OTHER, start), (LOW, OTHER, line)]
    );
    assert_eq!(
        told_after(Restart { code: Some(OTHER), ..any }),
        [(HIGH, OTHER, start), (LOW, OTHER, start), (HIGH, OTHER, line), (LOW, OTHER, line)]
    );
    assert_eq!(
        told_after(Restart { event: Some(line), ..any }),
        [(HIGH, CODE, line), (LOW, CODE, line), (HIGH, OTHER, line), (LOW, OTHER, line)]
    );
    assert_eq!(
        told_after(Restart { tool: Some(HIGH), code: Some(CODE), event: Some(start) }),
        [(HIGH, CODE, start)]
    );
}

/// Each is noted apart from the others until the scope is entered.
#[test]
fn restarts_add_up_until_the_code_runs() {
    let toy = Toy::new();
    for tool in [LOW, ToolId::PROFILER, HIGH] {
        listening(&toy, tool, Event::Line, Answer::Disable);
        toy.monitor.set_events(tool, EventSet::LINE).expect("the tool is in use");
    }
    assert_eq!(toy.reach(CODE, place_of(Event::Line)), Ok(Reply::Disable));
    toy.monitor.restart(Restart { tool: Some(LOW), ..Restart::default() });
    toy.monitor.restart(Restart { tool: Some(HIGH), code: Some(CODE), ..Restart::default() });
    toy.monitor.restart(Restart { code: Some(OTHER), ..Restart::default() });
    assert_eq!(toy.reach(CODE, place_of(Event::Line)), Ok(Reply::Disable));
    assert_eq!(labels(&toy), [5, 2, 0, 5, 0]);
}

#[test]
fn restart_of_one_code_object_is_felt_there_only() {
    let monitor = Monitor::new(ToyHost::default());
    monitor.restart(Restart { code: Some(OTHER), ..Restart::default() });
    monitor.restart(Restart { tool: Some(LOW), ..Restart::default() });
    monitor.restart_events();
    let changes = monitor.host().changes.lock().expect("nothing panics").clone();
    assert_eq!(changes, [Change::In(OTHER), Change::Disabled, Change::Disabled]);
}

/// As CPython does it: the answer comes after what the callback did.
#[test]
fn restart_within_a_callback_comes_before_its_disable() {
    let toy = Toy::new();
    toy.monitor.use_tool_id(LOW, "rules").expect("the id is free");
    let script = Script { label: 0, step: Some(Box::new(Step::RestartEvents)), answer: Answer::Disable };
    toy.take(&Step::Register(LOW, Event::Line, Some(script)));
    toy.monitor.set_events(LOW, EventSet::LINE).expect("the tool is in use");
    for _ in 0..3 {
        assert_eq!(toy.reach(CODE, place_of(Event::Line)), Ok(Reply::Disable));
    }
    assert_eq!(labels(&toy), [0]);
}

#[test]
fn disabling_what_has_no_location_is_an_error_and_drops_the_callback() {
    let toy = Toy::new();
    listening(&toy, LOW, Event::Raise, Answer::Disable);
    toy.monitor.set_events(LOW, EventSet::RAISE).expect("the tool is in use");
    let error = MonitorError::CannotDisable(Event::Raise);
    assert_eq!(toy.reach(CODE, place_of(Event::Raise)), Err(ToyError::Engine(error)));
    assert_eq!(toy.reach(CODE, place_of(Event::Raise)), Ok(Reply::Disable));
    assert_eq!(labels(&toy), [0]);
}

#[test]
fn nothing_is_told_within_a_callback() {
    let toy = Toy::new();
    toy.monitor.use_tool_id(LOW, "rules").expect("the id is free");
    let again = Step::Reach(CODE, place_of(Event::Line));
    let script = Script { label: 0, step: Some(Box::new(again)), answer: Answer::Continue };
    toy.take(&Step::Register(LOW, Event::Line, Some(script)));
    toy.monitor.set_events(LOW, EventSet::LINE).expect("the tool is in use");
    assert_eq!(toy.reach(CODE, place_of(Event::Line)), Ok(Reply::Continue));
    assert_eq!(labels(&toy), [0]);
}

#[test]
fn ends_of_calls_come_with_calls() {
    let toy = Toy::new();
    listening(&toy, LOW, Event::CReturn, Answer::Continue);
    for alone in [EventSet::C_RETURN, EventSet::C_RAISE, EventSet::CALL | EventSet::C_RETURN] {
        assert_eq!(toy.monitor.set_events(LOW, alone), Err(MonitorError::AncillaryAlone));
        assert_eq!(toy.monitor.set_local_events(LOW, CODE, alone), Err(MonitorError::AncillaryAlone));
    }
    let whole = EventSet::CALL | EventSet::C_RETURN | EventSet::C_RAISE;
    toy.monitor.set_events(LOW, whole).expect("all three may be set");
    assert_eq!(toy.monitor.events(LOW), EventSet::CALL);
    // CALL itself has no callback.
    assert_eq!(toy.reach(CODE, place_of(Event::Call)), Ok(Reply::Disable));
    assert_eq!(toy.reach(CODE, place_of(Event::CReturn)), Ok(Reply::Continue));
    assert_eq!(labels(&toy), [0]);
}

#[test]
fn what_is_disabled_is_known_of_tools_that_do_not_listen_any_more() {
    let monitor = Monitor::new(ToyHost::default());
    monitor.use_tool_id(HIGH, "rules").expect("the id is free");
    let disable: Arc<dyn Callback<ToyHost>> = Arc::new(|_: &Firing<'_, ToyHost>| Ok(Reply::Disable));
    monitor.register_callback(HIGH, Event::Call, Some(disable));
    monitor.set_events(HIGH, EventSet::CALL).expect("the tool is in use");
    let scope = Scope::new(CODE, PLACES);
    let state = scope.state(place_of(Event::Call));
    monitor.enter(&scope);
    assert_eq!((state.active(), state.disabled()), (HIGH.into(), ToolSet::EMPTY));
    assert_eq!(
        monitor.fire(&scope, place_of(Event::Call), &at(&CODE, place_of(Event::Call))),
        Ok(Reply::Disable)
    );
    monitor.set_events(HIGH, EventSet::empty()).expect("the tool is in use");
    monitor.enter(&scope);
    assert_eq!((state.active(), state.disabled()), (ToolSet::EMPTY, HIGH.into()));
    monitor.restart_events();
    monitor.enter(&scope);
    assert_eq!(state.disabled(), ToolSet::EMPTY);
}

#[test]
fn id_that_is_not_in_use_has_no_events_and_takes_callbacks() {
    let toy = Toy::new();
    let free = Err(MonitorError::ToolNotInUse(LOW));
    assert_eq!(toy.monitor.set_events(LOW, EventSet::LINE), free);
    assert_eq!(toy.monitor.set_local_events(LOW, CODE, EventSet::LINE), free);
    assert_eq!(toy.monitor.events(LOW), EventSet::empty());
    assert_eq!(toy.monitor.local_events(LOW, CODE), EventSet::empty());
    assert_eq!(toy.monitor.tool(LOW), None);
    let script = Script { label: 7, step: None, answer: Answer::Continue };
    assert_eq!(toy.take(&Step::Register(LOW, Event::Line, Some(script))), Outcome::Before(None));
    toy.monitor.clear_tool_id(LOW);
    toy.monitor.free_tool_id(LOW);
    assert_eq!(toy.take(&Step::Register(LOW, Event::Line, None)), Outcome::Before(Some(7)));
}

#[test]
fn setting_what_is_set_changes_nothing() {
    let toy = Toy::new();
    listening(&toy, LOW, Event::Line, Answer::Continue);
    toy.monitor.set_events(LOW, EventSet::LINE).expect("the tool is in use");
    let version = toy.monitor.version();
    toy.monitor.set_events(LOW, EventSet::LINE).expect("the tool is in use");
    toy.monitor.set_local_events(LOW, CODE, EventSet::empty()).expect("the tool is in use");
    assert_eq!(toy.monitor.version(), version);
    assert_eq!(toy.monitor.local_events(LOW, CODE), EventSet::empty());
}

fn silent() -> Arc<dyn Callback<ToyHost>> {
    Arc::new(|_: &Firing<'_, ToyHost>| Ok(Reply::Continue))
}

#[test]
fn attached_tool_gets_the_events_that_it_has_callbacks_for() {
    let monitor = Monitor::new(ToyHost::default());
    let tool = Tool::new("native").on(Event::Line, silent()).on(Event::PyStart, silent());
    monitor.attach(HIGH, tool).expect("the id is free");
    assert_eq!(monitor.tool(HIGH).as_deref(), Some("native"));
    assert_eq!(monitor.events(HIGH), EventSet::LINE | EventSet::PY_START);
    assert_eq!(monitor.wanted(), EventSet::LINE | EventSet::PY_START);
    assert_eq!(monitor.attach(HIGH, Tool::new("late")), Err(MonitorError::ToolInUse(HIGH)));
}

#[test]
fn tool_that_cannot_be_attached_leaves_its_id_free() {
    let monitor = Monitor::new(ToyHost::default());
    let tool = Tool::new("half").on(Event::CReturn, silent());
    assert_eq!(monitor.attach(HIGH, tool), Err(MonitorError::AncillaryAlone));
    assert_eq!(monitor.tool(HIGH), None);
    assert_eq!(monitor.wanted(), EventSet::empty());
}

#[test]
fn tool_ids_are_checked() {
    for number in [i64::MIN, -1, 6, 256, i64::MAX] {
        assert_eq!(ToolId::new(number), Err(MonitorError::InvalidTool(number)));
    }
    let all: Vec<_> = (0..6).map(|number| ToolId::new(number).expect("it is a tool id")).collect();
    assert_eq!(all, ToolId::all().collect::<Vec<_>>());
}

#[test]
fn events_have_the_names_by_which_they_are_found() {
    for &event in Event::ALL {
        assert_eq!(event.name().parse(), Ok(event.set()));
        assert_eq!(event.can_be_disabled(), EventSet::LOCAL.contains(event.set()));
        assert_eq!(event.can_be_disabled(), event.kind() == EventKind::Local);
    }
    assert_eq!("BRANCH".parse(), Ok(EventSet::BRANCH_LEFT | EventSet::BRANCH_RIGHT));
    assert!("line".parse::<EventSet>().is_err());
    assert_eq!(EventSet::all().events().collect::<Vec<_>>(), Event::ALL);
}

#[test]
fn sets_of_tools_are_bytes() {
    let both = ToolSet::from(LOW) | ToolSet::from(HIGH);
    assert_eq!(both.bits(), 0b10_0001);
    assert_eq!(ToolSet::from_bits(both.bits()), both);
    assert_eq!(both & ToolSet::from(HIGH), ToolSet::from(HIGH));
    assert_eq!(both & ToolSet::EMPTY, ToolSet::EMPTY);
    assert_eq!(ToolId::all().collect::<ToolSet>(), ToolSet::ALL);
    // Bits of no tool would reach beyond what is kept for tools.
    assert_eq!(ToolSet::from_bits(u8::MAX), ToolSet::ALL);
}

#[test]
fn tools_are_those_that_listen_everywhere() {
    let toy = Toy::new();
    for tool in [LOW, HIGH] {
        listening(&toy, tool, Event::Line, Answer::Continue);
    }
    listening(&toy, ToolId::PROFILER, Event::CReturn, Answer::Continue);
    toy.monitor.set_events(LOW, EventSet::LINE | EventSet::PY_START).expect("the tool is in use");
    toy.monitor.set_local_events(HIGH, CODE, EventSet::LINE).expect("the tool is in use");
    toy.monitor.set_events(ToolId::PROFILER, EventSet::CALL).expect("the tool is in use");
    let (version, tools) = toy.monitor.tools();
    assert_eq!(version, toy.monitor.version());
    for &event in Event::ALL {
        let expected = match event {
            Event::Line => ToolSet::from(LOW),
            Event::CReturn => ToolSet::from(ToolId::PROFILER),
            // PY_START and CALL are set, but have no callback.
            _ => ToolSet::EMPTY,
        };
        assert_eq!(tools[event as usize], expected, "{event}");
    }
}

#[test]
fn host_that_keeps_states_is_told_who_disabled() {
    let toy = Toy::new();
    listening(&toy, LOW, Event::Line, Answer::Disable);
    listening(&toy, HIGH, Event::Line, Answer::Continue);
    listening(&toy, ToolId::PROFILER, Event::Line, Answer::Disable);
    let firing = at(&CODE, place_of(Event::Line));
    let mut disabled = Vec::new();
    let told = toy.monitor.fire_to(ToolSet::ALL, &firing, |tool| disabled.push(tool));
    assert_eq!(told, Ok(()));
    assert_eq!(disabled, [ToolId::PROFILER, LOW]);
    assert_eq!(labels(&toy), [5, 2, 0]);
    let quiet = toy.monitor.host().quiet();
    assert_eq!(toy.monitor.fire_to(ToolSet::ALL, &firing, |_| panic!("nobody is told")), Ok(()));
    drop(quiet);
    assert_eq!(labels(&toy).len(), 3);
}

#[test]
fn host_that_keeps_states_cannot_disable_what_has_no_location() {
    let toy = Toy::new();
    listening(&toy, LOW, Event::Raise, Answer::Continue);
    listening(&toy, HIGH, Event::Raise, Answer::Disable);
    let firing = at(&CODE, place_of(Event::Raise));
    let fire = || toy.monitor.fire_to(ToolSet::ALL, &firing, |_| panic!("it cannot be disabled"));
    assert_eq!(fire(), Err(ToyError::Engine(MonitorError::CannotDisable(Event::Raise))));
    assert_eq!(fire(), Ok(()));
    assert_eq!(labels(&toy), [5, 0]);
}

/// The loop is told where callbacks are, and looks for none itself.
#[test]
fn dispatch_removes_what_it_cannot_disable_and_stops() {
    let mut told = Vec::new();
    let mut removed = Vec::new();
    let tell = |tool| {
        told.push(tool);
        Ok(Reply::Disable)
    };
    let result: Result<(), ToyError> = dispatch(
        Event::Raise,
        ToolSet::from(LOW) | ToolSet::from(HIGH),
        tell,
        |_| panic!("it cannot be disabled"),
        |tool| removed.push(tool),
    );
    assert_eq!(result, Err(ToyError::Engine(MonitorError::CannotDisable(Event::Raise))));
    assert_eq!((told, removed), (vec![HIGH], vec![HIGH]));
}

#[test]
fn location_is_asked_of_the_host() {
    let host = ToyHost::default();
    let firing = at(&OTHER, 3);
    assert_eq!(firing.code_id(&host), OTHER);
    assert_eq!(firing.location(&host), Location { code: OTHER, offset: ByteOffset(3) });
}
