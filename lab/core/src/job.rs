// SPDX-License-Identifier: MIT OR Apache-2.0
//! Job files: a build and a boot as values. `lab job FILE` runs one and leaves a folder of results,
//! leaning on nothing but the file, so that any scheduler can start it.

use crate::outcome::BootOutcome;
use lab_wire::GuestJob;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Format of job and report files.
pub const JOB_FORMAT: u32 = 2;

/// A job file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// [`JOB_FORMAT`].
    pub format: u32,
    /// Folder (absolute) that receives the results; made if absent.
    pub out: PathBuf,
    /// What to do.
    #[serde(flatten)]
    pub work: Work,
}

/// What a job does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "job")]
pub enum Work {
    /// Make a kernel.
    Build(BuildJob),
    /// Boot one and exercise it.
    Boot(BootJob),
}

/// Make a kernel from a commit and a configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BuildJob {
    /// Repository (bare or not) that holds the commit.
    pub tree: PathBuf,
    /// Full commit id.
    pub commit: String,
    /// For people: `base`, or `patch 3/7: subject`.
    pub label: String,
    /// Name of the profile.
    pub profile: String,
    /// What is asked of the configuration.
    pub config: ConfigRequest,
    /// Files the patch touches, whose new compiler warnings are reported.
    pub touched: Vec<String>,
    /// Folder of the lab's cache (finished kernels, work folders, ccache).
    pub cache: PathBuf,
    /// Parallelism of make.
    pub cores: u32,
    /// Run make without a sandbox (the user said so).
    pub no_sandbox: bool,
    /// Seconds the build may take.
    pub limit_seconds: u64,
}

/// A kernel configuration as a profile asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigRequest {
    /// make target it starts from, e.g. `allnoconfig`.
    pub start: String,
    /// Options in the order in which they are set; a later one of the same name wins.
    pub options: Vec<ConfigOption>,
}

/// One requested option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigOption {
    /// Symbol without `CONFIG_`.
    pub name: String,
    /// `y`, `n`, `m`, a number, or a quoted string.
    pub value: String,
    /// May be lost without failing the build.
    pub optional: bool,
    /// Where it was asked for: `fragments/lockdep.config:4`.
    pub origin: String,
}

/// What a build left: `build.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BuildReport {
    /// [`JOB_FORMAT`].
    pub format: u32,
    /// How it ended.
    pub outcome: BuildOutcome,
    /// Key of tree, configuration and toolchain: names the folder in the cache.
    pub key: String,
    /// Folder with `bzImage`, `vmlinux`, `System.map`, `config`; present when built.
    pub kernel: Option<PathBuf>,
    /// Found ready in the cache; make was not run.
    pub reused: bool,
    /// Seconds of wall time for the whole job.
    pub seconds: f64,
    /// Seconds of wall time inside make.
    pub make_seconds: f64,
    /// Objects compiled or linked.
    pub objects: u32,
    /// `uname -r` of the kernel.
    pub release: Option<String>,
    /// GNU build id of `vmlinux`, hexadecimal: what a dump of this kernel carries.
    #[serde(default)]
    pub build_id: Option<String>,
    /// First line of the compiler's --version.
    pub compiler: String,
    /// Requested options that this tree has no symbol for, and optional ones that were lost.
    pub lost_options: Vec<String>,
    /// Compiler warnings in touched files: `file:line: words`.
    pub warnings: Vec<Diagnostic>,
}

/// How a build ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "as")]
pub enum BuildOutcome {
    /// The kernel is there.
    Built,
    /// The code does not compile or link.
    Broken {
        /// The compiler's or linker's first error.
        error: Diagnostic,
    },
    /// Requested options did not survive.
    ConfigLost {
        /// Each with what it depends on, for people.
        options: Vec<String>,
    },
    /// The lab or the host failed (disk full, sandbox, no tool).
    RigFailed {
        /// What it was and what to try.
        reason: String,
    },
    /// Took longer than its limit.
    TimedOut,
    /// The user stopped the lab.
    Interrupted,
}

/// What a compiler said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Source file, relative to the tree, where known.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<u32>,
    /// The words.
    pub message: String,
    /// Lines of output around it.
    pub context: Vec<String>,
}

/// Boot a kernel and exercise it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BootJob {
    /// Folder with `bzImage` (see [`BuildReport::kernel`]).
    pub kernel: PathBuf,
    /// Folder of the lab's cache (disk images).
    pub cache: PathBuf,
    /// For people: `patch 3/7 rt`.
    pub label: String,
    /// The machine.
    pub machine: Machine,
    /// Extra kernel arguments, in order.
    pub append: Vec<String>,
    /// What the guest is to do.
    pub guest: GuestJob,
    /// Time limits.
    pub limits: Limits,
    /// End the run at the first finding.
    pub until_hit: bool,
    /// What is kept of it besides its console.
    #[serde(default)]
    pub evidence: EvidencePlan,
    /// TCP port on the loop-back at which QEMU waits for a debugger before the first instruction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gdb: Option<u16>,
}

/// What evidence a boot takes of a kernel that failed, and whether it looks at one that did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidencePlan {
    /// Which failures leave a dump of the guest's memory.
    pub dump: DumpPolicy,
    /// Compressed size at which a dump is cut, MiB.
    pub dump_mib: u32,
    /// Dump and audit the dentry cache at the end of each scenario, too.
    pub audit: bool,
}

impl Default for EvidencePlan {
    /// What a job of an older lab meant, which knew of no dumps.
    fn default() -> Self {
        Self {
            dump: DumpPolicy::None,
            dump_mib: 512,
            audit: false,
        }
    }
}

/// Which dumps are taken and kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DumpPolicy {
    /// No dump is taken.
    None,
    /// One is taken of each failure, and kept for the first of each signature in a set.
    #[default]
    First,
    /// All are kept.
    All,
}

/// The virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Virtual CPUs.
    pub cpus: u32,
    /// Memory, MiB.
    pub memory_mib: u32,
    /// Accelerator.
    pub accel: Accel,
    /// Scratch disks the scenarios need (`/dev/vda`…), attached so that they are never written to.
    pub disks: Vec<Disk>,
}

/// A scratch disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// Size, MiB; sparse on the host.
    pub mib: u32,
    /// Filesystem it comes formatted with (`xfs`, `ext4`); none: empty.
    #[serde(default)]
    pub fs: Option<String>,
}

/// Accelerator, after probing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accel {
    /// Hardware.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

/// Time and size limits of a boot, all in seconds unless said otherwise. They are for this machine:
/// a profile's factor for slow kernels is already in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// From QEMU's start to the first console byte.
    pub firmware: u32,
    /// From there to the agent's hello.
    pub kernel: u32,
    /// Silence of the agent that counts as lost.
    pub agent: u32,
    /// Over a scenario's own seconds, before it counts as overrun.
    pub scenario_extra: u32,
    /// After a suspicion: wait for the rest of the report.
    pub settle: u32,
    /// For threads to stop and the guest to power off.
    pub drain: u32,
    /// Console bytes kept from the head and again from the tail, MiB each.
    pub console_mib: u32,
}

/// What a boot left: `recording.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    /// [`JOB_FORMAT`].
    pub format: u32,
    /// How it ended.
    pub outcome: BootOutcome,
    /// Seconds from starting QEMU to its exit.
    pub seconds: f64,
    /// Seconds from starting QEMU to the agent's hello.
    pub agent_up: Option<f64>,
    /// Seconds from starting QEMU to the first operation.
    pub first_operation: Option<f64>,
    /// Seconds that scenarios really ran: the exposure.
    pub exposure: f64,
    /// Accelerator used.
    pub accel: Accel,
    /// The exact argv of QEMU.
    pub argv: Vec<String>,
    /// QEMU's version line.
    pub qemu: String,
    /// `uname -r` the guest reported.
    pub release: Option<String>,
    /// Bytes the console printed.
    pub console_bytes: u64,
    /// Bytes cut out of the stored console, after the head.
    pub console_cut: u64,
    /// What the lab noticed and did, in order, for people.
    pub remarks: Vec<String>,
    /// Dumps of the guest's memory, in the run's folder.
    #[serde(default)]
    pub dumps: Vec<DumpRecord>,
}

/// One dump of a guest's memory: an ELF core with vmcoreinfo, compressed with zstd.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DumpRecord {
    /// File in the run's folder.
    pub file: String,
    /// Why it was taken, for people.
    pub why: String,
    /// The scenario at whose end it was taken, if it is for an audit.
    pub scenario: Option<u32>,
    /// Bytes of the core.
    pub bytes: u64,
    /// Bytes of the file.
    pub stored: u64,
    /// Seconds that it took, from asking QEMU to the last byte stored.
    pub seconds: f64,
    /// It is all there: neither cut at its limit nor by an error.
    pub whole: bool,
}
