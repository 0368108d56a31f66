// SPDX-License-Identifier: MIT OR Apache-2.0
//! The shape of `autopsy.json`. Addresses are `0x…` in lower case; every list may be empty, and what a kernel's
//! configuration does not know (held locks without lockdep, NFS) is left out.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Format of `autopsy.json`.
pub const AUTOPSY_FORMAT: u32 = 1;

/// What a dump shows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Autopsy {
    /// [`AUTOPSY_FORMAT`].
    pub format: u32,
    /// Version of drgn.
    pub drgn: String,
    /// `uname -r` of the dumped kernel.
    pub release: String,
    /// GNU build id in the dump, which is that of the `vmlinux` it was read with.
    pub build_id: String,
    /// Kernel time of the dump, seconds since boot.
    pub uptime: f64,
    /// Task that panicked or oopsed, by its id.
    pub crashed: Option<i32>,
    /// The crashed task, those that run, and every blocked one; not idle kernel threads.
    pub tasks: Vec<Task>,
    /// Locks that somebody waits for or that a listed task holds.
    pub locks: Vec<Lock>,
    /// Who waits for what.
    pub waits: Vec<Wait>,
    /// Dentries on a relevant stack, in lookup, or part of a violation.
    pub dentries: Vec<Dentry>,
    /// RPC tasks of the NFS client in flight.
    pub rpc: Vec<RpcTask>,
    /// The audit of the dentry cache.
    pub audit: Option<Audit>,
    /// What could not be read, for people.
    pub warnings: Vec<String>,
}

/// A task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Task {
    /// Thread id.
    pub tid: i32,
    /// Process id.
    pub pid: i32,
    /// Name.
    pub comm: String,
    /// State letter as in /proc/PID/stat.
    pub state: String,
    /// Address of its task_struct.
    pub address: String,
    /// CPU it runs or last ran on.
    pub cpu: Option<u32>,
    /// It was running when the guest was stopped.
    pub on_cpu: bool,
    /// It has no user space.
    pub kernel_thread: bool,
    /// Where it works: `nfs-client`, `nfs-server`, or nothing for local work.
    pub side: Option<String>,
    /// Seconds since it last ran; `None` where it runs or the kernel does not count it.
    pub waited: Option<f64>,
    /// Its stack, innermost first, inlined frames too.
    pub frames: Vec<Frame>,
    /// Locks it holds, by lockdep's own list, first taken first.
    pub held: Vec<Held>,
}

/// A frame of a stack.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Frame {
    /// Function; the address if it has no name.
    pub function: String,
    /// Source file, relative to the tree.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<u32>,
    /// Inlined into the next frame.
    pub inline: bool,
    /// Arguments and locals of interest by name, as the debug information still knows them.
    pub arguments: BTreeMap<String, String>,
}

/// A lock in a task's list of held locks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Held {
    /// Address of the lock; that of its `lockdep_map` where what it lies in is not known.
    pub address: String,
    /// Name of its class.
    pub class: String,
    /// What it is, for people, where that is known: `i_rwsem of /d3 (xfs vdb, inode 131)`.
    pub name: Option<String>,
    /// Held shared.
    pub shared: bool,
    /// Function that took it.
    pub at: Option<String>,
}

/// A lock that matters.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lock {
    /// Its address.
    pub address: String,
    /// `rwsem`, `mutex`, `rt-mutex`, `spinlock`, `semaphore`.
    pub kind: String,
    /// What it is, for people: `i_rwsem of /export/d3 (xfs, inode 131)`.
    pub name: String,
    /// Tasks that own it: one writer, or those known to hold it shared.
    pub owners: Vec<i32>,
    /// The owners hold it shared.
    pub shared: bool,
    /// Tasks that wait for it.
    pub waiters: Vec<i32>,
}

/// One task's wait.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wait {
    /// Who waits.
    pub tid: i32,
    /// What kind of thing it waits for: `lock`, `dentry` (in lookup), `rpc`, `event`.
    pub kind: String,
    /// The thing: address of the lock or dentry, id of the RPC task, or the function it sleeps in.
    pub on: String,
    /// For people: `d_alloc_parallel: «n7» is in lookup`.
    pub what: String,
    /// Tasks that are to end the wait, as far as that is known.
    pub by: Vec<i32>,
}

/// A dentry.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dentry {
    /// Its address.
    pub address: String,
    /// Its name, as stored.
    pub name: String,
    /// Path from the root of its filesystem.
    pub path: String,
    /// `d_flags` as a number.
    pub flags_raw: String,
    /// `d_flags` by name, in the order of the bits, type last.
    pub flags: Vec<String>,
    /// Linked into the hash table (`d_hash.pprev` is not null).
    pub hashed: bool,
    /// `d_hash.next`, as the table holds it.
    pub hash_next: String,
    /// `d_hash.pprev`.
    pub hash_pprev: String,
    /// `DCACHE_PAR_LOOKUP` is set.
    pub in_lookup: bool,
    /// Reference count of its lockref; negative: dead.
    pub count: i64,
    /// Its inode; none: negative.
    pub inode: Option<InodeOf>,
    /// Address of the wait queue that in-lookup waiters sleep on.
    pub wait: Option<String>,
    /// Tasks asleep on that queue, or found waiting for this dentry.
    pub waiters: Vec<i32>,
    /// Its parent's address.
    pub parent: String,
    /// Type and id of its superblock: `xfs vdb`.
    pub superblock: String,
    /// Where that is mounted, if it is.
    pub mount: Option<String>,
    /// `nfs-client`, `nfs-server` (the exported filesystem), or nothing.
    pub side: Option<String>,
    /// Why it is listed: `dentry in frame 3 (d_alloc_parallel) of w3:71`.
    pub why: Vec<String>,
}

/// What is told of an inode.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InodeOf {
    /// Address.
    pub address: String,
    /// Number.
    pub number: u64,
    /// `directory`, `file`, `symlink`…
    pub kind: String,
    /// Hard links.
    pub links: u32,
    /// References.
    pub count: i64,
    /// `i_dir_seq`, where the kernel has it: odd while an entry is being added.
    pub dir_seq: Option<u32>,
}

/// An RPC task of the NFS client.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RpcTask {
    /// Its number (`tk_pid`).
    pub id: u32,
    /// Procedure.
    pub procedure: String,
    /// `tk_status`.
    pub status: i32,
    /// Where it sleeps.
    pub queue: Option<String>,
    /// Task that waits for it, if known.
    pub owner: Option<i32>,
}

/// The audit of the dentry cache.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Audit {
    /// How many of what was looked at: `dentries`, `hashed`, `in-lookup`, `negative`, `waiters`…
    pub counted: BTreeMap<String, u64>,
    /// What is not as it must be.
    pub violations: Vec<Violation>,
    /// Seconds that it took.
    pub seconds: f64,
}

/// A rule of the dentry cache that is broken in a dump.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Violation {
    /// A short fixed phrase without numbers or names, which becomes the finding's title: `two hashed dentries of one
    /// parent and name`.
    pub rule: String,
    /// What was seen, with values.
    pub detail: String,
    /// Dentries it is about, by address.
    pub dentries: Vec<String>,
    /// Tasks it is about.
    pub tasks: Vec<i32>,
    /// How often the rule is broken.
    pub times: u64,
}
