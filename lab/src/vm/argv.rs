// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line of QEMU, exactly, from a job and the descriptors that QEMU inherits.

use lab_core::job::{Accel, BootJob, Machine};
use std::os::fd::RawFd;
use std::path::PathBuf;

/// What QEMU inherits, by number. No socket and no initramfs has a name, so that nothing can be left behind
/// and no path is too long.
#[derive(Debug, Clone)]
pub(super) struct Inherited {
    pub(super) console: RawFd,
    pub(super) agent: RawFd,
    pub(super) qmp: RawFd,
    pub(super) initramfs: RawFd,
}

/// Where what the machine is connected to leads, in the words of QEMU's options.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    /// Path of the kernel's image.
    pub(crate) kernel: String,
    /// Path of the initramfs.
    pub(crate) initramfs: String,
    /// Back end of the first serial port, the kernel's console.
    pub(crate) console: String,
    /// Back end of the second serial port, where there is to be one.
    pub(crate) terminal: Option<String>,
    /// Back end of the monitor.
    pub(crate) monitor: Option<String>,
    /// Back end of the agent's port.
    pub(crate) agent: Option<String>,
    /// Images of the disks.
    pub(crate) disks: Vec<String>,
}

/// Denies what an emulator of this kind never needs; see «-sandbox» in qemu(1).
const SANDBOX: &str = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";

/// QEMU's machine. On `pc` the routing of PCI interrupts is an ACPI method that the kernel interprets again for each
/// device; under PREEMPT_RT with lockdep a boot up to the first program then takes 19.8 s of CPU instead of 6.4 s (TCG).
pub(super) const MACHINE: &str = "q35";

/// All arguments, without the program itself.
pub(super) fn argv(job: &BootJob, disks: &[PathBuf], inherited: &Inherited) -> Vec<String> {
    let socket = |fd: RawFd| format!("socket,fd={fd}");
    let ends = Ends {
        kernel: job.kernel.join("bzImage").display().to_string(),
        initramfs: by_fd(inherited.initramfs),
        console: socket(inherited.console),
        terminal: None,
        monitor: Some(socket(inherited.qmp)),
        agent: Some(socket(inherited.agent)),
        disks: disks.iter().map(|d| d.display().to_string()).collect(),
    };
    command_line(job, &ends)
}

/// All arguments of a job's machine that is connected in this way.
pub(crate) fn command_line(job: &BootJob, ends: &Ends) -> Vec<String> {
    let mut argv = Argv::default();
    argv.flags("-nodefaults -no-user-config -display none -no-reboot");
    argv.pair("-sandbox", SANDBOX);
    argv.machine(&job.machine);
    argv.pair("-kernel", &ends.kernel);
    argv.pair("-initrd", &ends.initramfs);
    argv.pair("-append", append(job));
    argv.channels(ends);
    // A panicked guest is paused, so that evidence can be taken before it is gone.
    argv.flags("-device pvpanic-pci -device vmcoreinfo -action panic=pause");
    argv.flags("-object rng-builtin,id=rng -device virtio-rng-pci,rng=rng");
    for (n, image) in ends.disks.iter().enumerate() {
        argv.disk(n, image);
    }
    if let Some(port) = job.gdb {
        // The machine waits until a debugger lets it go.
        argv.pair("-gdb", format!("tcp:127.0.0.1:{port}"));
        argv.flags("-S");
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

    fn channels(&mut self, ends: &Ends) {
        self.chardev("console", &ends.console);
        self.pair("-serial", "chardev:console");
        if let Some(terminal) = &ends.terminal {
            self.chardev("terminal", terminal);
            self.pair("-serial", "chardev:terminal");
        }
        if let Some(monitor) = &ends.monitor {
            self.chardev("qmp", monitor);
            self.pair("-mon", "chardev=qmp,mode=control");
        }
        if let Some(agent) = &ends.agent {
            self.chardev("agent", agent);
            self.pair("-device", "virtio-serial-pci");
            let port = lab_wire::PORT;
            self.pair(
                "-device",
                format!("virtserialport,chardev=agent,name={port}"),
            );
        }
    }

    /// A back end such as `socket,fd=3`, with its name put behind its kind.
    fn chardev(&mut self, id: &str, end: &str) {
        let (kind, options) = end.split_once(',').unwrap_or((end, ""));
        let comma = if options.is_empty() { "" } else { "," };
        self.pair("-chardev", format!("{kind},id={id}{comma}{options}"));
    }

    /// The image stays as it is: what the guest writes goes to a temporary file without a name, which no flush needs
    /// to reach. A comma in a path is doubled, as QEMU's options want it.
    fn disk(&mut self, n: usize, image: &str) {
        let file = image.replace(',', ",,");
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
    use std::path::Path;

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

    #[test]
    fn a_debugger_is_waited_for_on_the_loop_back_alone() {
        let mut job = crate::vm::tests::job(Path::new("/k"));
        job.gdb = Some(1234);
        let ends = Ends {
            kernel: "bzImage".into(),
            initramfs: "initramfs".into(),
            console: "stdio".into(),
            terminal: None,
            monitor: None,
            agent: None,
            disks: Vec::new(),
        };
        let line = command_line(&job, &ends).join(" ");
        assert!(line.ends_with(" -gdb tcp:127.0.0.1:1234 -S"), "{line}");
        assert!(
            line.contains(" -chardev stdio,id=console -serial chardev:console "),
            "{line}"
        );
    }
}
