//! A panic is a bug of ours. Who panics tells its supervisor, in place of a text on a stderr that is the guest's.

use std::os::fd::{BorrowedFd, RawFd};

use serde::Serialize;
use wasmproc_sandbox as sandbox;

use super::channel::send_over;
use crate::cause::exit_code;

/// From now on a panic of this process is its end, and is told as `message` over the socket `control`.
pub(crate) fn tell_panics<M: Serialize + 'static>(control: RawFd, message: fn(String) -> M) {
    std::panic::set_hook(Box::new(move |panic| {
        // SAFETY: whoever calls this keeps its control socket open for as long as it lives; on any other descriptor
        // sending fails, which is all right here.
        #[expect(unsafe_code, reason = "the owner of the descriptor is somewhere up the stack")]
        let control = unsafe { BorrowedFd::borrow_raw(control) };
        let _ = send_over(control, &message(format!("{panic}; please report it")), &[]);
        sandbox::exit_now(exit_code::WASMPROC_FAILED)
    }));
}
