// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where and how urgently a thread runs. All of it does nothing elsewhere than in a guest: a real-time thread of
//! ours on somebody's machine would be no kindness.

use super::{Answer, errno};

/// Makes the calling thread a SCHED_FIFO thread of that priority; 0 makes it an ordinary one again.
///
/// # Errors
/// The errno of the kernel.
pub(crate) fn fifo(priority: i32) -> Answer<()> {
    fifo_thread(0, priority)
}

/// Makes a thread a SCHED_FIFO thread of that priority; 0 makes it an ordinary one again.
///
/// # Errors
/// The errno of the kernel.
pub(crate) fn fifo_thread(tid: i32, priority: i32) -> Answer<()> {
    let policy = if priority == 0 {
        libc::SCHED_OTHER
    } else {
        libc::SCHED_FIFO
    };
    let param = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: `param` outlives the call; the library's function of that name may mean the process, not the thread.
    in_guest(|| unsafe {
        libc::syscall(libc::SYS_sched_setscheduler, tid, policy, &raw const param)
    })
}

/// The thread of a guest that starts all others.
pub(crate) const COORDINATOR: i32 = 1;
/// Bits of a word of a set of CPUs.
const BITS: usize = u64::BITS as usize;

/// Keeps the calling thread on one CPU.
///
/// # Errors
/// The errno of the kernel; EINVAL for a CPU that is not there.
pub(crate) fn pin(cpu: usize) -> Answer<()> {
    pin_thread(0, cpu)
}

/// Keeps a thread on one CPU.
///
/// # Errors
/// As [`pin`].
pub(crate) fn pin_thread(tid: i32, cpu: usize) -> Answer<()> {
    let mut set = [0; 16];
    match set.get_mut(cpu / BITS) {
        Some(word) => *word = 1 << (cpu % BITS),
        None => return Err(libc::EINVAL),
    }
    allow(tid, &set)
}

/// Lets a thread run on every CPU.
///
/// # Errors
/// The errno of the kernel.
pub(crate) fn unpin_thread(tid: i32) -> Answer<()> {
    allow(tid, &[u64::MAX; 16])
}

fn allow(tid: i32, set: &[u64; 16]) -> Answer<()> {
    // SAFETY: the set is valid for the length given.
    in_guest(|| unsafe {
        libc::syscall(
            libc::SYS_sched_setaffinity,
            tid,
            size_of_val(set),
            set.as_ptr(),
        )
    })
}

/// CPUs that threads may run on.
pub(crate) fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn in_guest(call: impl FnOnce() -> libc::c_long) -> Answer<()> {
    if std::process::id() == 1 && call() < 0 {
        return Err(errno());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_beyond_all_is_refused() {
        assert_eq!(pin(16 * 64), Err(libc::EINVAL));
        assert!(cpus() > 0);
    }
}
