// SPDX-License-Identifier: MIT OR Apache-2.0
//! What this machine is: kernel, cores, memory, accelerator, versions that matter for a result.

use super::tools::version;
use crate::error::Result;
use crate::stop::Stop;
use crate::store::Host;
use crate::vm;
use std::path::Path;

/// Memory kept for the host itself, MiB.
const HOST_MIB: u64 = 1024;

/// Looks at the machine; tries KVM by a real boot (remembered until the host boots again).
///
/// # Errors
/// When QEMU is missing.
pub async fn survey(cache: &Path, stop: Stop) -> Result<Host> {
    let qemu = vm::Qemu::find().await?;
    let probe = vm::probe(cache, stop).await?;
    Ok(Host {
        kernel: nix::sys::utsname::uname()
            .map(|u| u.release().to_string_lossy().into_owned())
            .unwrap_or_default(),
        cpus: cpus(),
        memory_mib: memory_mib("MemTotal:"),
        accel: probe.accel,
        accel_reason: probe.reason,
        // The QEMU that boots, which need not be the first in the path.
        tools: std::iter::once(qemu.version)
            .chain(version("gcc", "--version"))
            .collect(),
    })
}

/// CPUs that this process may use.
pub fn cpus() -> u32 {
    std::thread::available_parallelism().map_or(1, |n| n.get() as u32)
}

/// Memory that builds and boots may use together, MiB.
pub fn memory_budget_mib() -> u32 {
    let available = memory_mib("MemAvailable:")
        .saturating_sub(HOST_MIB)
        .max(HOST_MIB);
    u32::try_from(available).unwrap_or(u32::MAX)
}

/// A line of /proc/meminfo, MiB; 0 if it is not there.
pub fn memory_mib(key: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text
        .lines()
        .find(|line| line.starts_with(key))
        .unwrap_or_default();
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<u64>().ok())
        .unwrap_or(0)
        / 1024
}
