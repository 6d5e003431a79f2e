// SPDX-License-Identifier: MIT
//
// A crossbeam channel that carries a box for each drop, and a thread that empties it; for C.

use crossbeam_channel::{bounded, unbounded, Sender};
use std::ffi::c_void;
use std::thread::{spawn, JoinHandle};

type Destroy = extern "C" fn(*mut c_void);

struct Pair {
    object: *mut c_void,
    destroy: Destroy,
}

// The object is handed over: its former thread does not touch it again.
unsafe impl Send for Pair {}

pub struct Channel {
    sender: Sender<Box<Pair>>,
    consumer: JoinHandle<()>,
}

/// bound: pairs that wait at most; 0: any number.
#[no_mangle]
pub extern "C" fn crossbeam_begin(bound: usize) -> *mut Channel {
    let (sender, receiver) = if bound == 0 { unbounded() } else { bounded(bound) };
    let consumer = spawn(move || {
        for pair in receiver {
            let pair: Box<Pair> = pair;
            (pair.destroy)(pair.object);
        }
    });
    Box::into_raw(Box::new(Channel { sender, consumer }))
}

/// Pushes a drop so many times.
///
/// # Safety
/// channel: from crossbeam_begin, and not ended.
#[no_mangle]
pub unsafe extern "C" fn crossbeam_push(
    channel: *const Channel,
    count: u64,
    object: *mut c_void,
    destroy: Destroy,
) {
    let sender = &(*channel).sender;
    for _ in 0..count {
        if sender.send(Box::new(Pair { object, destroy })).is_err() {
            std::process::abort();
        }
    }
}

/// # Safety
/// channel: from crossbeam_begin; nobody uses it any more.
#[no_mangle]
pub unsafe extern "C" fn crossbeam_end(channel: *mut Channel) {
    let Channel { sender, consumer } = *Box::from_raw(channel);
    drop(sender);
    if consumer.join().is_err() {
        std::process::abort();
    }
}
