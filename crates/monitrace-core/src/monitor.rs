//! One interpreter's configuration, and the way of an event through it.
//!
//! Changing the configuration takes a lock and raises the version; firing takes none. No callback,
//! destructor or method of the host runs while the lock is held.

use crate::restart::Restarts;
use crate::sync::{AtomicU64, Mutex, MutexGuard};
use crate::{
    Callback, Change, CodeId, Event, EventSet, EventState, Firing, Host, MonitorError, Reply, Restart, Scope,
    Slot, Tool, ToolId, ToolSet, dispatch,
};
use rustc_hash::FxHashMap;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, PoisonError};

type SharedCallback<H> = Arc<dyn Callback<H>>;
/// A tool's callbacks, by event.
type Callbacks<H> = [Option<SharedCallback<H>>; Event::COUNT];

#[derive(Default)]
struct Configuration {
    names: [Option<String>; ToolId::COUNT],
    global: [EventSet; ToolId::COUNT],
    local: FxHashMap<CodeId, [EventSet; ToolId::COUNT]>,
    /// For each tool the events that it has a callback for.
    listening: [EventSet; ToolId::COUNT],
    restarts: Restarts,
}

impl Configuration {
    fn wanted_by(&self, tool: ToolId, code: Option<CodeId>) -> EventSet {
        let i = tool.index();
        let local = code.and_then(|code| self.local.get(&code)).map_or(EventSet::empty(), |sets| sets[i]);
        let wanted = self.global[i] | local;
        // CALL carries its ancillaries: they are told of with it, and only with it.
        let wanted = if wanted.contains(EventSet::CALL) {
            wanted | EventSet::C_RETURN | EventSet::C_RAISE
        } else {
            wanted
        };
        wanted & self.listening[i]
    }

    /// For each event the tools that listen to it, everywhere or in one code object.
    fn tools(&self, code: Option<CodeId>) -> [ToolSet; Event::COUNT] {
        let mut tools = [ToolSet::EMPTY; Event::COUNT];
        for tool in ToolId::all() {
            for event in self.wanted_by(tool, code).events() {
                tools[event as usize] = tools[event as usize].with(tool);
            }
        }
        tools
    }

    fn in_use(&self, tool: ToolId) -> Result<(), MonitorError> {
        match self.names[tool.index()] {
            Some(_) => Ok(()),
            None => Err(MonitorError::ToolNotInUse(tool)),
        }
    }

    /// Drops a tool's events.
    fn clear(&mut self, tool: ToolId) {
        let i = tool.index();
        self.global[i] = EventSet::empty();
        self.listening[i] = EventSet::empty();
        self.local.retain(|_, sets| {
            sets[i] = EventSet::empty();
            sets.iter().any(|set| !set.is_empty())
        });
    }
}

/// One interpreter's tools, events and callbacks.
pub struct Monitor<H: Host> {
    host: H,
    version: AtomicU64,
    callbacks: [[H::Slot; Event::COUNT]; ToolId::COUNT],
    configuration: Mutex<Configuration>,
}

impl<H: Host> Monitor<H> {
    /// A monitor without tools.
    pub fn new(host: H) -> Self {
        Monitor {
            host,
            version: AtomicU64::new(1),
            callbacks: std::array::from_fn(|_| std::array::from_fn(|_| H::Slot::default())),
            configuration: Mutex::default(),
        }
    }

    /// The virtual machine.
    pub fn host(&self) -> &H {
        &self.host
    }

    /// Grows with every change of the configuration; never 0.
    pub fn version(&self) -> u64 {
        self.version.load(Acquire)
    }

    /// Where [`version`](Self::version) stands, for those who compare it by themselves. Only to be read.
    pub fn version_word(&self) -> &AtomicU64 {
        &self.version
    }

    fn lock(&self) -> MutexGuard<'_, Configuration> {
        self.configuration.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes one change, whole or not at all, and tells the host if there was one. `change` gets the
    /// version that it brings, and says whether anything changed and what to give back. What it
    /// drops from the configuration it must give back too: destructors run after the lock.
    fn change<T>(&self, which: Change, change: impl FnOnce(&mut Configuration, u64) -> (bool, T)) -> T {
        let (changed, result) = {
            let mut configuration = self.lock();
            let next = self.version.load(Relaxed) + 1;
            let (changed, result) = change(&mut configuration, next);
            if changed {
                self.version.store(next, Release);
            }
            (changed, result)
        };
        if changed {
            self.host.refresh(self, which);
        }
        result
    }

    /// Claims a tool id.
    ///
    /// # Errors
    /// [`MonitorError::ToolInUse`].
    pub fn use_tool_id(&self, tool: ToolId, name: &str) -> Result<(), MonitorError> {
        let slot = &mut self.lock().names[tool.index()];
        if slot.is_some() {
            return Err(MonitorError::ToolInUse(tool));
        }
        *slot = Some(name.to_owned());
        Ok(())
    }

    /// Drops a tool's events, local ones too, and its callbacks. Does nothing if the id is free. What
    /// the tool disabled stays disabled for its id until a restart, as CPython 3.14 has it.
    pub fn clear_tool_id(&self, tool: ToolId) {
        self.change(Change::Everywhere, |configuration, _| self.clear(configuration, tool));
    }

    /// Clears a tool and gives its id back. Does nothing if the id is free.
    pub fn free_tool_id(&self, tool: ToolId) {
        self.change(Change::Everywhere, |configuration, _| {
            let (changed, callbacks) = self.clear(configuration, tool);
            (changed, (callbacks, configuration.names[tool.index()].take()))
        });
    }

    /// Whether there was a tool to clear, and the callbacks that it had.
    fn clear(&self, configuration: &mut Configuration, tool: ToolId) -> (bool, Option<Callbacks<H>>) {
        if configuration.in_use(tool).is_err() {
            return (false, None);
        }
        configuration.clear(tool);
        (true, Some(self.callbacks[tool.index()].each_ref().map(|slot| slot.replace(None))))
    }

    /// The name under which the id was claimed.
    pub fn tool(&self, tool: ToolId) -> Option<String> {
        self.lock().names[tool.index()].clone()
    }

    /// Claims an id for a native tool and sets its events and callbacks.
    ///
    /// # Errors
    /// [`MonitorError::ToolInUse`], or [`MonitorError::AncillaryAlone`] if the tool has callbacks for
    /// `C_RETURN` or `C_RAISE` but not for all three of the `CALL` events. The id is then free.
    pub fn attach(&self, id: ToolId, tool: Tool<H>) -> Result<(), MonitorError> {
        self.use_tool_id(id, tool.name())?;
        let events = tool.events();
        for (event, callback) in tool.callbacks {
            self.register_callback(id, event, Some(callback));
        }
        self.set_events(id, events).inspect_err(|_| self.free_tool_id(id))
    }

    /// Sets or removes a tool's callback and gives the one before back. The id need not be in use.
    pub fn register_callback(
        &self,
        tool: ToolId,
        event: Event,
        callback: Option<SharedCallback<H>>,
    ) -> Option<SharedCallback<H>> {
        let listens = callback.is_some();
        self.change(Change::Everywhere, |configuration, _| {
            let listening = &mut configuration.listening[tool.index()];
            let was = *listening;
            listening.set(event.set(), listens);
            (*listening != was, self.callbacks[tool.index()][event as usize].replace(callback))
        })
    }

    /// The events that a tool wants everywhere.
    pub fn events(&self, tool: ToolId) -> EventSet {
        self.lock().global[tool.index()]
    }

    /// Sets the events that a tool wants everywhere.
    ///
    /// # Errors
    /// [`MonitorError::ToolNotInUse`], [`MonitorError::AncillaryAlone`].
    pub fn set_events(&self, tool: ToolId, events: EventSet) -> Result<(), MonitorError> {
        let events = without_ancillaries(events)?;
        self.change(Change::Everywhere, |configuration, _| match configuration.in_use(tool) {
            Ok(()) => {
                let was = std::mem::replace(&mut configuration.global[tool.index()], events);
                (was != events, Ok(()))
            }
            refused => (false, refused),
        })
    }

    /// The events that a tool wants in one code object, besides the global ones.
    pub fn local_events(&self, tool: ToolId, code: CodeId) -> EventSet {
        self.lock().local.get(&code).map_or(EventSet::empty(), |sets| sets[tool.index()])
    }

    /// Sets the events that a tool wants in one code object.
    ///
    /// # Errors
    /// [`MonitorError::ToolNotInUse`], [`MonitorError::AncillaryAlone`].
    pub fn set_local_events(&self, tool: ToolId, code: CodeId, events: EventSet) -> Result<(), MonitorError> {
        let events = without_ancillaries(events)?;
        self.change(Change::In(code), |configuration, _| match configuration.in_use(tool) {
            Ok(()) => {
                let sets = configuration.local.entry(code).or_default();
                let was = std::mem::replace(&mut sets[tool.index()], events);
                if sets.iter().all(|set| set.is_empty()) {
                    configuration.local.remove(&code);
                }
                (was != events, Ok(()))
            }
            refused => (false, refused),
        })
    }

    /// What [`set_local_events`](Self::set_local_events) would store, for hosts that keep the events of
    /// some code objects themselves.
    ///
    /// # Errors
    /// [`MonitorError::ToolNotInUse`], [`MonitorError::AncillaryAlone`].
    pub fn check_local_events(&self, tool: ToolId, events: EventSet) -> Result<EventSet, MonitorError> {
        let events = without_ancillaries(events)?;
        self.lock().in_use(tool).map(|()| events)
    }

    /// Forgets a code object that died, so that a new one under its key inherits nothing.
    pub fn forget(&self, code: CodeId) {
        let mut configuration = self.lock();
        configuration.local.remove(&code);
        configuration.restarts.forget(code);
    }

    /// Enables everything again that was disabled, for all tools.
    pub fn restart_events(&self) {
        self.restart(Restart::default());
    }

    /// Enables again what was disabled: more finely than `sys.monitoring`, for tools that share the
    /// program with others.
    pub fn restart(&self, what: Restart) {
        let which = what.code.map_or(Change::Disabled, Change::In);
        self.change(which, |configuration, version| {
            configuration.restarts.note(what, version);
            (true, ())
        });
    }

    /// The version, and for each event the tools that listen to it everywhere: what a host needs that
    /// keeps states by itself. Both are of the same moment.
    pub fn tools(&self) -> (u64, [ToolSet; Event::COUNT]) {
        let configuration = self.lock();
        (self.version.load(Relaxed), configuration.tools(None))
    }

    /// The events that some tool listens to everywhere.
    pub fn wanted(&self) -> EventSet {
        let configuration = self.lock();
        ToolId::all().map(|tool| configuration.wanted_by(tool, None)).fold(EventSet::empty(), EventSet::union)
    }

    /// The events that some tool listens to in this code object, globally or locally.
    pub fn wanted_in(&self, code: CodeId) -> EventSet {
        let configuration = self.lock();
        ToolId::all()
            .map(|tool| configuration.wanted_by(tool, Some(code)))
            .fold(EventSet::empty(), EventSet::union)
    }

    /// The events that some tool listens to anywhere: everywhere or in one code object.
    pub fn wanted_anywhere(&self) -> EventSet {
        let configuration = self.lock();
        let codes = std::iter::once(None).chain(configuration.local.keys().copied().map(Some));
        codes
            .flat_map(|code| ToolId::all().map(move |tool| (tool, code)))
            .map(|(tool, code)| configuration.wanted_by(tool, code))
            .fold(EventSet::empty(), EventSet::union)
    }

    /// Brings a scope's states up to date. Returns at once if they are.
    #[inline]
    pub fn enter(&self, scope: &Scope) {
        if scope.version.load(Acquire) != self.version() {
            self.enter_changed(scope);
        }
    }

    #[cold]
    fn enter_changed(&self, scope: &Scope) {
        self.catch_up(&self.lock(), scope);
    }

    /// `configuration` shows that the lock is held: states and version of a scope change under it.
    fn catch_up(&self, configuration: &Configuration, scope: &Scope) {
        let version = self.version.load(Relaxed);
        let forget = configuration.restarts.since(scope.version.load(Relaxed), scope.code());
        let tools = configuration.tools(Some(scope.code()));
        for (event, state) in scope.places() {
            state.refresh(tools[event as usize], forget[event as usize]);
        }
        scope.version.store(version, Release);
    }

    /// Tells the tools of one place of one event, highest id first. The scope must have been
    /// entered. Answers `Disable` if no tool wants it there any more.
    ///
    /// # Errors
    /// The first callback's error; tools with a lower id are then not told.
    #[inline(always)]
    pub fn fire(&self, scope: &Scope, place: usize, firing: &Firing<'_, H>) -> Result<Reply, H::Error> {
        let state = scope.state(place);
        let Some(_quiet) = self.host.quiet() else {
            return Ok(Reply::Continue);
        };
        self.fire_muted(scope, state, firing)?;
        Ok(if state.active().is_empty() { Reply::Disable } else { Reply::Continue })
    }

    /// The same for hosts that look up the place's state and mute the thread themselves.
    ///
    /// # Errors
    /// As [`Monitor::fire`].
    #[inline(always)]
    pub fn fire_muted(
        &self,
        scope: &Scope,
        state: &EventState,
        firing: &Firing<'_, H>,
    ) -> Result<(), H::Error> {
        self.tell(state.active(), firing, |tool| self.disable(scope, state, tool))
    }

    /// Disables an event at one place for a tool, as if its callback had answered so there: for hosts where
    /// one answer counts for two places.
    pub fn disable_at(&self, scope: &Scope, place: usize, tool: ToolId) {
        self.disable(scope, scope.state(place), tool);
    }

    /// What `read` says of a tool's callback for an event; `None` if it has none.
    pub fn read_callback<R>(
        &self,
        tool: ToolId,
        event: Event,
        read: impl FnOnce(&dyn Callback<H>) -> R,
    ) -> Option<R> {
        self.callbacks[tool.index()][event as usize].with(|callback| callback.map(read))
    }

    // Out of the way of the events that go on.
    #[cold]
    fn disable(&self, scope: &Scope, state: &EventState, tool: ToolId) {
        let configuration = self.lock();
        // A restart within the callback came before its answer, and must not undo it.
        self.catch_up(&configuration, scope);
        state.disable(tool);
    }

    /// Tells `tools` of one event, highest id first, for a host that keeps by itself who is told where.
    /// `disabled` is called for each that answers `Disable`. Does nothing if the thread is mute.
    ///
    /// # Errors
    /// As [`Monitor::fire`].
    pub fn fire_to(
        &self,
        tools: ToolSet,
        firing: &Firing<'_, H>,
        disabled: impl FnMut(ToolId),
    ) -> Result<(), H::Error> {
        match self.host.quiet() {
            Some(_quiet) => self.tell(tools, firing, disabled),
            None => Ok(()),
        }
    }

    /// The dispatch over the slots, in a thread that is mute.
    #[inline]
    fn tell(
        &self,
        tools: ToolSet,
        firing: &Firing<'_, H>,
        disabled: impl FnMut(ToolId),
    ) -> Result<(), H::Error> {
        let event = firing.event;
        dispatch(
            event,
            tools,
            |tool| {
                let slot = &self.callbacks[tool.index()][event as usize];
                slot.with(|callback| callback.map_or(Ok(Reply::Continue), |callback| callback.call(firing)))
            },
            disabled,
            |tool| drop(self.register_callback(tool, event, None)),
        )
    }
}

/// C_RETURN and C_RAISE come with CALL or not at all, and are not stored.
fn without_ancillaries(events: EventSet) -> Result<EventSet, MonitorError> {
    const ANCILLARY: EventSet = EventSet::C_RETURN.union(EventSet::C_RAISE);
    const WHOLE: EventSet = EventSet::CALL.union(ANCILLARY);
    if events.intersects(ANCILLARY) && !events.contains(WHOLE) {
        return Err(MonitorError::AncillaryAlone);
    }
    Ok(events - ANCILLARY)
}
