//! What threads share the engine by. The model of `tests/loom.rs` has its own of each, which try every
//! order; nothing else in the engine may share anything between threads.

#[cfg(loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU8, AtomicU64},
};
#[cfg(not(loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU8, AtomicU64},
};
