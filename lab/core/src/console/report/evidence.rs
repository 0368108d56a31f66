// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a line of a report says by its words, found in one pass over it.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use std::sync::LazyLock;

/// Beginnings of lines that stand in reports and tell nothing more.
const WORDS: &[&str] = &[
    "CPU: ",
    "CPU ",
    "Hardware name:",
    "Modules linked in",
    "Workqueue: ",
    "Code: ",
    "RIP: ",
    "RSP: ",
    "RAX: ",
    "RDX: ",
    "RBP: ",
    "R10: ",
    "R13: ",
    "FS: ",
    "CS: ",
    "CR2: ",
    "DR0: ",
    "DR3: ",
    "PKRU: ",
    "ORIG_RAX",
    "</TASK>",
    "</IRQ>",
    "<NMI>",
    "</NMI>",
    "<EOI>",
    "<EOE>",
    "<SOFTIRQ>",
    "Tainted: ",
    "task: ",
    "Call Trace",
    "---[ end",
    "#",
    "irq event stamp",
    "hardirqs last",
    "softirqs last",
    "but task is already",
    "but there are no more",
    "which lock already",
    "other info that might",
    "Possible ",
    "*** DEADLOCK",
    "Chain exists of",
    "CPU0",
    "----",
    "====",
    "lock(",
    "<Interrupt>",
    "The buggy ",
    "Memory state",
    "page:",
    "flags:",
    "raw:",
    ">ffff",
    "INFO: lockdep is turned off",
    "in_atomic(): ",
    "preempt_count: ",
    "RCU nest depth",
    "Preemption disabled",
    "Oops: ",
    "PGD ",
    "Kernel panic",
    "Kernel Offset",
    "Dumping ftrace",
    "rcu: ",
    "Not tainted",
    "\"echo 0 >",
    "task:",
    "pc : ",
    "lr : ",
    "sp : ",
    "x29: ",
    "x0 : ",
    "pstate: ",
    "Mem abort info",
    "unreferenced object",
    "comm \"",
    "Reported by Kernel",
    "value changed",
    "index ",
    "load of value",
    "shift exponent",
    "Rebooting in",
    "no locks held",
    "invalid opcode",
    "kworker",
    "is freeing memory",
    "is trying to",
    "stack backtrace",
];

/// Words inside of such lines.
const INSIDE: &[&str] = &[
    " locks held by ",
    " lock held by ",
    " is trying to ",
    " Not tainted",
    " locks-bound",
    " by task ",
    "rcu_scheduler_active",
    " tainted ",
];

/// Words that mean something wherever they stand, by their numbers behind those above.
const MEANING: &[&str] = &[" registered at:", "){", "-.-.", "printk messages dropped"];

/// What was found in a line.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Marks {
    /// It stands in reports and keeps one open.
    pub(super) evidence: bool,
    /// `{IN-HARDIRQ-W} state was registered at:`.
    pub(super) registered: bool,
    /// Where the name of a lock ends: its `)` before `{`, or its usage without braces.
    pub(super) lock: Option<usize>,
    /// Messages were lost.
    pub(super) dropped: bool,
}

/// The search for all of them, made once.
static SEARCH: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasick::builder()
        .match_kind(MatchKind::Standard)
        .kind(Some(AhoCorasickKind::DFA))
        .build(WORDS.iter().chain(INSIDE).chain(MEANING))
        .ok()
});

/// Reads the words of a line that has no blanks in front.
pub(super) fn marks(text: &[u8]) -> Marks {
    let mut marks = Marks::default();
    let Some(search) = SEARCH.as_ref() else {
        return marks;
    };
    let meaning = WORDS.len() + INSIDE.len();
    // `){` is told before `-.-.`, wherever the two stand.
    let mut braces = None;
    for found in search.find_overlapping_iter(text) {
        match found.pattern().as_usize() {
            number if number < WORDS.len() => marks.evidence |= found.start() == 0,
            number if number < meaning => marks.evidence = true,
            number if number == meaning => marks.registered = true,
            number if number == meaning + 1 => braces = braces.or(Some(found.start())),
            number if number == meaning + 2 => marks.lock = marks.lock.or(Some(found.start())),
            _ => marks.dropped = true,
        }
    }
    marks.lock = braces.or(marks.lock);
    marks
}
