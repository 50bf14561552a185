#![doc = include_str!("../README.md")]

#[cfg(any(not(Py_3_11), PyPy, GraalPy))]
compile_error!("the crate monitrace is for CPython 3.11 and later");

#[cfg(Py_LIMITED_API)]
compile_error!(
    "the crate monitrace cannot be used with the limited API (abi3), which has no monitoring: build the \
     extension for each version of Python, without PyO3's features abi3 and abi3-py3…"
);

pub mod event;
mod find;
#[cfg(Py_3_13)]
#[doc(hidden)]
pub mod native;
mod object;
#[cfg(feature = "pyo3")]
mod pyo3;
mod raised;
mod scope;
#[doc(hidden)]
pub mod table;

pub use event::{Declares, Event, Events};
pub use find::import;
pub use object::{Attached, Exception, ExceptionRef, Object, ObjectRef};
pub use raised::Raised;
pub use scope::{Entered, Scope};
