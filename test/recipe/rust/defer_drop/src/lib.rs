//! `DeferDrop<T>`: a value that the worker of the C library defer_drop drops when its scope ends. It has the names of
//! the crate defer-drop, so that a program changes its `Cargo.toml` and nothing else.
use defer_drop_sys as sys;
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};

#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct DeferDrop<T: Send + 'static>(ManuallyDrop<T>);

/// Runs on the worker. A panic aborts the process, since it may not leave a function that C calls.
unsafe extern "C" fn destroy<T>(object: *mut c_void) {
    drop(unsafe { Box::from_raw(object.cast::<T>()) });
}

impl<T: Send + 'static> DeferDrop<T> {
    pub fn new(value: T) -> Self {
        DeferDrop(ManuallyDrop::new(value))
    }

    /// Takes the value back: it is dropped as any other.
    pub fn into_inner(this: Self) -> T {
        let mut this = ManuallyDrop::new(this);
        unsafe { ManuallyDrop::take(&mut this.0) }
    }
}

impl<T: Send + 'static> Drop for DeferDrop<T> {
    fn drop(&mut self) {
        let object = Box::into_raw(Box::new(unsafe { ManuallyDrop::take(&mut self.0) })).cast();
        // Refused only by a queue that was shut down: then the value is dropped here.
        if unsafe { sys::defer_drop(object, destroy::<T>) } != 0 {
            unsafe { destroy::<T>(object) }
        }
    }
}

impl<T: Send + 'static> From<T> for DeferDrop<T> {
    fn from(value: T) -> Self {
        DeferDrop::new(value)
    }
}

impl<T: Send + 'static> Deref for DeferDrop<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Send + 'static> DerefMut for DeferDrop<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

/// Waits until every value dropped so far is destroyed; false from inside a destructor, and after a shutdown.
pub fn flush() -> bool {
    unsafe { sys::defer_drop_flush() == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    struct Tells(mpsc::Sender<std::thread::ThreadId>);

    impl Drop for Tells {
        fn drop(&mut self) {
            self.0.send(std::thread::current().id()).unwrap();
        }
    }

    #[test]
    fn another_thread_drops() {
        let (sender, receiver) = mpsc::channel();
        drop(DeferDrop::new(Tells(sender)));
        assert!(flush());
        assert_ne!(receiver.recv().unwrap(), std::thread::current().id());
    }

    #[test]
    fn a_value_that_is_taken_back_is_not_dropped() {
        let mut words = DeferDrop::new(vec!["one"]);
        words.push("two");
        assert_eq!(DeferDrop::into_inner(words), ["one", "two"]);
    }
}
