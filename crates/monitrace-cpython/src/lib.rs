//! stub

pub mod bytecode;
