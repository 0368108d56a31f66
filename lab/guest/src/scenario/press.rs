// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory pressure: so much is taken that the kernel's own thread begins to reclaim, and given back at once.
//!
//! The kernel is told to keep a good part of memory free. So it reclaims while there is still plenty, and nothing
//! is ever killed for want of memory.

use super::fault::Fault;
use crate::ops::mem::Region;
use crate::proc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Where the kernel is told from when on to reclaim: 10000 means all memory.
const SCALE: &str = "/proc/sys/vm/watermark_scale_factor";
/// 30% of memory, the most that it takes: reclaim begins there and goes on to twice as much.
const EARLY: &str = "3000";
/// Taken at a time.
const PIECE: usize = 4 << 20;
/// Never taken: what the rest of the guest may need at once, KiB.
const LEFT: u64 = 96 << 10;
/// Most that is taken, KiB: a large guest's memory is its host's, too.
const MOST: u64 = 1 << 20;
/// Longest that memory is taken for.
const LONGEST: Duration = Duration::from_secs(3);

/// The right to press. It exists in a guest only, and one at a time uses it.
#[derive(Debug)]
pub(crate) struct Press {
    before: String,
    pressing: AtomicBool,
    /// Times that reclaim had reason to begin.
    times: AtomicU64,
}

impl Press {
    /// Tells the kernel to reclaim early; `None` elsewhere than in a guest, or where it cannot be told.
    pub(crate) fn open() -> Option<Self> {
        if std::process::id() != 1 {
            return None;
        }
        let before = std::fs::read_to_string(SCALE).ok()?;
        std::fs::write(SCALE, EARLY).ok()?;
        Some(Self {
            before,
            pressing: AtomicBool::new(false),
            times: AtomicU64::new(0),
        })
    }

    /// Takes memory until little is free, and gives it back; nothing, if somebody else is at it.
    pub(crate) fn press(&self, stop: &AtomicBool) -> Result<(), Fault> {
        if self.pressing.swap(true, Ordering::Acquire) {
            return Ok(());
        }
        let pressed = self.take(stop);
        self.pressing.store(false, Ordering::Release);
        pressed
    }

    fn take(&self, stop: &AtomicBool) -> Result<(), Fault> {
        let Some(room) = proc::memory().and_then(|memory| memory.to_take()) else {
            return Ok(());
        };
        let room = room as usize * 1024;
        let mut region = Region::new(room).map_err(Fault::Answer)?;
        let begun = Instant::now();
        for from in (0..room).step_by(PIECE) {
            region.touch(from, PIECE);
            let enough = proc::memory().is_none_or(|memory| memory.free < LEFT);
            if enough || stop.load(Ordering::Relaxed) || begun.elapsed() > LONGEST {
                return Ok(());
            }
        }
        self.times.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// How often memory was short enough.
    pub(crate) fn times(&self) -> u64 {
        self.times.load(Ordering::Relaxed)
    }
}

impl Drop for Press {
    fn drop(&mut self) {
        // Of several at once, the first knows what there was before.
        if self.before.trim_end() != EARLY {
            // It was written before; if it cannot be any more, the kernel only reclaims too early.
            let _ = std::fs::write(SCALE, self.before.trim_end());
        }
    }
}

impl proc::Memory {
    /// What may be taken so that reclaim begins and nobody starves, KiB; `None` where that is too much.
    fn to_take(self) -> Option<u64> {
        // Reclaim begins at 30%; at a quarter it is well under way.
        let wanted = self.free.checked_sub(self.total / 4)?;
        (wanted <= MOST && self.free > wanted + LEFT).then_some(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_much_is_taken_that_reclaim_begins_and_enough_is_left() {
        let memory = |total: u64, free: u64| proc::Memory { total, free };
        assert_eq!(memory(1_000_000, 900_000).to_take(), Some(650_000));
        assert_eq!(memory(1_000_000, 200_000).to_take(), None);
        assert_eq!(memory(16_000_000, 15_000_000).to_take(), None);
        assert_eq!(memory(200_000, 180_000).to_take(), None);
    }
}
