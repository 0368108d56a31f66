// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line of QEMU, exactly, from a job and the descriptors that QEMU inherits.

use lab_core::job::{Accel, BootJob, Machine};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

/// What QEMU inherits, by number. No socket and no initramfs has a name, so that nothing can be left behind
/// and no path is too long.
#[derive(Debug, Clone)]
pub(super) struct Inherited {
    pub(super) console: RawFd,
    pub(super) agent: RawFd,
    pub(super) qmp: RawFd,
    pub(super) initramfs: RawFd,
}

/// Denies what an emulator of this kind never needs; see «-sandbox» in qemu(1).
const SANDBOX: &str = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";

/// QEMU's machine. On `pc` the routing of PCI interrupts is an ACPI method that the kernel interprets again for each
/// device; under PREEMPT_RT with lockdep a boot up to the first program then takes 19.8 s of CPU instead of 6.4 s (TCG).
pub(super) const MACHINE: &str = "q35";

/// All arguments, without the program itself.
pub(super) fn argv(job: &BootJob, disks: &[PathBuf], inherited: &Inherited) -> Vec<String> {
    let mut argv = Argv::default();
    argv.flags("-nodefaults -no-user-config -display none -no-reboot");
    argv.pair("-sandbox", SANDBOX);
    argv.machine(&job.machine);
    argv.pair("-kernel", job.kernel.join("bzImage").display());
    argv.pair("-initrd", by_fd(inherited.initramfs));
    argv.pair("-append", append(job));
    argv.channels(inherited);
    // A panicked guest is paused, so that evidence can be taken before it is gone.
    argv.flags("-device pvpanic-pci -device vmcoreinfo -action panic=pause");
    argv.flags("-object rng-builtin,id=rng -device virtio-rng-pci,rng=rng");
    if let Some(port) = job.gdb {
        argv.pair("-gdb", format!("tcp:127.0.0.1:{port}"));
        argv.flags("-S");
    }
    for (n, image) in disks.iter().enumerate() {
        argv.disk(n, image);
    }
    argv.0
}

/// The kernel's command line. A kernel without pvpanic driver reboots when it panics, which ends QEMU. One that tests its
/// timer panics where a busy host does not run the emulator for some ticks.
fn append(job: &BootJob) -> String {
    let own = ["console=ttyS0", "panic=-1", "no_timer_check"];
    let asked = job.append.iter().map(String::as_str);
    own.into_iter().chain(asked).collect::<Vec<_>>().join(" ")
}

fn by_fd(fd: RawFd) -> String {
    format!("/proc/self/fd/{fd}")
}

#[derive(Default)]
struct Argv(Vec<String>);

impl Argv {
    fn flags(&mut self, words: &str) {
        self.0.extend(words.split(' ').map(str::to_owned));
    }

    fn pair(&mut self, flag: &str, value: impl ToString) {
        self.0.extend([flag.to_owned(), value.to_string()]);
    }

    fn machine(&mut self, machine: &Machine) {
        let (accel, cpu) = accelerator(machine.accel);
        self.pair("-machine", MACHINE);
        self.pair("-accel", accel);
        self.pair("-cpu", cpu);
        self.pair("-smp", machine.cpus);
        self.pair("-m", format!("{}M", machine.memory_mib));
    }

    fn channels(&mut self, inherited: &Inherited) {
        let socket = |id: &str, fd: RawFd| format!("socket,id={id},fd={fd}");
        self.pair("-chardev", socket("console", inherited.console));
        self.pair("-serial", "chardev:console");
        self.pair("-chardev", socket("qmp", inherited.qmp));
        self.pair("-mon", "chardev=qmp,mode=control");
        self.pair("-chardev", socket("agent", inherited.agent));
        self.pair("-device", "virtio-serial-pci");
        let port = lab_wire::PORT;
        self.pair(
            "-device",
            format!("virtserialport,chardev=agent,name={port}"),
        );
    }

    /// The image stays as it is: what the guest writes goes to a temporary file without a name, which no flush needs
    /// to reach. A comma in a path is doubled, as QEMU's options want it.
    fn disk(&mut self, n: usize, image: &Path) {
        let file = image.display().to_string().replace(',', ",,");
        let drive = format!("if=none,id=disk{n},file={file},format=raw,snapshot=on,cache=unsafe");
        self.pair("-drive", drive);
        self.pair("-device", format!("virtio-blk-pci,drive=disk{n}"));
    }
}

/// Values of `-accel` and `-cpu`.
pub(super) fn accelerator(accel: Accel) -> (&'static str, &'static str) {
    match accel {
        Accel::Kvm => ("kvm", "host"),
        // All that the translator can do, but 5-level page tables, which nothing here needs. In CPU time to PID 1, qemu64,
        // Nehalem and a larger translation buffer were no better beyond noise; a small buffer (64 MiB) cost a tenth.
        Accel::Tcg => ("tcg,thread=multi", "max,la57=off"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_command_line() {
        let mut job = crate::vm::tests::job(Path::new("/k"));
        job.append = vec!["nokaslr".into(), "lockdep=1".into()];
        let inherited = Inherited {
            console: 10,
            agent: 11,
            qmp: 12,
            initramfs: 13,
        };
        let lines = argv(&job, &["/cache/a,b.img".into()], &inherited)
            .join(" ")
            .replace(" -", "\n-");
        insta::assert_snapshot!(lines);
    }
}
