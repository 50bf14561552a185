//! `Include/cpython/monitoring.h` (3.13 and later), which pyo3-ffi does not declare.

#![allow(missing_docs, reason = "the header documents these")]

use crate::table::State;
use pyo3_ffi::{Py_ssize_t, PyObject};
use std::ffi::c_int;

unsafe extern "C" {
    pub fn PyMonitoring_EnterScope(
        states: *mut State,
        version: *mut u64,
        events: *const u8,
        length: Py_ssize_t,
    ) -> c_int;
    pub fn PyMonitoring_ExitScope() -> c_int;
    pub fn _PyMonitoring_FirePyStartEvent(state: *mut State, code: *mut PyObject, offset: i32) -> c_int;
    pub fn _PyMonitoring_FirePyResumeEvent(state: *mut State, code: *mut PyObject, offset: i32) -> c_int;
    pub fn _PyMonitoring_FirePyThrowEvent(state: *mut State, code: *mut PyObject, offset: i32) -> c_int;
    pub fn _PyMonitoring_FireRaiseEvent(state: *mut State, code: *mut PyObject, offset: i32) -> c_int;
    pub fn _PyMonitoring_FireReraiseEvent(state: *mut State, code: *mut PyObject, offset: i32) -> c_int;
    pub fn _PyMonitoring_FireExceptionHandledEvent(
        state: *mut State,
        code: *mut PyObject,
        offset: i32,
    ) -> c_int;
    pub fn _PyMonitoring_FireCRaiseEvent(state: *mut State, code: *mut PyObject, offset: i32) -> c_int;
    pub fn _PyMonitoring_FirePyUnwindEvent(state: *mut State, code: *mut PyObject, offset: i32) -> c_int;
    pub fn _PyMonitoring_FirePyReturnEvent(
        state: *mut State,
        code: *mut PyObject,
        offset: i32,
        value: *mut PyObject,
    ) -> c_int;
    pub fn _PyMonitoring_FirePyYieldEvent(
        state: *mut State,
        code: *mut PyObject,
        offset: i32,
        value: *mut PyObject,
    ) -> c_int;
    pub fn _PyMonitoring_FireJumpEvent(
        state: *mut State,
        code: *mut PyObject,
        offset: i32,
        destination: *mut PyObject,
    ) -> c_int;
    #[cfg(not(Py_3_14))]
    pub fn _PyMonitoring_FireBranchEvent(
        state: *mut State,
        code: *mut PyObject,
        offset: i32,
        destination: *mut PyObject,
    ) -> c_int;
    #[cfg(Py_3_14)]
    pub fn _PyMonitoring_FireBranchLeftEvent(
        state: *mut State,
        code: *mut PyObject,
        offset: i32,
        destination: *mut PyObject,
    ) -> c_int;
    #[cfg(Py_3_14)]
    pub fn _PyMonitoring_FireBranchRightEvent(
        state: *mut State,
        code: *mut PyObject,
        offset: i32,
        destination: *mut PyObject,
    ) -> c_int;
    pub fn _PyMonitoring_FireCReturnEvent(
        state: *mut State,
        code: *mut PyObject,
        offset: i32,
        value: *mut PyObject,
    ) -> c_int;
    pub fn _PyMonitoring_FireStopIterationEvent(
        state: *mut State,
        code: *mut PyObject,
        offset: i32,
        value: *mut PyObject,
    ) -> c_int;
    pub fn _PyMonitoring_FireCallEvent(
        state: *mut State,
        code: *mut PyObject,
        offset: i32,
        callable: *mut PyObject,
        arg0: *mut PyObject,
    ) -> c_int;
    pub fn _PyMonitoring_FireLineEvent(
        state: *mut State,
        code: *mut PyObject,
        offset: i32,
        line: c_int,
    ) -> c_int;
}
