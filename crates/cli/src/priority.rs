//! Work in the background steps back for everything else on the machine.

use thread_priority::{ThreadPriority, set_current_thread_priority};

/// Gives the calling thread, and on most systems those that it starts from now on, the lowest priority. A system that does not allow it
/// runs the work as any other.
pub fn step_back() {
    let _ = set_current_thread_priority(ThreadPriority::Min);
}
