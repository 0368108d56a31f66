// SPDX-License-Identifier: MIT OR Apache-2.0
//! The scenarios by name: what each drives, where it runs, and what is assumed when nobody says otherwise.
//!
//! The code of a scenario is the guest's; its name, its filesystems and its defaults are what host and guest
//! must agree on, so they stand here once.

/// A scenario as both sides know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Name in profiles and jobs.
    pub name: &'static str,
    /// What it does, one line for people.
    pub about: &'static str,
    /// Kernel functions it is there to reach.
    pub reaches: &'static [&'static str],
    /// Filesystems it can run on; the first [`Known::usual`] of them are taken where a profile names none.
    pub filesystems: &'static [&'static str],
    /// How many of the filesystems a profile gets that names none.
    pub usual: usize,
    /// Parameters where a profile names none. Chosen by measured hit rates.
    pub defaults: Defaults,
}

/// Parameters of a scenario that a profile may leave open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defaults {
    /// Worker threads.
    pub threads: u32,
    /// Names fought over.
    pub names: u32,
    /// Directories.
    pub dirs: u32,
    /// Seconds of work.
    pub seconds: u32,
}

const fn defaults(threads: u32, names: u32, dirs: u32) -> Defaults {
    Defaults {
        threads,
        names,
        dirs,
        seconds: 20,
    }
}

/// The scenarios that look for bugs.
pub const SCENARIOS: &[Known] = &[
    Known {
        name: "lookup-storm",
        about: "parallel lookups of cold, fresh and negative names against create, unlink, rename, link",
        reaches: &[
            "d_alloc_parallel",
            "d_wait_lookup",
            "d_splice_alias",
            "__d_add",
            "__d_move",
        ],
        filesystems: &["tmpfs", "xfs", "ext4", "overlay"],
        usual: 2,
        defaults: defaults(12, 8, 2),
    },
    Known {
        name: "rename-web",
        about: "renames across directories, exchange, NOREPLACE, onto names just looked up, directories into each other",
        reaches: &[
            "d_move",
            "d_exchange",
            "__d_move",
            "lock_rename",
            "d_ancestor",
            "is_subdir",
        ],
        filesystems: &["tmpfs", "xfs", "ext4", "overlay"],
        usual: 2,
        defaults: defaults(8, 6, 4),
    },
    Known {
        name: "rcu-walk",
        about: "long paths walked while components are renamed, unlinked, replaced by symlinks and mounts, or locked away",
        reaches: &[
            "try_to_unlazy",
            "try_to_unlazy_next",
            "__legitimize_path",
            "__legitimize_mnt",
            "__d_lookup_rcu",
            "__follow_mount_rcu",
        ],
        filesystems: &["tmpfs", "xfs", "ext4"],
        usual: 2,
        defaults: defaults(8, 4, 4),
    },
    Known {
        name: "lockref",
        about: "lookups of one path by 1, 2, 4, 8… threads, with their speed, and of last references dropped in bad moments",
        reaches: &[
            "lockref_get_not_dead",
            "lockref_put_return",
            "fast_dput",
            "dput",
            "__dentry_kill",
        ],
        filesystems: &["tmpfs", "xfs", "ext4"],
        usual: 1,
        defaults: defaults(8, 2, 1),
    },
    Known {
        name: "negative",
        about: "very many negative dentries, their reaping, and lookups meanwhile; dentry-state against a model",
        reaches: &[
            "__d_lookup",
            "d_lru_add",
            "dentry_lru_isolate",
            "prune_dcache_sb",
            "shrink_dentry_list",
        ],
        filesystems: &["xfs", "ext4"],
        usual: 2,
        defaults: defaults(6, 200_000, 4),
    },
    Known {
        name: "shrink",
        about: "drop_caches, memory pressure, rmdir and umount of big trees against lookups; umounts must be clean",
        reaches: &[
            "shrink_dcache_parent",
            "d_invalidate",
            "d_genocide",
            "shrink_dcache_for_umount",
            "evict_inodes",
        ],
        filesystems: &["tmpfs", "xfs", "ext4"],
        usual: 2,
        defaults: defaults(8, 64, 4),
    },
    Known {
        name: "nfs-open",
        about: "open of absent names, ls, create and unlink of the same names, from several mounts of one export and from the server's side",
        reaches: &[
            "nfs_atomic_open",
            "d_alloc_parallel",
            "nfs_lookup",
            "nfs_neg_need_reval",
            "nfs4_lookup_revalidate",
            "d_splice_alias",
        ],
        filesystems: &["nfs4.2"],
        usual: 1,
        defaults: defaults(16, 4, 2),
    },
    Known {
        name: "nfs-unlink",
        about: "unlinks of and renames over open files on an NFS loop-back mount, with lookups of the very names meanwhile",
        reaches: &[
            "nfs_sillyrename",
            "nfs_call_unlink",
            "nfs_async_unlink_done",
            "nfs_rename",
            "__nfs_lookup_revalidate",
            "d_alloc_parallel",
        ],
        filesystems: &["nfs4.2"],
        usual: 1,
        defaults: defaults(8, 8, 2),
    },
    Known {
        name: "handles",
        about: "file handles opened after caches were dropped, with renames and unlinks, locally and through nfsd",
        reaches: &[
            "exportfs_decode_fh_raw",
            "reconnect_path",
            "reconnect_one",
            "d_obtain_alias",
            "d_splice_alias",
            "__d_move",
        ],
        filesystems: &["xfs", "nfs4.2", "ext4"],
        usual: 2,
        // Eight chains, each of two directories and a leaf.
        defaults: defaults(8, 8, 2),
    },
    Known {
        name: "fsnotify",
        about: "inotify, fanotify and dnotify marks put on and taken off busy directories, ONESHOT among them; each event owed is counted",
        reaches: &[
            "fsnotify_recalc_mask",
            "fsnotify_destroy_mark",
            "__fsnotify_parent",
            "inotify_handle_inode_event",
            "fsnotify_set_children_dentry_flags",
        ],
        filesystems: &["tmpfs", "xfs", "nfs4.2", "ext4"],
        usual: 3,
        defaults: defaults(8, 20_000, 2),
    },
    Known {
        name: "ci-lookup",
        about: "a case-insensitive XFS whose entries were corrupted into directory loops: lookups that fail half-way",
        reaches: &[
            "d_add_ci",
            "d_alloc_parallel",
            "d_splice_alias",
            "d_lookup_done",
        ],
        filesystems: &["xfs-ci"],
        usual: 1,
        defaults: defaults(6, 6, 1),
    },
    Known {
        name: "rt-dirseq",
        about: "FIFO threads of two priorities on one CPU look up fresh names in one directory",
        reaches: &[
            "start_dir_add",
            "end_dir_add",
            "d_alloc_parallel",
            "__d_add",
        ],
        filesystems: &["tmpfs"],
        usual: 1,
        defaults: defaults(4, 1, 1),
    },
    Known {
        name: "proc-walk",
        about: "/proc/PID/{fd,task,map_files,ns} and /proc/sys walked while tasks come and go",
        reaches: &[
            "pid_revalidate",
            "proc_fill_cache",
            "proc_pid_lookup",
            "proc_sys_lookup",
            "d_alloc_parallel",
        ],
        filesystems: &["proc"],
        usual: 1,
        defaults: defaults(8, 8, 1),
    },
    Known {
        name: "mixed",
        about: "the others side by side on one filesystem, as a load of last resort",
        reaches: &[
            "d_alloc_parallel",
            "d_splice_alias",
            "__d_move",
            "shrink_dcache_parent",
        ],
        filesystems: &["tmpfs", "xfs", "ext4", "overlay", "nfs4.2"],
        usual: 2,
        defaults: defaults(16, 8, 2),
    },
];

/// A trial of the lab itself; see [`TRIALS`].
const fn trial(
    name: &'static str,
    about: &'static str,
    filesystems: &'static [&'static str],
) -> Known {
    Known {
        name,
        about,
        reaches: &[],
        filesystems,
        usual: filesystems.len(),
        defaults: defaults(4, 8, 2),
    }
}

/// The lab's own trials: they end a guest badly on purpose, or are a yardstick. A profile may name them; nothing
/// lists them among the scenarios, for they say nothing of a kernel.
pub const TRIALS: &[Known] = &[
    trial("misbehave-panic", "the kernel panics, by SysRq", &["tmpfs"]),
    trial(
        "misbehave-hang",
        "real-time threads spin on every CPU, above all others",
        &["tmpfs"],
    ),
    trial("misbehave-mute", "the agent says no more", &["tmpfs"]),
    trial("misbehave-reset", "the machine is reset", &["tmpfs"]),
    trial(
        "misbehave-off",
        "the machine is switched off before the work is done",
        &["tmpfs"],
    ),
    trial(
        "misbehave-flood",
        "the console is flooded, at most 4 GiB",
        &["tmpfs"],
    ),
    trial(
        "misbehave-full",
        "the filesystem is filled to the last block; the work goes on",
        &["tmpfs", "xfs", "ext4"],
    ),
    trial(
        "misbehave-stuck",
        "the filesystem is frozen for good, and what writes to it waits",
        &["xfs", "ext4"],
    ),
    trial("misbehave-die", "the agent itself fails", &["tmpfs"]),
    trial(
        "misbehave-fault",
        "the agent touches memory that is not there",
        &["tmpfs"],
    ),
    trial(
        "plain",
        "plain threads over few names, without barriers, fresh names or oracles: what a scenario must beat",
        &["tmpfs", "xfs", "ext4", "nfs4.2"],
    ),
    trial(
        "bare",
        "one system call in a loop with nothing around it: what a scenario's bookkeeping is measured against",
        &["tmpfs"],
    ),
];

/// The scenario or trial of that name.
pub fn known(name: &str) -> Option<&'static Known> {
    SCENARIOS
        .iter()
        .chain(TRIALS)
        .find(|known| known.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_each_scenario_is() {
        for known in SCENARIOS {
            let Known { name, about, .. } = known;
            assert!(!about.is_empty() && !known.reaches.is_empty(), "{name}");
            assert!(
                (1..=known.filesystems.len()).contains(&known.usual),
                "{name}"
            );
        }
        assert!(known("rename-web").is_some() && known("plain").is_some());
        assert_eq!(known("storm"), None);
    }

    #[test]
    fn names_are_used_once_and_trials_stand_apart() {
        let all: Vec<_> = SCENARIOS.iter().chain(TRIALS).map(|k| k.name).collect();
        for name in &all {
            assert_eq!(
                all.iter().filter(|other| *other == name).count(),
                1,
                "{name}"
            );
        }
        assert!(SCENARIOS.iter().all(|k| !k.name.starts_with("misbehave-")));
    }
}
