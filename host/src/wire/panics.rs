//! A panic is a bug of ours, and memory may be short. Who ends of it tells its supervisor, in place of a text on a stderr
//! that is the guest's.

use std::os::fd::{BorrowedFd, RawFd};

use serde::Serialize;
use wasmproc_sandbox as sandbox;

use super::channel::send_over;
use crate::allocator;
use crate::cause::exit_code;

/// What a lack of memory panics with.
struct Lack;

/// From now on a panic of this process is its end, and is told as `message` over the socket `control`; so is a lack of
/// memory.
pub(crate) fn tell_panics<M: Serialize + 'static>(control: RawFd, message: fn(String) -> M) {
    std::panic::set_hook(Box::new(move |panic| {
        let text = match panic.payload().is::<Lack>() {
            true => "no memory is left".to_owned(),
            false => format!("{panic}; please report it"),
        };
        tell_last(control, &message(text));
        sandbox::exit_now(exit_code::WASMPROC_FAILED)
    }));
    // The hook never returns, so nothing unwinds through the allocator.
    allocator::on_lack(|| std::panic::panic_any(Lack));
}

/// The last words of a process, over the socket `control`.
pub(crate) fn tell_last<M: Serialize>(control: RawFd, message: &M) {
    // SAFETY: whoever calls this keeps its control socket open for as long as it lives; on any other descriptor
    // sending fails, which is all right here.
    #[expect(unsafe_code, reason = "the owner of the descriptor is somewhere up the stack")]
    let control = unsafe { BorrowedFd::borrow_raw(control) };
    let _ = send_over(control, message, &[]);
}
