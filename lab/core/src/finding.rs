// SPDX-License-Identifier: MIT OR Apache-2.0
//! A finding: one thing that a kernel did wrong, with an identity that two runs share.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Format of `findings.json`.
pub const FINDINGS_FORMAT: u32 = 1;

/// What kind of trouble it is. Kebab-case in JSON and in signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Page fault, general protection fault, other die().
    Oops,
    /// BUG() / BUG_ON().
    Bug,
    /// WARN*().
    Warning,
    /// Any lockdep report.
    Lockdep,
    /// Sleeping function called from invalid context; scheduling while atomic.
    AtomicSleep,
    /// Suspicious RCU usage and other RCU misuse.
    Rcu,
    /// RCU stall.
    RcuStall,
    /// A task that waits for good.
    HungTask,
    /// Soft lockup.
    SoftLockup,
    /// Hard lockup, NMI watchdog.
    HardLockup,
    /// Workqueue lockup.
    WorkqueueLockup,
    /// KASAN report.
    Kasan,
    /// KFENCE report.
    Kfence,
    /// KMSAN report.
    Kmsan,
    /// KCSAN data race.
    Kcsan,
    /// UBSAN report.
    Ubsan,
    /// list_add / list_del corruption.
    ListCorruption,
    /// refcount_t misuse.
    Refcount,
    /// usercopy, fortify.
    Usercopy,
    /// ODEBUG.
    ObjectDebug,
    /// kmemleak, leaked resources.
    Leak,
    /// Stack overflow, double fault.
    StackOverflow,
    /// Bad page, slab corruption, out of memory.
    Memory,
    /// A filesystem's own complaint: XFS assertion, ext4 error, busy inodes after unmount…
    Filesystem,
    /// Panic with no other report before it.
    Panic,
    /// The kernel rebooted by itself.
    Reboot,
    /// An oracle of the workload saw a wrong answer.
    WrongResult,
    /// A rule of the dentry cache is broken in a dump of the guest's memory.
    DcacheAudit,
    /// Something took far longer than it usually does, and came to its end.
    Slow,
    /// The guest went silent: no console, no agent.
    Silence,
}

impl Class {
    /// The name used in JSON, signatures and tables.
    pub fn name(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|v| v.as_str().map(str::to_owned))
            .unwrap_or_default()
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// How much a report weighs by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// May be innocent (a hung-task line of a task that later goes on).
    Suspicion,
    /// Counts in a verdict.
    Finding,
}

/// One report, derived from console or agent; can be made again from the raw record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind.
    pub class: Class,
    /// For people, the field's own words: `BUG: sleeping function called from invalid context in __d_add`.
    pub title: String,
    /// The function that matters, not the messenger.
    pub function: Option<String>,
    /// Other titles of the same bug.
    pub alt: Vec<String>,
    /// Identity: class + function + normalised title; no numbers, addresses, task names.
    pub signature: String,
    /// Suspicion or finding.
    pub weight: Weight,
    /// The report is cut or interleaved.
    pub torn: bool,
    /// First byte of the report in the console.
    pub start: u64,
    /// One past its last byte.
    pub end: u64,
    /// Kernel time of its first line, seconds since boot, where the console has times.
    pub time: Option<f64>,
    /// An earlier report in this boot came first: lockdep is off or the kernel tainted since.
    pub after_first: bool,
}

impl Finding {
    /// Whether both are one bug: by signature, or because one calls by an alternative title what the other calls by its own
    /// (`bad-access in F` of KASAN and of the page fault that came instead of it).
    ///
    /// Titles meet only where both name a function: without one, as in `kernel panic: Fatal exception`, the same words tell
    /// of anything. Lock reports are told apart by their locks, and never by where one of them was taken.
    pub fn same_bug(&self, other: &Self) -> bool {
        if self.signature == other.signature {
            return true;
        }
        let named = |finding: &Self| finding.function.is_some() && finding.class != Class::Lockdep;
        named(self)
            && named(other)
            && self
                .titles()
                .any(|title| other.titles().any(|same| same == title))
    }

    /// Its title and the alternative ones.
    pub fn titles(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.title.as_str()).chain(self.alt.iter().map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(class: Class, function: Option<&str>, title: &str, alt: &[&str]) -> Finding {
        Finding {
            class,
            title: title.to_owned(),
            function: function.map(str::to_owned),
            alt: alt.iter().map(|alt| (*alt).to_owned()).collect(),
            signature: format!("{class}/{}/{title}", function.unwrap_or("-")),
            weight: Weight::Finding,
            torn: false,
            start: 0,
            end: 1,
            time: None,
            after_first: false,
        }
    }

    #[test]
    fn alternatives_meet() {
        let kasan = finding(
            Class::Kasan,
            Some("dput"),
            "KASAN: slab-use-after-free Read in dput",
            &["bad-access in dput"],
        );
        let oops = finding(
            Class::Oops,
            Some("dput"),
            "general protection fault in dput",
            &["bad-access in dput"],
        );
        let elsewhere = finding(
            Class::Oops,
            Some("iput"),
            "general protection fault in iput",
            &["bad-access in iput"],
        );
        assert!(kasan.same_bug(&oops) && oops.same_bug(&kasan) && oops.same_bug(&oops));
        assert!(!kasan.same_bug(&elsewhere) && !elsewhere.same_bug(&oops));
    }

    #[test]
    fn words_without_a_function_do_not_meet_and_locks_meet_by_their_classes_only() {
        let mut panic = finding(Class::Panic, None, "kernel panic: Fatal exception", &[]);
        let mut other = panic.clone();
        assert!(panic.same_bug(&other));
        (panic.signature, other.signature) = ("a".to_owned(), "b".to_owned());
        assert!(!panic.same_bug(&other));
        let mut here = finding(
            Class::Lockdep,
            Some("do_unlinkat"),
            "possible deadlock in do_unlinkat",
            &[],
        );
        let mut there = here.clone();
        here.signature = "lockdep/a + b/possible deadlock".to_owned();
        there.signature = "lockdep/a + c/possible deadlock".to_owned();
        assert!(!here.same_bug(&there));
    }
}
