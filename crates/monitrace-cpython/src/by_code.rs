//! Keeps something with each code object, or object that emulates one, for as long as it lives.
//!
//! An address is not enough: CPython hands it out again as soon as an object dies, and what was kept
//! would then be taken for another's. A weak reference tells. Nothing here may keep an object alive,
//! or grow beyond the objects that live.

use pyo3::prelude::*;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};
use rustc_hash::FxHashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) struct ByCode<T>(Mutex<Entries<T>>);

struct Entries<T> {
    by_address: FxHashMap<usize, Entry<T>>,
    /// How many entries there may be before the dead ones are looked for.
    sweep_at: usize,
}

struct Entry<T> {
    code: Py<PyWeakrefReference>,
    kept: T,
}

const FIRST_SWEEP: usize = 4096;

impl<T> Entries<T> {
    fn known(&mut self, code: &Bound<'_, PyAny>) -> Option<&mut T> {
        let entry = self.by_address.get_mut(&(code.as_ptr() as usize))?;
        // Alive at this address means that it is this one.
        entry.code.bind(code.py()).upgrade().map(|_| &mut entry.kept)
    }

    /// Adds an entry. Answers those that went: they are to be dropped without the lock.
    fn add(&mut self, code: &Bound<'_, PyAny>, entry: Entry<T>) -> Vec<Entry<T>> {
        let mut dead = Vec::from_iter(self.by_address.insert(code.as_ptr() as usize, entry));
        if self.by_address.len() >= self.sweep_at {
            let is_dead = |entry: &mut Entry<T>| entry.code.bind(code.py()).upgrade().is_none();
            dead.extend(self.by_address.extract_if(|_, entry| is_dead(entry)).map(|(_, entry)| entry));
            self.sweep_at = FIRST_SWEEP.max(self.by_address.len() * 2);
        }
        dead
    }
}

impl<T> ByCode<T> {
    pub(crate) fn new() -> ByCode<T> {
        ByCode(Mutex::new(Entries { by_address: FxHashMap::default(), sweep_at: FIRST_SWEEP }))
    }

    fn lock(&self) -> MutexGuard<'_, Entries<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `look` finds in what is kept with an object; `None` if nothing is. As with [`ByCode::keep`],
    /// the lock is held meanwhile.
    #[cfg(all(Py_3_12, not(Py_3_14)))]
    pub(crate) fn look<R>(&self, code: &Bound<'_, PyAny>, look: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.lock().known(code).map(look)
    }

    /// What `look` finds in what is kept with an object: `make` makes it if nothing is. Both are called
    /// with the lock held, and must not run any Python.
    ///
    /// # Errors
    /// If no weak reference can be made to the object. To code objects it always can, memory permitting.
    pub(crate) fn keep<R>(
        &self,
        code: &Bound<'_, PyAny>,
        make: impl FnOnce() -> T,
        look: impl FnOnce(&mut T) -> R,
    ) -> PyResult<R> {
        if let Some(kept) = self.lock().known(code) {
            return Ok(look(kept));
        }
        // Without the lock: making it may collect garbage, and thereby run anything.
        let reference = PyWeakrefReference::new(code)?.unbind();
        let mut entries = self.lock();
        if let Some(kept) = entries.known(code) {
            return Ok(look(kept));
        }
        let mut kept = make();
        let found = look(&mut kept);
        let dead = entries.add(code, Entry { code: reference, kept });
        drop(entries);
        drop(dead);
        Ok(found)
    }

    /// The living objects that `choose` says yes to, of what is kept with them.
    #[cfg(all(Py_3_12, not(Py_3_14)))]
    pub(crate) fn select<'py>(
        &self,
        py: Python<'py>,
        mut choose: impl FnMut(&mut T) -> bool,
    ) -> Vec<Bound<'py, PyAny>> {
        let mut entries = self.lock();
        let chosen = entries
            .by_address
            .values_mut()
            .filter_map(|entry| if choose(&mut entry.kept) { entry.code.bind(py).upgrade() } else { None });
        chosen.collect()
    }
}
