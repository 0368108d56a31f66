// SPDX-License-Identifier: MIT OR Apache-2.0
//! How tasks, dentries and stacks are said, the same in text, graph and table.

use super::model::{Autopsy, Dentry, Frame, Task};
use crate::text::harmless;
use serde_json::Value;

/// `w1:71`.
pub(super) fn task_name(task: &Task) -> String {
    format!("{}:{}", task.comm, task.tid)
}

/// The name of a task by its id; `task 71` if it is not listed.
pub fn name_of(autopsy: &Autopsy, tid: i32) -> String {
    let task = autopsy.tasks.iter().find(|task| task.tid == tid);
    task.map_or_else(|| format!("task {tid}"), task_name)
}

/// `dentry "n3"`.
pub(super) fn dentry_title(dentry: &Dentry) -> String {
    format!("dentry \"{}\"", dentry.name)
}

/// `fs/dcache.c:2534`, or nothing.
pub(super) fn place(frame: &Frame) -> String {
    match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!("{file}:{line}"),
        (Some(file), None) => file.clone(),
        (None, _) => String::new(),
    }
}

/// The frames of a crashed task below those of the crash itself: from the function that the exception or interrupt came
/// in on, or from the one that called for the panic.
pub fn crash_frames(task: &Task) -> &[Frame] {
    let frames = task.frames.as_slice();
    let entry = (frames.iter()).position(|frame| frame.function.starts_with("asm_"));
    let entered = entry.map_or(&[][..], |at| &frames[at + 1..]);
    let down = (frames.iter()).rposition(|frame| is_crash(&frame.function));
    let called = down.map_or(frames, |at| &frames[at + 1..]);
    match (entered, called) {
        // Where nothing follows, it is user space that was interrupted.
        ([], []) => frames,
        ([], called) => called,
        (entered, _) => entered,
    }
}

/// Functions by which a kernel goes down; what they call tells the world of it.
fn is_crash(function: &str) -> bool {
    const DOWN: &[&str] = &[
        "crash_setup_regs",
        "__crash_kexec",
        "crash_kexec",
        "panic",
        "vpanic",
        "nmi_panic",
        "panic_smp_self_stop",
        "oops_exit",
        "oops_end",
        "oops_begin",
        "die",
        "__die",
        "die_addr",
        "page_fault_oops",
        "make_task_dead",
        "check_panic_on_warn",
        "__warn",
        "warn_slowpath_fmt",
        "delay_tsc",
        "__const_udelay",
        "mdelay",
    ];
    DOWN.contains(&function)
}

/// Functions that sleep on behalf of others: what matters is who called them.
fn is_sleep(function: &str) -> bool {
    const SLEEPS: &[&str] = &[
        "context_switch",
        "__schedule",
        "__schedule_loop",
        "schedule",
        "schedule_preempt_disabled",
        "schedule_rtlock",
        "preempt_schedule",
        "preempt_schedule_common",
        "preempt_schedule_irq",
        "preempt_schedule_thunk",
        "preempt_schedule_notrace",
        "__cond_resched",
        "schedule_timeout",
        "io_schedule",
        "rt_mutex_schedule",
        "rtlock_slowlock_locked",
        "rtlock_slowlock",
        "rtlock_lock",
        "__rt_spin_lock",
        "rt_spin_lock",
        "spin_lock",
        "rwbase_write_lock",
        "rwbase_read_lock",
        "__rwbase_read_lock",
        "rwsem_down_write_slowpath",
        "rwsem_down_read_slowpath",
        "__down_write_common",
        "__down_write",
        "__down_read_common",
        "__down_read",
        "__down_read_killable",
        "__down_write_killable",
        "down_write",
        "down_write_nested",
        "down_read",
        "down_read_nested",
        "down_read_killable",
        "down_write_killable",
        "inode_lock",
        "inode_lock_shared",
        "inode_lock_nested",
        "__mutex_lock_common",
        "__mutex_lock",
        "__mutex_lock_slowpath",
        "mutex_lock",
        "mutex_lock_nested",
        "rt_mutex_handle_deadlock",
        "rt_mutex_slowlock_block",
        "rt_mutex_slowlock",
        "__rt_mutex_slowlock",
        "__rt_mutex_slowlock_locked",
        "__rt_mutex_lock",
        "_mutex_lock_nest_lock",
        "wait_for_completion",
        "__wait_for_common",
        "do_wait_for_common",
        "wait_for_common",
        "d_wait_lookup",
    ];
    SLEEPS.contains(&function)
}

/// The function in which a task is stuck, or at work: what its wait says, else the first on its stack that is no helper of
/// sleeping and locking.
pub fn stuck_in<'a>(autopsy: &'a Autopsy, task: &'a Task) -> Option<&'a str> {
    let wait = autopsy.waits.iter().find(|wait| wait.tid == task.tid);
    let named = wait.and_then(|wait| wait.what.split_once(':'));
    if let Some((function, _)) = named.filter(|_| !task.on_cpu) {
        return Some(function);
    }
    // What runs, or was put aside while it ran, is where it was interrupted.
    let frames = match task.on_cpu || task.state == "R" {
        true => crash_frames(task),
        false => &task.frames,
    };
    let matters = frames.iter().find(|frame| !is_sleep(&frame.function));
    matters.map(|frame| frame.function.as_str())
}

/// The same autopsy with all its strings fit for a terminal and a page: they come from a stranger's kernel. Also line
/// ends and tabs within a string become visible.
pub(super) fn harmless_autopsy(autopsy: &Autopsy) -> Autopsy {
    let cleaned = serde_json::to_value(autopsy)
        .map(clean)
        .and_then(serde_json::from_value);
    cleaned.unwrap_or_else(|error| Autopsy {
        warnings: vec![format!("this autopsy cannot be shown: {error}")],
        ..Autopsy::default()
    })
}

fn clean(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(fit(&text)),
        Value::Array(all) => Value::Array(all.into_iter().map(clean).collect()),
        Value::Object(all) => {
            let all = all.into_iter().map(|(key, v)| (fit(&key), clean(v)));
            Value::Object(all.collect())
        }
        other => other,
    }
}

/// Text of a stranger as it may stand within a line.
pub(super) fn fit(text: &str) -> String {
    harmless(&text.replace('\t', " "))
}
