//! The engine from outside, embedded in a toy virtual machine.

#![forbid(unsafe_code)]

mod naive;
mod program;
mod rules;
mod slots;
mod threads;
mod toy;
mod twins;
