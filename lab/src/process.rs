// SPDX-License-Identifier: MIT OR Apache-2.0
//! Children under supervision: every program the lab starts is started, watched and ended here.
//!
//! A child leads a session of its own, so a Ctrl-C at the terminal reaches the lab alone, which then ends its
//! children in order. When the lab itself dies, the kernel signals the child (PR_SET_PDEATHSIG). That signal is tied
//! to the thread that forked, so one thread that never ends does all the forking. How a child ends is data.

mod lines;
mod spawner;

use crate::error::{Doing, Error, Result};
use crate::stop::{Level, Stop};
use lines::Lines;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::time::{sleep_until, timeout};

/// Longest line handed out, in bytes; what is beyond is dropped.
pub const LINE_MAX: usize = 16 * 1024;
/// How long a child may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);
/// How long output may stay open after the child and its group are gone.
const LINGER: Duration = Duration::from_secs(5);

/// What to start.
#[derive(Debug, Clone)]
pub struct Spec {
    program: OsString,
    args: Vec<OsString>,
    env: Option<Vec<(OsString, OsString)>>,
    dir: Option<PathBuf>,
    death_signal: Signal,
    file_limit: Option<u64>,
}

impl Spec {
    /// A program, searched in PATH, that inherits the environment and gets no input.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: None,
            dir: None,
            death_signal: Signal::SIGKILL,
            file_limit: None,
        }
    }
    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }
    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }
    /// Replaces the whole environment.
    #[must_use]
    pub fn env_only(mut self, env: Vec<(OsString, OsString)>) -> Self {
        self.env = Some(env);
        self
    }
    /// Starts it in this folder.
    #[must_use]
    pub fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self
    }
    /// What the child gets when the lab dies; SIGKILL if not said. A program with children of its own that it ends
    /// on SIGTERM (make) is better given that.
    #[must_use]
    pub fn death_signal(mut self, signal: Signal) -> Self {
        self.death_signal = signal;
        self
    }
    /// Largest file it may write, bytes.
    #[must_use]
    pub fn file_limit(mut self, bytes: u64) -> Self {
        self.file_limit = Some(bytes);
        self
    }
    /// Program and arguments, for records.
    pub fn argv(&self) -> Vec<String> {
        std::iter::once(&self.program)
            .chain(&self.args)
            .map(|word| word.to_string_lossy().into_owned())
            .collect()
    }
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, with this status.
    Exited(i32),
    /// By a signal that the lab did not send.
    Signalled(i32),
    /// Killed at its time limit.
    TimedOut,
    /// Ended because the lab was told to stop.
    Stopped,
}

impl End {
    /// Exited with status 0.
    pub fn success(self) -> bool {
        self == End::Exited(0)
    }
}

/// What is known of a child that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Finished {
    /// How it ended.
    pub end: End,
    /// Seconds of wall time.
    pub seconds: f64,
}

/// A running child; dropping it kills its process group.
#[derive(Debug)]
pub struct Child {
    inner: tokio::process::Child,
    group: Pid,
    lines: Lines,
    started: Instant,
    reaped: bool,
}

impl Child {
    /// Starts a child. Its output and errors come as one stream of lines, in the order they were written.
    ///
    /// # Errors
    /// The program is not there or may not run.
    pub async fn spawn(spec: Spec) -> Result<Self> {
        let program = spec.program.to_string_lossy().into_owned();
        let started = Instant::now();
        let (inner, reader) = spawner::spawn(spec)
            .await
            .doing(|| format!("start `{program}`"))?;
        let id = inner.id().and_then(|id| i32::try_from(id).ok());
        let group = id.ok_or_else(|| Error::internal(format!("`{program}` has no process id")))?;
        Ok(Self {
            inner,
            group: Pid::from_raw(group),
            lines: Lines::new(reader)?,
            started,
            reaped: false,
        })
    }

    /// Its process id, which is also its group's and session's.
    pub fn id(&self) -> i32 {
        self.group.as_raw()
    }

    /// The next line of output, without its newline and cut at [`LINE_MAX`]; `None` once all writers are gone.
    /// Safe to cancel.
    pub async fn next_line(&mut self) -> Option<&[u8]> {
        self.lines.next().await
    }

    /// Waits for its end, and then kills what it left behind in its group. Safe to cancel.
    ///
    /// # Errors
    /// The system would not tell.
    pub async fn wait(&mut self) -> Result<End> {
        use std::os::unix::process::ExitStatusExt;
        let status = self.inner.wait().await?;
        if !self.reaped {
            self.reaped = true;
            // A group with members left keeps its id, so this cannot hit a stranger.
            let _ = killpg(self.group, Signal::SIGKILL);
        }
        Ok(match status.code() {
            Some(code) => End::Exited(code),
            None => End::Signalled(status.signal().unwrap_or_default()),
        })
    }

    /// Sends a signal to the whole group, if it is still there.
    pub fn signal(&self, signal: Signal) {
        if !self.reaped {
            let _ = killpg(self.group, signal);
        }
    }

    /// Ends it: SIGTERM and some seconds of grace, unless `now`; then SIGKILL to the group.
    ///
    /// # Errors
    /// The system would not tell of its end.
    pub async fn end(&mut self, now: bool) -> Result<End> {
        if !now {
            self.signal(Signal::SIGTERM);
            if let Ok(ended) = timeout(GRACE, self.wait()).await {
                return ended;
            }
        }
        self.signal(Signal::SIGKILL);
        self.wait().await
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// Runs a child to its end, handing each line of its output to `on_line`.
///
/// At the limit its group is killed. An orderly stop sends SIGTERM and, after some seconds of grace, kills; a stop
/// at once kills. When this returns, nothing of the child's group runs any more.
///
/// # Errors
/// It could not be started or waited for.
pub async fn supervise(
    spec: Spec,
    limit: Duration,
    mut stop: Stop,
    mut on_line: impl FnMut(&[u8]),
) -> Result<Finished> {
    if stop.level() > Level::Run {
        return Ok(Finished {
            end: End::Stopped,
            seconds: 0.0,
        });
    }
    let mut child = Child::spawn(spec).await?;
    let deadline = tokio::time::Instant::now() + limit;
    let mut open = true;
    let end = loop {
        tokio::select! {
            line = child.lines.next(), if open => match line {
                Some(line) => on_line(line),
                None => open = false,
            },
            ended = child.inner.wait() => {
                ended?;
                break child.wait().await?;
            }
            () = sleep_until(deadline) => {
                child.end(true).await?;
                break End::TimedOut;
            }
            () = stop.reached(Level::Orderly) => {
                end_on_request(&mut child, &mut stop).await?;
                break End::Stopped;
            }
        }
    };
    // What was written before the end is still in the pipe.
    let rest = async {
        while let Some(line) = child.lines.next().await {
            on_line(line);
        }
    };
    let _ = timeout(LINGER, rest).await;
    Ok(Finished {
        end,
        seconds: child.started.elapsed().as_secs_f64(),
    })
}

/// SIGTERM first; at once when the stop becomes more urgent meanwhile. The pipe is drained on the way, or the child
/// might wait for it instead of ending.
async fn end_on_request(child: &mut Child, stop: &mut Stop) -> Result<End> {
    child.signal(Signal::SIGTERM);
    let grace = tokio::time::Instant::now() + GRACE;
    let mut open = true;
    loop {
        tokio::select! {
            line = child.lines.next(), if open => open = line.is_some(),
            ended = child.inner.wait() => {
                ended?;
                return child.wait().await;
            }
            () = sleep_until(grace) => return child.end(true).await,
            () = stop.reached(Level::Now) => return child.end(true).await,
        }
    }
}

/// Runs a short command and gives its output when it succeeded; `None` when it is absent or failed.
pub async fn capture(spec: Spec, limit: Duration, stop: Stop) -> Option<String> {
    const OUTPUT_MAX: usize = 1 << 20;
    let mut output = String::new();
    let finished = supervise(spec, limit, stop, |line| {
        if output.len() < OUTPUT_MAX {
            output.push_str(&String::from_utf8_lossy(line));
            output.push('\n');
        }
    });
    finished.await.ok()?.end.success().then_some(output)
}

#[cfg(test)]
mod tests;
