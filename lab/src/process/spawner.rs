// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one thread that forks. It never ends, so a parent-death signal means the death of the lab.

use super::Spec;
use crate::error::{Error, Result};
use std::io::{self, PipeReader};
use std::process::Stdio;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

type Started = io::Result<(Child, PipeReader)>;

struct Request {
    spec: Spec,
    runtime: Handle,
    answer: oneshot::Sender<Started>,
}

/// Starts a child on the forking thread.
pub(super) async fn spawn(spec: Spec) -> Result<(Child, PipeReader)> {
    static SPAWNER: OnceLock<Option<Sender<Request>>> = OnceLock::new();
    let gone = || Error::internal("the thread that starts processes is gone");
    let sender = SPAWNER.get_or_init(start).as_ref().ok_or_else(gone)?;
    let (answer, started) = oneshot::channel();
    let runtime = Handle::current();
    let request = Request {
        spec,
        runtime,
        answer,
    };
    sender.send(request).map_err(|_| gone())?;
    Ok(started.await.map_err(|_| gone())??)
}

fn start() -> Option<Sender<Request>> {
    let (sender, requests) = channel();
    let thread = std::thread::Builder::new().name("spawner".to_owned());
    thread.spawn(move || serve(&requests)).ok()?;
    Some(sender)
}

fn serve(requests: &Receiver<Request>) {
    for request in requests {
        let _in_runtime = request.runtime.enter();
        // Whoever asked may have been cancelled; the child is then killed on drop.
        let _ = request.answer.send(fork(&request.spec));
    }
}

fn fork(spec: &Spec) -> Started {
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new(&spec.program);
    command
        .args(&spec.args)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command.stdout(writer.try_clone()?).stderr(writer);
    if let Some(env) = &spec.env {
        command
            .env_clear()
            .envs(env.iter().map(|(key, value)| (key, value)));
    }
    if let Some(dir) = &spec.dir {
        command.current_dir(dir);
    }
    let parent = nix::unistd::getpid();
    let (death_signal, file_limit) = (spec.death_signal as libc::c_int, spec.file_limit);
    // SAFETY: between fork and exec only async-signal-safe system calls are made, and nothing allocates.
    unsafe {
        command.pre_exec(move || prepare(parent.as_raw(), death_signal, file_limit));
    }
    Ok((command.spawn()?, reader))
}

/// In the child, before exec: a session of its own, no core dumps, a bound on files, death with its parent.
fn prepare(
    parent: libc::pid_t,
    death_signal: libc::c_int,
    file_limit: Option<u64>,
) -> io::Result<()> {
    let check = |result: libc::c_int| match result {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    };
    let limit = |bytes: u64| libc::rlimit {
        rlim_cur: bytes,
        rlim_max: bytes,
    };
    // SAFETY: plain system calls on values of this frame.
    unsafe {
        check(libc::setsid())?;
        check(libc::setrlimit(libc::RLIMIT_CORE, &limit(0)))?;
        if let Some(bytes) = file_limit {
            check(libc::setrlimit(libc::RLIMIT_FSIZE, &limit(bytes)))?;
        }
        check(libc::prctl(libc::PR_SET_PDEATHSIG, death_signal))?;
        // The parent may have died before the request was made.
        if libc::getppid() != parent {
            libc::_exit(1);
        }
    }
    Ok(())
}
