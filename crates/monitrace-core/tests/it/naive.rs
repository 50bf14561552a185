//! The engine's naive twin: the rules of `sys.monitoring` with no cache, no version and no lock, so
//! that they can be read off. It must never become clever.

use crate::program::{Answer, Outcome, PLACES, Script, Step, Told, ToyError};
use monitrace_core::{CodeId, Event, EventSet, MonitorError, Reply, Restart, ToolId};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
struct NaiveTool {
    in_use: bool,
    global: EventSet,
    local: BTreeMap<CodeId, EventSet>,
    callbacks: BTreeMap<Event, Script>,
    disabled: BTreeSet<(CodeId, usize)>,
}

impl NaiveTool {
    fn check(&self, id: ToolId) -> Result<(), MonitorError> {
        if self.in_use { Ok(()) } else { Err(MonitorError::ToolNotInUse(id)) }
    }

    fn local_events(&self, code: CodeId) -> EventSet {
        self.local.get(&code).copied().unwrap_or_default()
    }

    fn wants(&self, event: Event, code: CodeId) -> bool {
        // Who monitors calls gets their ends with them, and in no other way.
        let asked = match event {
            Event::CReturn | Event::CRaise => Event::Call,
            other => other,
        };
        (self.global | self.local_events(code)).contains(asked.set()) && self.callbacks.contains_key(&event)
    }

    fn is_told(&self, code: CodeId, place: usize) -> bool {
        self.wants(PLACES[place], code) && !self.disabled.contains(&(code, place))
    }
}

#[derive(Default)]
pub(crate) struct Naive {
    tools: [NaiveTool; ToolId::COUNT],
    in_callback: bool,
    /// Whether a callback of the last place that was reached took a step.
    pub(crate) callback_acted: bool,
    pub(crate) told: Vec<Told>,
}

impl Naive {
    pub(crate) fn events(&self, tool: ToolId) -> EventSet {
        self.tools[tool.index()].global
    }

    pub(crate) fn local_events(&self, tool: ToolId, code: CodeId) -> EventSet {
        self.tools[tool.index()].local_events(code)
    }

    pub(crate) fn wanted_in(&self, code: CodeId) -> EventSet {
        let wanted = |event: &Event| self.tools.iter().any(|tool| tool.wants(*event, code));
        Event::ALL.iter().copied().filter(wanted).collect()
    }

    pub(crate) fn is_told(&self, code: CodeId, place: usize) -> bool {
        self.tools.iter().any(|tool| tool.is_told(code, place))
    }

    pub(crate) fn take(&mut self, step: &Step) -> Outcome {
        match step {
            Step::UseToolId(id) => {
                let in_use = &mut self.tools[id.index()].in_use;
                let claimed = if *in_use { Err(MonitorError::ToolInUse(*id)) } else { Ok(()) };
                *in_use = true;
                Outcome::Done(claimed)
            }
            Step::ClearToolId(id) => {
                self.clear(*id);
                Outcome::Done(Ok(()))
            }
            Step::FreeToolId(id) => {
                self.clear(*id);
                self.tools[id.index()].in_use = false;
                Outcome::Done(Ok(()))
            }
            Step::SetEvents(id, events) => Outcome::Done(self.set_events(*id, None, *events)),
            Step::SetLocalEvents(id, code, events) => {
                Outcome::Done(self.set_events(*id, Some(*code), *events))
            }
            Step::Register(id, event, script) => {
                let callbacks = &mut self.tools[id.index()].callbacks;
                let before = match script {
                    Some(script) => callbacks.insert(*event, script.clone()),
                    None => callbacks.remove(event),
                };
                Outcome::Before(before.map(|script| script.label))
            }
            Step::RestartEvents => {
                self.tools.iter_mut().for_each(|tool| tool.disabled.clear());
                Outcome::Done(Ok(()))
            }
            Step::Restart(Restart { tool, code, event }) => {
                for id in ToolId::all() {
                    self.tools[id.index()].disabled.retain(|(disabled_in, place)| {
                        tool.is_some_and(|tool| tool != id)
                            || code.is_some_and(|code| code != *disabled_in)
                            || event.is_some_and(|event| event != PLACES[*place])
                    });
                }
                Outcome::Done(Ok(()))
            }
            Step::Replace(code) => {
                for tool in &mut self.tools {
                    tool.local.remove(code);
                    tool.disabled.retain(|(disabled, _)| disabled != code);
                }
                Outcome::Done(Ok(()))
            }
            Step::Reach(code, place) => Outcome::Reached(self.reach(*code, *place)),
        }
    }

    /// Nothing of a tool is left but its claim, and what it disabled. An id that is not in use keeps its callbacks.
    fn clear(&mut self, id: ToolId) {
        let tool = &mut self.tools[id.index()];
        if tool.in_use {
            let disabled = std::mem::take(&mut tool.disabled);
            *tool = NaiveTool { in_use: true, disabled, ..NaiveTool::default() };
        }
    }

    fn set_events(&mut self, id: ToolId, code: Option<CodeId>, events: EventSet) -> Result<(), MonitorError> {
        let ends = EventSet::C_RETURN | EventSet::C_RAISE;
        if events.intersects(ends) && !events.contains(ends | EventSet::CALL) {
            return Err(MonitorError::AncillaryAlone);
        }
        let tool = &mut self.tools[id.index()];
        tool.check(id)?;
        match code {
            None => tool.global = events - ends,
            Some(code) => drop(tool.local.insert(code, events - ends)),
        }
        Ok(())
    }

    fn reach(&mut self, code: CodeId, place: usize) -> Result<Reply, ToyError> {
        if self.in_callback {
            return Ok(Reply::Continue);
        }
        self.callback_acted = false;
        let event = PLACES[place];
        // Who is told is settled when the event happens; with which callback, when it is called.
        let mut told: Vec<ToolId> = ToolId::all().collect();
        told.retain(|id| self.tools[id.index()].is_told(code, place));
        for id in told.into_iter().rev() {
            let Some(script) = self.tools[id.index()].callbacks.get(&event).cloned() else { continue };
            self.told.push(Told { tool: id, label: script.label, event, code, place });
            self.in_callback = true;
            if let Some(step) = &script.step {
                self.callback_acted = true;
                self.take(step);
            }
            self.in_callback = false;
            match script.answer {
                Answer::Continue => {}
                Answer::Raise => return Err(ToyError::Raised(script.label)),
                Answer::Disable if event.can_be_disabled() => {
                    self.tools[id.index()].disabled.insert((code, place));
                }
                Answer::Disable => {
                    self.tools[id.index()].callbacks.remove(&event);
                    return Err(MonitorError::CannotDisable(event).into());
                }
            }
        }
        Ok(if self.is_told(code, place) { Reply::Continue } else { Reply::Disable })
    }
}
