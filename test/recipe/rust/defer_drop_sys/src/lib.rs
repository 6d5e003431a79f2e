//! The short calls of the C library defer_drop: see defer_drop(7).
#![no_std]
use core::ffi::{c_int, c_void};

/// Destroys an object, on the worker. It may not unwind.
pub type Destroy = unsafe extern "C" fn(object: *mut c_void);

extern "C" {
    pub fn defer_drop(object: *mut c_void, destroy: Destroy) -> c_int;
    pub fn defer_drop_try(object: *mut c_void, destroy: Destroy) -> c_int;
    pub fn defer_drop_flush() -> c_int;
    pub fn defer_drop_shutdown() -> c_int;
}
