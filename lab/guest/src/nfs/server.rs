// SPDX-License-Identifier: MIT OR Apache-2.0
//! Starting nfsd: control files, a listening socket, and threads that answer what it asks.

use super::{EXPORT, tracking, upcall};
use crate::fs::mount::{Refusal, mount, unmount};
use crate::init::loopback_up;
use std::fs::File;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// nfsd's control folder.
const CONTROL: &str = "/proc/fs/nfsd";
/// Server threads: enough for lookups to meet on the server's side too.
const THREADS: u32 = 8;
/// How long the server may take to close what a client left.
const RELEASE: Duration = Duration::from_secs(10);
/// How long it may do so of its own accord.
const COURTESY: Duration = Duration::from_secs(1);
static STARTED: Mutex<bool> = Mutex::new(false);
static TRACKING_OVER: AtomicBool = AtomicBool::new(false);

/// Starts the server once for this boot, while the caller mounts what is exported.
pub(crate) fn start_in_background() -> JoinHandle<Result<(), Refusal>> {
    std::thread::spawn(|| {
        let mut started = STARTED
            .lock()
            .map_err(|_| failed("nfsd failed to start before"))?;
        if !*started {
            start()?;
            *started = true;
        }
        Ok(())
    })
}

/// Unmounts the export while the server runs on.
///
/// The server's caches let go of it first. A client that has left may have left opens behind that it never learnt
/// of, when a file went away under its OPEN: then the server keeps the client as a courtesy, for a day. So after a
/// while of waiting for what is only late, all that the server holds for clients is taken from it.
///
/// # Errors
/// When it is still busy then; says which clients the server remembers.
pub(crate) fn release_export() -> Result<(), String> {
    let begun = Instant::now();
    let mut revoked = false;
    loop {
        flush_caches();
        let Err(why) = unmount(EXPORT.as_ref()) else {
            return Ok(());
        };
        if begun.elapsed() > RELEASE {
            return Err(format!("{why}; {}", remembered()));
        }
        if !revoked && begun.elapsed() > COURTESY {
            revoked = true;
            revoke_all();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Unmounts a client. When it is the last mount, the client asks the server to forget it, and the server refuses, ten
/// times with a second in between, while it keeps an open that the client never learnt of. So after a while the server
/// is made to forget.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn release_client(at: &Path) -> Result<(), String> {
    let (done, waiting) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let watch = move || {
            if waiting.recv_timeout(COURTESY) == Err(RecvTimeoutError::Timeout) {
                revoke_all();
            }
        };
        // Without a thread it only takes longer.
        let _ = std::thread::Builder::new().spawn_scoped(scope, watch);
        let result = unmount(at);
        drop(done);
        result
    })
}

/// Makes the caches of exports and handles let go of their paths; that of handles closes nfsd's open files too.
fn flush_caches() {
    for channel in upcall::CHANNELS {
        // If a flush fails, the unmount fails, and says so.
        let _ = std::fs::write(format!("/proc/net/rpc/{channel}/flush"), "1\n");
    }
}

/// Takes from the server what it keeps for clients: nobody has the export mounted any more.
fn revoke_all() {
    let _ = std::fs::write(
        format!("{CONTROL}/unlock_filesystem"),
        format!("{EXPORT}\n"),
    );
    for client in clients() {
        // A client that is gone by itself meanwhile refuses, and is what was wanted.
        let _ = std::fs::write(client.join("ctl"), "expire\n");
    }
}

/// The folders of the clients that the server remembers.
fn clients() -> Vec<PathBuf> {
    let folders = std::fs::read_dir(format!("{CONTROL}/clients"));
    folders.map_or_else(
        |_| Vec::new(),
        |all| all.flatten().map(|client| client.path()).collect(),
    )
}

/// What the server remembers of clients, for a report.
fn remembered() -> String {
    let all = clients();
    let states = |client: &PathBuf| {
        let text = std::fs::read_to_string(client.join("states")).unwrap_or_default();
        text.lines().count()
    };
    let states: usize = all.iter().map(states).sum();
    format!("nfsd remembers {} clients with {states} states", all.len())
}

fn failed(why: impl Into<String>) -> Refusal {
    Refusal::Failed(why.into())
}

fn start() -> Result<(), Refusal> {
    loopback_up().map_err(failed)?;
    mount(
        "rpc_pipefs",
        "rpc_pipefs",
        "/var/lib/nfs/rpc_pipefs".as_ref(),
        "",
    )?;
    mount("nfsd", "nfsd", CONTROL.as_ref(), "")?;
    for channel in upcall::CHANNELS.iter().copied() {
        let path = format!("/proc/net/rpc/{channel}/channel");
        let file = File::options().read(true).write(true).open(&path);
        let file = file.map_err(|error| failed(format!("cannot open {path}: {error}")))?;
        helper(channel, move || upcall::serve(channel, file))?;
    }
    control("nfsv4leasetime", "10\n")?;
    control("nfsv4gracetime", "10\n")?;
    control("versions", "-3 +4 +4.1 +4.2\n")?;
    let socket = TcpListener::bind("127.0.0.1:2049")
        .map_err(|error| failed(format!("cannot listen on 127.0.0.1:2049: {error}")))?;
    helper("nfsdcld", || tracking::serve(&TRACKING_OVER))?;
    // The server holds the socket itself from here on.
    control("portlist", &format!("{}\n", socket.as_raw_fd()))?;
    let result = control("threads", &format!("{THREADS}\n"));
    TRACKING_OVER.store(true, Ordering::Release);
    result
}

fn control(file: &str, value: &str) -> Result<(), Refusal> {
    let path = format!("{CONTROL}/{file}");
    std::fs::write(&path, value)
        .map_err(|error| failed(format!("cannot write {value:?} to {path}: {error}")))
}

fn helper(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Refusal> {
    let thread = std::thread::Builder::new()
        .name(name.to_owned())
        .stack_size(128 << 10);
    let started = thread.spawn(work);
    started
        .map(drop)
        .map_err(|error| failed(format!("no thread for {name}: {error}")))
}
