//! Scopes and their events: what producers use.
//!
//! It owns the states of a scope, and what is said to the compiler about them. An event that nobody wants
//! must cost no more than the test of its state's byte: everything else is out of line.

use crate::event::{self as e, Declares, Event, Events, Ids};
use crate::find;
use crate::object::{Attached, Exception, Object};
use crate::raised::{Aside, Raised, set_current};
use crate::table::{Api, Place, State, StatePtr, Value};
use pyo3_ffi as ffi;
use std::ffi::{CStr, c_int, c_long};
use std::fmt;
use std::ptr;
use std::sync::atomic::AtomicU64;

/// One lexical scope of a program: a function, a module or a class, say. It declares the events that it may
/// fire as a tuple, and keeps for each who listens.
///
/// It is made once and [entered](Scope::enter) whenever the program enters it. It can stand in a `static`, or
/// in whatever the producer keeps of the function, and be shared by all threads. It takes 8 bytes and two
/// for each event.
///
/// ```
/// use monitrace::Scope;
/// use monitrace::event::{Line, PyReturn, PyStart, PyUnwind};
///
/// struct Function {
///     scope: Scope<(PyStart, Line, PyReturn, PyUnwind)>,
///     // ...
/// }
/// assert_eq!(size_of::<Function>(), 16);
/// ```
pub struct Scope<E: Events> {
    /// Tells whether the states are up to date.
    version: AtomicU64,
    states: E::States,
}

impl<E: Events> Scope<E> {
    /// A scope that was never entered.
    pub const fn new() -> Scope<E> {
        Scope { version: AtomicU64::new(0), states: E::NONE }
    }

    /// Enters the scope; dropping what this returns leaves it.
    ///
    /// It may be entered again while it is, by a recursive call say. What yields leaves the scope when it
    /// has fired `PY_YIELD`, and enters it again before it fires `PY_RESUME` or `PY_THROW`.
    ///
    /// If nothing was changed since it was last entered, this compares a number. The first scope of all looks
    /// for the package monitrace.
    ///
    /// # Errors
    /// What the import of the package raised. That it is not installed is no error: then the scope is
    /// inactive before 3.13, and from there on the interpreter's own functions do what they can.
    #[inline]
    pub fn enter<'a, 'py>(
        &'a self,
        attached: impl Into<Attached<'py>>,
        code_like: &'a dyn Object,
    ) -> Result<Entered<'a, 'py, E>, Raised<'py>> {
        let attached = attached.into();
        find::enter(attached, self.states.as_ref(), &self.version, E::IDS)?;
        Ok(Entered { scope: self, code_like, attached })
    }
}

impl<E: Events> Default for Scope<E> {
    fn default() -> Self {
        Scope::new()
    }
}

impl<E: Events> fmt::Debug for Scope<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("version", &self.version)
            .field("states", &self.states.as_ref())
            .finish()
    }
}

/// A scope that is entered, with a method for each event.
///
/// Every event has the code-like that the scope was entered with, and an offset into it in bytes: for code
/// that is not bytecode any number that tells its places apart, up to `i32::MAX`.
///
/// A method exists for what the scope declares. An event that nobody wants costs the test of a byte. For one
/// that is wanted, the callbacks of all tools have run when the method returns, and what they changed holds
/// for the next event. An error is what a callback raised: the producer goes on as if its program had raised
/// that here.
#[must_use = "dropping it leaves the scope"]
pub struct Entered<'a, 'py, E: Events> {
    scope: &'a Scope<E>,
    code_like: &'a dyn Object,
    attached: Attached<'py>,
}

impl<E: Events> fmt::Debug for Entered<'_, '_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entered").field("scope", self.scope).finish_non_exhaustive()
    }
}

impl<E: Events> Drop for Entered<'_, '_, E> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the thread is attached, and the scope was entered.
        if unsafe { (find::table().exit_scope)() } < 0 {
            self.site().report();
        }
    }
}

/// Events without anything more.
macro_rules! plain_events {
    ($($(#[$doc:meta])* $name:ident $event:ident $function:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// What a callback raised.
        #[inline]
        pub fn $name<Place>(&self, offset: u32) -> Result<(), Raised<'py>>
        where
            E: Declares<e::$event, Place>,
        {
            match self.listened::<e::$event, Place>() {
                Some(state) => self.site().plain(state, offset, |api| api.$function),
                None => Ok(()),
            }
        }
    )*};
}

/// Events with an object.
macro_rules! value_events {
    ($($(#[$doc:meta])* $name:ident $event:ident $function:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// What a callback raised.
        #[inline]
        pub fn $name<Place>(&self, offset: u32, value: &dyn Object) -> Result<(), Raised<'py>>
        where
            E: Declares<e::$event, Place>,
        {
            match self.listened::<e::$event, Place>() {
                Some(state) => self.site().value(state, offset, value, |api| api.$function),
                None => Ok(()),
            }
        }
    )*};
}

/// Events that go somewhere.
macro_rules! going_events {
    ($($(#[$doc:meta])* $name:ident $event:ident $function:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// What a callback raised.
        #[inline]
        pub fn $name<Place>(&self, offset: u32, destination: u32) -> Result<(), Raised<'py>>
        where
            E: Declares<e::$event, Place>,
        {
            match self.listened::<e::$event, Place>() {
                Some(state) => self.site().going(state, offset, destination, |api| api.$function),
                None => Ok(()),
            }
        }
    )*};
}

/// Events that tell of an exception.
macro_rules! exception_events {
    ($($(#[$doc:meta])* $name:ident $event:ident $function:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// What a callback raised; the exception of the event is none of it.
        #[inline]
        pub fn $name<Place>(&self, offset: u32, exception: &dyn Exception) -> Result<(), Raised<'py>>
        where
            E: Declares<e::$event, Place>,
        {
            match self.listened::<e::$event, Place>() {
                Some(state) => self.site().exception(state, offset, exception, |api| api.$function),
                None => Ok(()),
            }
        }
    )*};
}

impl<'a, 'py, E: Events> Entered<'a, 'py, E> {
    /// The state of an event to which somebody listens.
    #[inline]
    fn listened<F: Event, Place>(&self) -> Option<&'a State>
    where
        E: Declares<F, Place>,
    {
        let state = &self.scope.states.as_ref()[E::INDEX];
        (state.active() != 0).then_some(state)
    }

    #[inline]
    fn site(&self) -> Site<'a, 'py> {
        Site {
            states: self.scope.states.as_ref(),
            version: &self.scope.version,
            ids: E::IDS,
            code_like: self.code_like,
            attached: self.attached,
        }
    }

    /// Whether somebody may listen to an event: `entered.is_active(PyReturn)`. For producers to whom what
    /// the event carries costs something to make.
    #[inline]
    pub fn is_active<F: Event, Place>(&self, _event: F) -> bool
    where
        E: Declares<F, Place>,
    {
        self.listened::<F, Place>().is_some()
    }

    /// Notices what was changed since the scope was entered, as entering it again would. Every event that is
    /// told does it by itself. A producer that calls other code, or runs long without an event that is wanted,
    /// may do it after the call, or now and then.
    ///
    /// # Errors
    /// What the package raised, which is most unlikely.
    #[inline]
    pub fn refresh(&self) -> Result<(), Raised<'py>> {
        find::enter(self.attached, self.scope.states.as_ref(), &self.scope.version, E::IDS)
    }

    plain_events! {
        /// Fires `PY_START`.
        py_start PyStart fire_py_start;
        /// Fires `PY_RESUME`.
        py_resume PyResume fire_py_resume;
    }

    value_events! {
        /// Fires `PY_RETURN` with what is returned.
        py_return PyReturn fire_py_return;
        /// Fires `PY_YIELD` with what is yielded. The scope is to be left then.
        py_yield PyYield fire_py_yield;
        /// Fires `C_RETURN` with what was returned. Callbacks are told of the call that ended.
        c_return CReturn fire_c_return;
    }

    going_events! {
        /// Fires `JUMP` with the offset that it goes to.
        jump Jump fire_jump;
        /// Fires `BRANCH_LEFT` with the offset that it goes to.
        branch_left BranchLeft fire_branch_left;
        /// Fires `BRANCH_RIGHT` with the offset that it goes to.
        branch_right BranchRight fire_branch_right;
    }

    exception_events! {
        /// Fires `RAISE`.
        raise Raise fire_raise;
        /// Fires `RERAISE`.
        reraise Reraise fire_reraise;
        /// Fires `EXCEPTION_HANDLED`.
        exception_handled ExceptionHandled fire_exception_handled;
        /// Fires `PY_UNWIND`.
        py_unwind PyUnwind fire_py_unwind;
        /// Fires `PY_THROW`.
        py_throw PyThrow fire_py_throw;
        /// Fires `C_RAISE`. Callbacks are told of the call that ended.
        c_raise CRaise fire_c_raise;
    }

    /// Fires `LINE`.
    ///
    /// # Errors
    /// What a callback raised.
    #[inline]
    pub fn line<Place>(&self, offset: u32, line: u32) -> Result<(), Raised<'py>>
    where
        E: Declares<e::Line, Place>,
    {
        match self.listened::<e::Line, Place>() {
            Some(state) => self.site().line(state, offset, line),
            None => Ok(()),
        }
    }

    /// Fires `CALL` with what is called, and its first argument if it has one.
    ///
    /// # Errors
    /// What a callback raised.
    #[inline]
    pub fn call<Place>(
        &self,
        offset: u32,
        callable: &dyn Object,
        arg0: Option<&dyn Object>,
    ) -> Result<(), Raised<'py>>
    where
        E: Declares<e::Call, Place>,
    {
        match self.listened::<e::Call, Place>() {
            Some(state) => self.site().call(state, offset, callable, arg0),
            None => Ok(()),
        }
    }

    /// Fires `STOP_ITERATION` with a `StopIteration`, or with the value for one.
    ///
    /// # Errors
    /// What a callback raised.
    #[inline]
    pub fn stop_iteration<Place>(&self, offset: u32, value: Option<&dyn Object>) -> Result<(), Raised<'py>>
    where
        E: Declares<e::StopIteration, Place>,
    {
        match self.listened::<e::StopIteration, Place>() {
            Some(state) => self.site().stop_iteration(state, offset, value),
            None => Ok(()),
        }
    }
}

/// Where an event happens: all that is out of line, once for all scopes.
struct Site<'a, 'py> {
    states: &'a [State],
    version: &'a AtomicU64,
    ids: Ids,
    code_like: &'a dyn Object,
    attached: Attached<'py>,
}

impl<'py> Site<'_, 'py> {
    /// Has the table tell of an event, and notices what the callbacks changed.
    fn tell(
        &self,
        state: &State,
        offset: u32,
        function: impl FnOnce(StatePtr, *mut ffi::PyObject, i32) -> c_int,
    ) -> Result<(), Raised<'py>> {
        let code_like = self.code_like.as_ptr(self.attached);
        let told = match self.number(offset, c"offset") {
            Ok(offset) => function((&raw const *state).cast_mut(), code_like, offset),
            Err(raised) => return Err(raised),
        };
        let told = if told < 0 { Err(Raised::take(self.attached)) } else { Ok(()) };
        let refreshed = find::enter(self.attached, self.states, self.version, self.ids);
        told.and(refreshed)
    }

    #[cold]
    fn plain(self, state: &State, offset: u32, get: fn(&Api) -> Place) -> Result<(), Raised<'py>> {
        let function = get(find::table());
        // SAFETY: `tell` gives a state of the scope, which was entered, and the code-like, alive as long as it
        // is; the thread is attached. So for all of the functions below.
        self.tell(state, offset, |state, code, offset| unsafe { function(state, code, offset) })
    }

    #[cold]
    fn value(
        self,
        state: &State,
        offset: u32,
        value: &dyn Object,
        get: fn(&Api) -> Value,
    ) -> Result<(), Raised<'py>> {
        let function = get(find::table());
        let value = value.as_ptr(self.attached);
        // SAFETY: as in `plain`; the value is borrowed, so alive.
        self.tell(state, offset, |state, code, offset| unsafe { function(state, code, offset, value) })
    }

    #[cold]
    fn going(
        self,
        state: &State,
        offset: u32,
        destination: u32,
        get: fn(&Api) -> Value,
    ) -> Result<(), Raised<'py>> {
        let function = get(find::table());
        let destination = self.number(destination, c"destination")?;
        // SAFETY: the thread is attached.
        let number = unsafe { ffi::PyLong_FromLong(c_long::from(destination)) };
        if number.is_null() {
            return Err(Raised::take(self.attached));
        }
        // SAFETY: as in `plain`; the number is owned.
        let told =
            self.tell(state, offset, |state, code, offset| unsafe { function(state, code, offset, number) });
        // SAFETY: the reference is owned.
        unsafe { ffi::Py_DECREF(number) };
        told
    }

    #[cold]
    fn exception(
        self,
        state: &State,
        offset: u32,
        exception: &dyn Exception,
        get: fn(&Api) -> Place,
    ) -> Result<(), Raised<'py>> {
        let function = get(find::table());
        let exception = exception.as_ptr(self.attached);
        // What is current has nothing to do with the event, and stays so.
        let current = Aside::new(self.attached);
        let told = self.tell(state, offset, |state, code, offset| {
            // SAFETY: as in `plain`; the exception is borrowed, so alive, and its reference is given away.
            // The function takes it from there, and puts it back if nothing was raised.
            unsafe {
                ffi::Py_INCREF(exception);
                set_current(self.attached, exception);
                function(state, code, offset)
            }
        });
        drop(current);
        told
    }

    #[cold]
    fn line(self, state: &State, offset: u32, line: u32) -> Result<(), Raised<'py>> {
        let function = find::table().fire_line;
        let line = self.number(line, c"line")?;
        // SAFETY: as in `plain`.
        self.tell(state, offset, |state, code, offset| unsafe { function(state, code, offset, line) })
    }

    #[cold]
    fn call(
        self,
        state: &State,
        offset: u32,
        callable: &dyn Object,
        arg0: Option<&dyn Object>,
    ) -> Result<(), Raised<'py>> {
        let api = find::table();
        let callable = callable.as_ptr(self.attached);
        let missing;
        let arg0 = match arg0 {
            Some(arg0) => arg0.as_ptr(self.attached),
            None if find::is_packages(api) => ptr::null_mut(),
            // The interpreter's own function would pass NULL on to the callback.
            None => {
                missing = self.missing()?;
                missing.0
            }
        };
        // SAFETY: as in `plain`; what is called and its argument are borrowed or owned, so alive, but for
        // an argument that is NULL, for which the package knows what to tell.
        self.tell(state, offset, |state, code, offset| unsafe {
            (api.fire_call)(state, code, offset, callable, arg0)
        })
    }

    #[cold]
    fn stop_iteration(
        self,
        state: &State,
        offset: u32,
        value: Option<&dyn Object>,
    ) -> Result<(), Raised<'py>> {
        let function = find::table().fire_stop_iteration;
        let value = value.map_or(ptr::null_mut(), |value| value.as_ptr(self.attached));
        // SAFETY: as in `plain`; the value is borrowed, so alive, or NULL for none.
        self.tell(state, offset, |state, code, offset| unsafe { function(state, code, offset, value) })
    }

    /// A number that the C functions take.
    fn number(&self, number: u32, name: &CStr) -> Result<i32, Raised<'py>> {
        i32::try_from(number).map_err(|_| {
            // SAFETY: the thread is attached; the words ask for a string.
            unsafe { ffi::PyErr_Format(ffi::PyExc_ValueError, c"%s is too large".as_ptr(), name.as_ptr()) };
            Raised::take(self.attached)
        })
    }

    /// `sys.monitoring.MISSING`.
    fn missing(&self) -> Result<Owned<'py>, Raised<'py>> {
        // SAFETY: the thread is attached; what `sys` holds is borrowed, and used at once.
        let missing = unsafe {
            let monitoring = ffi::PySys_GetObject(c"monitoring".as_ptr());
            match monitoring.is_null() {
                true => {
                    let words = c"there is no sys.monitoring".as_ptr();
                    ffi::PyErr_SetString(ffi::PyExc_RuntimeError, words);
                    ptr::null_mut()
                }
                false => ffi::PyObject_GetAttrString(monitoring, c"MISSING".as_ptr()),
            }
        };
        if missing.is_null() { Err(Raised::take(self.attached)) } else { Ok(Owned(missing, self.attached)) }
    }

    /// Hands the current exception, for which there is nobody to take it, to `sys.unraisablehook`.
    #[cold]
    fn report(&self) {
        let code_like = self.code_like.as_ptr(self.attached);
        // SAFETY: the thread is attached, and the code-like alive.
        unsafe { ffi::PyErr_WriteUnraisable(code_like) };
    }
}

/// An object whose reference is ours.
struct Owned<'py>(*mut ffi::PyObject, Attached<'py>);

impl Drop for Owned<'_> {
    fn drop(&mut self) {
        // SAFETY: the reference is owned, and the thread is attached while 'py lasts.
        unsafe { ffi::Py_DECREF(self.0) };
    }
}
