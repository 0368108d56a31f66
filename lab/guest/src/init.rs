// SPDX-License-Identifier: MIT OR Apache-2.0
//! What PID 1 owes its machine: mounts, descriptors, the loop-back device, and a way out.

use crate::fs::mount::{Refusal, mount};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

/// Longest wait for the port to come up.
const PORT_WAIT: Duration = Duration::from_secs(20);
/// The port's descriptor, for a dying agent's last words.
static LAST_WORDS: AtomicI32 = AtomicI32::new(-1);

/// Milliseconds since the machine booted.
pub(crate) fn boot_ms() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel fills `now`.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut now) };
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}

/// Mounts the kernel's own filesystems and makes stray children vanish. What a kernel does not
/// have is left out; who needs it says so.
pub(crate) fn furnish() -> Vec<String> {
    // SAFETY: ignoring SIGCHLD makes the kernel reap children of PID 1.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    let mounts = [
        ("devtmpfs", "/dev"),
        ("proc", "/proc"),
        ("sysfs", "/sys"),
        ("tmpfs", "/run"),
    ];
    let mut failed = Vec::new();
    for (kind, at) in mounts {
        if let Err(Refusal::Absent(why) | Refusal::Failed(why)) = mount(kind, kind, at.as_ref(), "")
        {
            failed.push(why);
        }
    }
    quiet();
    failed
}

/// Points the standard descriptors away from the console, which is the kernel's own: a word of
/// ours there could be taken for one of the kernel's.
fn quiet() {
    let Ok(null) = File::options().read(true).write(true).open("/dev/null") else {
        return;
    };
    for fd in 0..3 {
        // SAFETY: replacing a standard descriptor that nothing else holds.
        unsafe { libc::dup2(null.as_raw_fd(), fd) };
    }
}

/// Gives a thread that speaks with the lab its turn before any worker. Where the kernel refuses,
/// it stays an ordinary thread.
pub(crate) fn be_heard() {
    let param = libc::sched_param { sched_priority: 10 };
    // SAFETY: 0 is this thread. In a test on a host, that is PID 1 of nothing, it is left alone.
    unsafe {
        if libc::getpid() == 1 {
            libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const param);
        }
    }
}

/// Finds the port by its name and opens it; waits for the kernel's word that a device came up.
pub(crate) fn open_port(name: &str) -> Option<File> {
    let news = uevents();
    let end = Instant::now() + PORT_WAIT;
    loop {
        if let Some(port) = find_port(name) {
            LAST_WORDS.store(port.as_raw_fd(), Ordering::Relaxed);
            return Some(port);
        }
        if Instant::now() > end {
            return None;
        }
        wait_for(news.as_ref());
    }
}

fn find_port(name: &str) -> Option<File> {
    let ports = std::fs::read_dir("/sys/class/virtio-ports").ok()?;
    let port = ports.flatten().find(|port| {
        let is = std::fs::read_to_string(port.path().join("name"));
        is.is_ok_and(|is| is.trim_end() == name)
    })?;
    let device = Path::new("/dev").join(port.file_name());
    File::options().read(true).write(true).open(device).ok()
}

/// A socket on which the kernel tells of new devices.
fn uevents() -> Option<OwnedFd> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: an all-zero sockaddr_nl is valid; the descriptor is checked before it is owned.
    unsafe {
        let fd = libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_KOBJECT_UEVENT);
        if fd < 0 {
            return None;
        }
        let fd = OwnedFd::from_raw_fd(fd);
        let mut address: libc::sockaddr_nl = std::mem::zeroed();
        address.nl_family = libc::AF_NETLINK as u16;
        address.nl_groups = 1;
        let len = size_of::<libc::sockaddr_nl>() as u32;
        (libc::bind(fd.as_raw_fd(), (&raw const address).cast(), len) == 0).then_some(fd)
    }
}

fn wait_for(news: Option<&OwnedFd>) {
    let Some(news) = news else {
        return std::thread::sleep(Duration::from_millis(5));
    };
    let mut poll = libc::pollfd {
        fd: news.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    let mut buffer = [0u8; 2048];
    // SAFETY: one pollfd, and a buffer of the length given.
    unsafe {
        if libc::poll(&raw mut poll, 1, 250) > 0 {
            libc::recv(
                news.as_raw_fd(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
                0,
            );
        }
    }
}

/// Brings the loop-back interface up.
///
/// # Errors
/// When the kernel has no such interface, or no network at all.
pub(crate) fn loopback_up() -> Result<(), String> {
    let failed = |what: &str| format!("{what} lo: {}", std::io::Error::last_os_error());
    // SAFETY: a zeroed ifreq is valid; the kernel reads the name and fills the flags.
    unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        if fd < 0 {
            return Err(failed("a socket for"));
        }
        let socket = OwnedFd::from_raw_fd(fd);
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        if libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCGIFFLAGS as _,
            &raw mut request,
        ) < 0
        {
            return Err(failed("flags of"));
        }
        request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short;
        if libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS as _,
            &raw mut request,
        ) < 0
        {
            return Err(failed("bringing up"));
        }
    }
    Ok(())
}

/// Says something on the kernel's console: the only way when there is no port.
pub(crate) fn console(words: &str) {
    // If the console cannot be opened there is nobody left to tell.
    if let Ok(mut console) = File::options().write(true).open("/dev/console") {
        let _ = writeln!(console, "lab-guest: {words}");
    }
}

/// Switches the machine off; if it stays on, resets it, which ends a QEMU with -no-reboot too.
pub(crate) fn power_off() -> ! {
    loop {
        // SAFETY: nothing of this process is needed any more.
        unsafe {
            libc::reboot(libc::RB_POWER_OFF);
            libc::sleep(5);
            libc::reboot(libc::RB_AUTOBOOT);
        }
    }
}

/// Makes a fault of the agent end the run with a word to the lab, not with a kernel panic that
/// would be taken for the kernel's.
pub(crate) fn catch_own_faults() {
    std::panic::set_hook(Box::new(|panic| {
        last_words(&panic.to_string());
        power_off();
    }));
    for signal in [
        libc::SIGABRT,
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGILL,
        libc::SIGFPE,
    ] {
        let handler: extern "C" fn(libc::c_int) = on_fault;
        // SAFETY: the handler calls nothing but write and reboot, which may be called there.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
}

fn last_words(text: &str) {
    let words = lab_wire::FromGuest {
        t_ms: boot_ms(),
        event: lab_wire::Event::Fault {
            reason: text.replace('\n', " "),
        },
    };
    let mut line = b"\n".to_vec();
    line.extend(lab_wire::encode(&words).unwrap_or_default());
    write_raw(&line);
}

extern "C" fn on_fault(_signal: libc::c_int) {
    // No memory may be asked for here, so the words are ready.
    write_raw(b"\n{\"t_ms\":0,\"say\":\"note\",\"text\":\"the agent itself died of a signal (out of memory, or a fault)\"}\n");
    power_off();
}

fn write_raw(line: &[u8]) {
    let port = LAST_WORDS.load(Ordering::Relaxed);
    // SAFETY: the buffer is valid; a descriptor of -1 is refused by the kernel.
    unsafe { libc::write(port, line.as_ptr().cast(), line.len()) };
}
